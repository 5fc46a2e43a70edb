"""Entries picked by their positions."""

from __future__ import annotations

from bnfold.export.along import Along
from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, run_time_shape
from bnfold.export.ops.complex import is_complex, stored_axis
from bnfold.export.placement import Follows
from bnfold.export.table import ANY, lowers
from bnfold.graph.dtypes import INT32, INT64, STRING


@lowers("Gather", dtypes=ANY)
def lower_gather(call: Call) -> str:
    return _gathered(call, 0)


@lowers("GatherV2", dtypes=ANY, placement=Follows(data=(0,), constant=(2,), unset=("batch_dims",)))
def lower_gather_v2(call: Call) -> str:
    """The axis gives way to those of the indices; the first ``batch_dims`` axes of both go together."""
    batch = call.attr("batch_dims")
    if batch < 0:
        batch += call.rank(1)
    known = call.value(2)
    if known is None:
        if batch:
            raise call.refusal("its axis is computed at run time, and it has batch axes")
        return _along_computed_axis(call)
    axis = int(known.reshape(()))
    if batch and call.shape() is None and axis == batch:
        return _rows(call, call.input(0), batch)
    if batch:
        return _batched(call, axis % call.rank(), batch)
    return _gathered(call, axis)


def _positions(call: Call) -> str:
    """The indices, as ONNX takes them."""
    return call.input(1) if call.dtype(1) in (INT32, INT64) else call.cast(call.input(1), INT64)


def _gathered(call: Call, axis: int) -> str:
    """Of strings onnxruntime's Gather (1.31) moves only the first of each row that it should move."""
    shape = call.shape()
    stored = stored_axis(call, axis)
    if call.dtype() == STRING and (shape is None or stored != len(shape) - 1):
        if shape is None and axis:
            return _along_computed_axis(call)
        return _batched(call, axis % len(shape), 0) if shape is not None else _rows(call, call.input(0), 0)
    return call.emit("Gather", call.input(0), _positions(call), axis=stored)


def _along_computed_axis(call: Call) -> str:
    axis = input_ints(call, 2)
    along = Along(call, call.input(0), axis, extra=1 if is_complex(call) else 0)
    indices = Ints(call, _positions(call))
    if call.dtype() == STRING:
        transposed = call.transpose(along.value, [1, 0, 2])
        at = call.unsqueeze(call.cast(indices.vector().name, INT64), [1])
        flat = call.transpose(call.emit("GatherND", transposed, at), [1, 0, 2])
    else:
        flat = call.emit("Gather", along.value, indices.vector().name, axis=1)
    return along.whole(flat, run_time_shape(call, indices.name))


def _rows(call: Call, value: str, batch: int) -> str:
    """GatherND of single positions on the axis after the first ``batch``."""
    at = call.emit("Unsqueeze", call.cast(_positions(call), INT64), call.ints([-1]))
    return call.emit("GatherND", value, at, batch_dims=batch)


def _batched(call: Call, axis: int, batch: int) -> str:
    """GatherND takes the batch axes along; the axis gathered from must come right after them, and goes back after."""
    rank, width = call.rank(), call.rank(1)
    last = [rank] if is_complex(call) else []
    front = [*range(batch), axis, *(other for other in range(batch, rank) if other != axis)]
    result = _rows(call, call.transpose(call.input(0), [*(call.axis(own) for own in front), *last]), batch)
    inner = width - batch
    between = axis - batch
    moved = [*range(batch + inner, batch + inner + between)]
    after = [*range(batch + inner + between, batch + inner + rank - batch - 1 + len(last))]
    return call.transpose(result, [*range(batch), *moved, *range(batch, batch + inner), *after])


@lowers("GatherNd", dtypes=ANY)
def lower_gather_nd(call: Call) -> str:
    batch = call.attr("batch_dims", 0)
    return call.emit("GatherND", call.input(0), call.cast(call.input(1), INT64), batch_dims=batch)
