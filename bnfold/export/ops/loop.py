"""While as Loop."""

from __future__ import annotations

import numpy as np

from bnfold.export.bodies import Arguments, inlined, needs, result_type
from bnfold.export.call import Call
from bnfold.export.ints import LARGEST
from bnfold.export.loops import Loop, read_loop, same_tensor, stable_shapes, without_collections
from bnfold.export.onnx_graph import stored_type
from bnfold.export.scope import Scope
from bnfold.export.table import ANY, lowers
from bnfold.graph import Array, Shape, TensorType
from bnfold.graph.dtypes import BOOL, INT64


@lowers("While", "StatelessWhile", dtypes=ANY)
def lower_while(call: Call) -> tuple[str, ...]:
    """What never changes is read from around the body; a list that is only written to is a scan output."""
    wanted = {index for index in range(call.arity) if call.is_read(index)}
    loop = read_loop(call.scope.graph, call.node, wanted)
    arguments = _arguments(call, loop)
    types = _carried_types(call, loop, arguments)
    count = _trip_count(call, loop)
    start = "" if count else inlined(call, call.scope, loop.cond, arguments)[0]
    body = _body(call, loop, arguments, types, counted=bool(count))
    initial = [arguments.names[index] for index in loop.carried]
    outputs = len(loop.carried) + len(loop.collected)
    if not outputs:
        return tuple(arguments.names)
    ends = call.emit_many("Loop", count, start, *initial, body=body.onnx, outputs=outputs)
    results = dict(enumerate(arguments.names)) | dict(zip([*loop.carried, *loop.collected], ends, strict=True))
    for index, item in zip(loop.collected, body.onnx.outputs[1 + len(loop.carried) :], strict=True):
        results[index] = _filled(call, loop, index, results[index], body.onnx.types[item].shape)
    return tuple(results[index] for index in range(call.arity))


def _arguments(call: Call, loop: Loop) -> Arguments:
    """The arguments of the first iteration; those that change are constants to nobody."""
    read = needs(loop.body, without_collections(loop).outputs) | needs(loop.cond, loop.cond.outputs)
    wanted = read | set(loop.carried) | {i for i in loop.constants if call.is_read(i)}
    arguments = Arguments([call.input(index) if index in wanted else "" for index in range(call.arity)])
    for index in range(call.arity):
        array = call.value(index)
        if array is not None and index in loop.constants:
            arguments.values[index] = array
        arguments.shapes[index] = call.shape(index)
    return arguments


def _carried_types(call: Call, loop: Loop, arguments: Arguments) -> dict[int, TensorType]:
    """The types of what is carried, which become those of the arguments."""
    function = without_collections(loop)
    carried = dict(zip(loop.carried, function.outputs, strict=False))
    types = stable_shapes(function, call.scope.graph.functions, arguments.shapes, carried, arguments.values)
    arguments.shapes |= {index: known.shape for index, known in types.items()}
    return types


def _trip_count(call: Call, loop: Loop) -> str:
    """How often the loop runs, as an int64 scalar; "" if only its condition tells."""
    counts = []
    for counter, limit in loop.limits:
        start, end = call.value(counter), limit if not isinstance(limit, int) else call.value(limit)
        if start is not None and end is not None:
            counts.append(call.scalar(max(int(end.item()) - int(start.item()), 0), INT64))
            continue
        last = call.scalar(end.item(), INT64) if end is not None else _int64(call, limit)
        first = start is not None and start.item() == 0
        counts.append(last if first else call.emit("Sub", last, _int64(call, counter)))
    counts = list(dict.fromkeys(counts))
    if not counts:
        return ""
    return counts[0] if len(counts) == 1 else call.emit("Min", *counts)


def _int64(call: Call, index: int | Array) -> str:
    assert isinstance(index, int)
    return call.input(index) if call.dtype(index) == INT64 else call.cast(call.input(index), INT64)


def _body(call: Call, loop: Loop, arguments: Arguments, types: dict[int, TensorType], *, counted: bool) -> Scope:
    """Iteration number, condition, what is carried → condition, what is carried, what is collected."""
    body = call.body("body")
    body.add_input(f"{body.onnx.name}/iteration", TensorType(INT64, ()))
    go_on = body.add_input(f"{body.onnx.name}/condition", TensorType(BOOL, ()))
    inside = Arguments(list(arguments.names), arguments.values, arguments.shapes)
    for index, known in types.items():
        inside.names[index] = body.add_input(f"{body.onnx.name}/{index}", known)
    function = without_collections(loop)
    results = inside.lower(function, body)
    if not counted:
        after = Arguments(list(arguments.names), arguments.values, arguments.shapes)
        for index, value in zip(loop.carried, results, strict=False):
            after.names[index] = value
        go_on = inlined(call, body, loop.cond, after)[0]
    body.add_output(go_on, TensorType(BOOL, ()))
    for position, (tensor, value) in enumerate(zip(function.outputs, results, strict=True)):
        known = result_type(body, tensor)
        body.add_output(value, types[loop.carried[position]] if position < len(types) else known)
    return body


_ZERO = np.array(0)


def _filled(call: Call, loop: Loop, index: int, scanned: str, items: Shape | None) -> str:
    """The list of ``scanned`` items, with zeros for those that no iteration came to write.

    Where none did, the sizes of ``items`` that are not known are 0, and may not be those of the list.
    """
    count = loop.collected[index].count
    graph = call.scope.graph
    limits = [call.node.inputs[limit] if isinstance(limit, int) else limit for _, limit in loop.limits]
    from_zero = all(same_tensor(graph, call.node.inputs[counter], _ZERO) for counter, _ in loop.limits)
    if (
        not count
        or same_tensor(graph, count, _ZERO)
        or (limits and from_zero and all(same_tensor(graph, count, limit) for limit in limits))
    ):
        return scanned
    written, item = _sizes(call, scanned, call.out_shape(index))
    known = stored_type(call.type(index), None).shape
    if known is not None and known[1:] != items and {None, 1}.isdisjoint(known[1:]):  # 1 may stand for any size
        item = call.ints(size or 0 for size in known[1:])
        whole = call.emit("Concat", written, item, axis=0)
        scanned = call.reshape_to(scanned, whole)
    length = call.emit("Reshape", call.cast(call.scope.read(count), INT64), call.ints([1]))
    missing = call.emit("Max", call.emit("Sub", length, written), call.ints([0]))
    zeros = call.emit("Expand", call.scalar(0, call.out_dtype(index)), call.emit("Concat", missing, item, axis=0))
    return call.emit("Concat", scanned, zeros, axis=0)


def _sizes(call: Call, value: str, known: Shape | None) -> tuple[str, ...]:
    """The first size of ``value``, and the others. Of a Slice of sizes ONNX' shape inference sometimes takes all."""
    if call.opset >= 15:
        return call.emit("Shape", value, start=0, end=1), call.emit("Shape", value, start=1)
    shape = call.emit("Shape", value)
    if known is not None and len(known) > 1:
        return call.emit_many("Split", shape, call.ints([1, len(known) - 1]), axis=0, outputs=2)
    bounds = [call.ints([bound]) for bound in (0, 1, LARGEST)]
    return call.emit("Slice", shape, *bounds[:2]), call.emit("Slice", shape, *bounds[1:])
