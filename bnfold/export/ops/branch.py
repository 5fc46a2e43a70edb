"""If and Case: the branches are bodies that read the values around them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.export.bodies import Arguments, inlined, result_type, truth
from bnfold.export.call import Call
from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.scope import Scope
from bnfold.export.table import ANY, lowers
from bnfold.graph import Function, TensorType
from bnfold.graph.dtypes import INT32


@lowers("If", "StatelessIf", dtypes=ANY)
def lower_if(call: Call) -> tuple[str, ...]:
    branches = [call.function(attr) for attr in ("then_branch", "else_branch")]
    condition = call.value(0)
    if condition is not None:
        return _taken(call, branches[0 if np.any(condition) else 1])
    then, other = _bodies(call, branches)
    return _if(call, truth(call, 0), then, other)


@lowers("Case", "StatelessCase", dtypes=ANY)
def lower_case(call: Call) -> tuple[str, ...]:
    """Branch ``i`` where the index is ``i``, and the last one for every other index, negative ones too."""
    branches = [call.scope.graph.functions[reference.name] for reference in call.attr("branches")]
    index = call.value(0)
    if index is not None or len(branches) == 1:
        number = int(index) if index is not None else 0
        return _taken(call, branches[number] if 0 <= number < len(branches) else branches[-1])
    bodies = _bodies(call, branches)
    rest = bodies[-1]
    for number in range(len(bodies) - 2, 0, -1):
        rest = _choice(call, _equals(call, number), bodies[number], rest)
    return _if(call, _equals(call, 0), bodies[0], rest)


def _taken(call: Call, branch: Function) -> tuple[str, ...]:
    return tuple(inlined(call, call.scope, branch, Arguments.of(call, 1)))


def _bodies(call: Call, branches: Sequence[Function]) -> list[Scope]:
    arguments = Arguments.of(call, 1)
    bodies = []
    for number, branch in enumerate(branches):
        body = call.body(f"branch_{number}")
        for tensor, value in zip(branch.outputs, arguments.lower(branch, body), strict=True):
            body.add_output(value, result_type(body, tensor))
        bodies.append(body)
    return bodies


def _if(call: Call, condition: str, then: Scope, other: Scope) -> tuple[str, ...]:
    count = len(then.onnx.outputs)
    return call.emit_many("If", condition, then_branch=then.onnx, else_branch=other.onnx, outputs=count)


def _equals(call: Call, number: int) -> str:
    return call.emit("Equal", call.input(0), call.scalar(number, INT32))


def _choice(call: Call, condition: str, then: Scope, other: Scope) -> Scope:
    """A body that is one If."""
    body = call.body("otherwise")
    names = [body.names.take(f"{body.onnx.name}/If") for _ in then.onnx.outputs]
    body.onnx.add(OnnxNode("If", [condition], names, {"then_branch": then.onnx, "else_branch": other.onnx}, names[0]))
    for name, value in zip(names, other.onnx.outputs, strict=True):
        body.add_output(name, TensorType(other.onnx.types[value].dtype, None))
    return body
