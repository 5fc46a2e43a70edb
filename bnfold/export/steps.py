"""Loops that a lowering writes itself: one step, in ONNX nodes, for each k from 0 on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bnfold.export.onnx_graph import OnnxNode
from bnfold.graph import TensorType
from bnfold.graph.dtypes import BOOL, FLOAT64, INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call
    from bnfold.export.scope import Scope


class Step:
    """The body of a Loop or Scan while it is written; it emits as `Call` does. A float is a float64 constant."""

    def __init__(self, call: Call, body: Scope) -> None:
        self.call = call
        self.body = body

    def __call__(self, op: str, *operands: str | float, **attrs: Any) -> str:
        name = self.body.names.take(f"{self.body.onnx.name}/{op}")
        inputs = [x if isinstance(x, str) else self.call.scalar(x, FLOAT64) for x in operands]
        self.body.onnx.add(OnnxNode(op, inputs, [name], attrs, name))
        return name

    def unsqueeze(self, value: str, axis: int) -> str:
        return self("Unsqueeze", value, self.call.ints([axis]))

    def squeeze(self, value: str, axis: int) -> str:
        return self("Squeeze", value, self.call.ints([axis]))


def repeated(
    call: Call,
    count: str,
    carried: Sequence[tuple[str, TensorType]],
    write: Callable[[Step, str, list[str]], Sequence[str]],
    collected: Sequence[TensorType] = (),
) -> tuple[str, ...]:
    """Emit a Loop of ``count`` steps.

    Parameters
    ----------
    call : Call
    count : str
        int64, a scalar or a vector of one.
    carried : sequence of (str, TensorType)
        What the loop starts from; the type is that of every step.
    write : callable
        ``write(step, k, carried)`` emits one step and returns what is carried on, then one item of each
        ``collected``. ``k`` is an int64 vector of one.
    collected : sequence of TensorType
        The types of the items that are collected along a new axis 0.

    Returns
    -------
    tuple of str
        What is carried at the end, then what was collected.
    """
    body = call.body("step")
    k = body.add_input(f"{body.onnx.name}/k", TensorType(INT64, ()))
    going = body.add_input(f"{body.onnx.name}/going", TensorType(BOOL, ()))
    state = [body.add_input(f"{body.onnx.name}/{i}", known) for i, (_, known) in enumerate(carried)]
    step = Step(call, body)
    after = write(step, step("Reshape", k, call.ints([1])), state)
    body.add_output(going, TensorType(BOOL, ()))
    for value, known in zip(after, [*(known for _, known in carried), *collected], strict=True):
        body.add_output(value, known)
    return call.emit_many("Loop", count, "", *(value for value, _ in carried), body=body.onnx, outputs=len(after))
