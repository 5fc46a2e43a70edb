"""Tensors put together and taken apart."""

from __future__ import annotations

import numpy as np

from bnfold.export.along import Along
from bnfold.export.call import Call
from bnfold.export.ints import Ints, counted, input_ints, run_time_shape, size_of
from bnfold.export.ops.complex import from_end, is_complex, stored_axis
from bnfold.export.placement import Follows
from bnfold.export.table import ANY, lowers
from bnfold.graph.dtypes import INT64, STRING


@lowers("ConcatV2", dtypes=ANY, placement=Follows(constant=(-1,)), axis=-1)
@lowers("Concat", dtypes=ANY, placement=Follows(constant=(0,)), axis=0)
def lower_concat(call: Call) -> str:
    position = call.fact("axis") % call.arity
    values = [index for index in range(call.arity) if index != position]
    if len(values) == 1:
        return call.input(values[0])
    array = call.value(position)
    if array is None:
        return _concat_along(call, values, input_ints(call, position))
    axis = int(array.reshape(()))
    known = next((index for index in values if call.shape(index) is not None), None)
    axis = stored_axis(call, axis, values[0] if known is None else known)
    return call.emit("Concat", *(call.input(index) for index in values), axis=axis)


def _concat_along(call: Call, values: list[int], axis: Ints) -> str:
    parts = [_along(call, index, axis) for index in values]
    total = parts[0].size
    for part in parts[1:]:
        total = total + part.size
    return parts[0].whole(call.emit("Concat", *(part.value for part in parts), axis=1), total)


def _along(call: Call, index: int, axis: Ints) -> Along:
    return Along(call, call.input(index), axis, extra=1 if is_complex(call, index) else 0)


@lowers("ConcatOffset", dtypes=("int32", "int64"))
def lower_concat_offset(call: Call) -> tuple[str, ...]:
    """Where each of several tensors begins in the concatenation of them all, told by their shapes."""
    shapes = [input_ints(call, index) for index in range(1, call.arity)]
    rank, axis = size_of(call, 1, 0).scalar(), input_ints(call, 0).scalar()
    along = counted(call, 0, rank).equals(axis.from_front(rank))
    offsets, before = [], shapes[0] * 0
    for shape in shapes:
        offsets.append(along.where(before, 0).name)
        before = before + shape
    dtype = call.out_dtype()
    return tuple(offset if dtype == INT64 else call.cast(offset, dtype) for offset in offsets)


@lowers("ParallelConcat", dtypes=ANY)
def lower_parallel_concat(call: Call) -> str:
    return call.emit("Concat", *call.inputs(), axis=0)


@lowers("Split", dtypes=ANY, placement=Follows(data=(1,), constant=(0,)))
def lower_split(call: Call) -> tuple[str, ...]:
    array, count = call.value(0), call.attr("num_split")
    if count == 1:
        return (call.input(1),)
    if array is None:
        along = _along(call, 1, input_ints(call, 0))
        size = along.size // count
        return tuple(along.whole(part, size) for part in split(call, along.value, 1, count))
    axis = int(array.reshape(()))
    stored = stored_axis(call, axis, 1)
    shape = call.shape(1)
    if shape is not None and shape[axis] == 0:  # of which onnxruntime counts no parts
        return call.emit_many("Split", call.input(1), call.ints([0] * count), axis=stored, outputs=count)
    return split(call, call.input(1), stored, count)


def split(call: Call, value: str, axis: int, count: int) -> tuple[str, ...]:
    """``value`` in ``count`` parts of the same size."""
    if count == 1:
        return (value,)
    return call.emit_many("Split", value, axis=axis, num_outputs=count if call.opset >= 18 else None, outputs=count)


@lowers("SplitV", dtypes=ANY, placement=Follows(data=(0,), constant=(1, 2)))
def lower_split_v(call: Call) -> tuple[str, ...]:
    """One of the sizes may be -1: what the others leave."""
    array, count = call.value(2), call.attr("num_split")
    if count == 1:
        return (call.input(0),)
    sizes = input_ints(call, 1)
    if array is None:
        along = _along(call, 0, input_ints(call, 2))
        sizes = _filled(sizes, along.size)
        parts = call.emit_many("Split", along.value, sizes.name, axis=1, outputs=count)
        return tuple(along.whole(part, sizes.take([index])) for index, part in enumerate(parts))
    axis = int(array.reshape(()))
    if sizes.known is None or (sizes.known < 0).any():
        sizes = _filled(sizes, size_of(call, 0, axis) if call.shape() is not None else _last_sizes(call, axis))
    stored = stored_axis(call, axis)
    return call.emit_many("Split", call.input(0), sizes.name, axis=stored, outputs=count)


def _last_sizes(call: Call, axis: int) -> Ints:
    """The size of an axis, which may be counted from the end, of a tensor of unknown rank."""
    return run_time_shape(call, call.input(0)).take([from_end(call, axis)])


def _filled(sizes: Ints, total: Ints) -> Ints:
    open_ended = sizes < 0
    return open_ended.where(total - (sizes.at_least(0)).sum(), sizes)


@lowers("Pack", dtypes=ANY)
def lower_pack(call: Call) -> str:
    axis = call.attr("axis")
    shape = call.out_shape()
    if shape is not None:
        axis %= len(shape)
    stored = from_end(call, axis)
    return call.emit("Concat", *(_with_axis(call, index, axis) for index in range(call.arity)), axis=stored)


def _with_axis(call: Call, index: int, axis: int) -> str:
    array = call.value(index)
    if array is not None:
        return call.constant(np.expand_dims(array, axis), call.node.inputs[index])
    return call.unsqueeze(call.input(index), [from_end(call, axis)])


@lowers("Unpack", dtypes=ANY)
def lower_unpack(call: Call) -> tuple[str, ...]:
    """Of strings onnxruntime's Gather (1.31) is wrong; those are split."""
    count, axis = call.attr("num"), call.attr("axis")
    if call.shape() is not None:
        axis = call.axis(axis)
    axis = from_end(call, axis)
    value = call.input(0)
    if count == 1 or call.dtype() == STRING:
        return tuple(call.squeeze(part, [axis]) for part in split(call, value, axis, count))
    return tuple(
        call.emit("Gather", value, call.constant(np.array(position, np.int64)), axis=axis) for position in range(count)
    )
