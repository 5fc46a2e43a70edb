"""Tensors put together and taken apart."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, size_of
from bnfold.export.placement import Follows
from bnfold.export.table import ALL, COMPLEX, lowers

ANY = (*ALL, *COMPLEX)


@lowers("ConcatV2", dtypes=ANY, placement=Follows(constant=(-1,)), axis=-1)
@lowers("Concat", dtypes=ANY, placement=Follows(constant=(0,)), axis=0)
def lower_concat(call: Call) -> str:
    position = call.fact("axis") % call.arity
    values = [index for index in range(call.arity) if index != position]
    axis = int(call.constant_value(position, "axis"))
    if len(values) == 1:
        return call.input(values[0])
    known = next((index for index in values if call.shape(index) is not None), None)
    if known is not None:
        axis = call.axis(axis, known)
    return call.emit("Concat", *(call.input(index) for index in values), axis=axis)


@lowers("Split", dtypes=ANY, placement=Follows(data=(1,), constant=(0,)))
def lower_split(call: Call) -> tuple[str, ...]:
    axis, count = int(call.constant_value(0, "axis")), call.attr("num_split")
    stored = call.axis(axis, 1) if call.shape(1) is not None else axis
    return split(call, call.input(1), stored, count)


def split(call: Call, value: str, axis: int, count: int) -> tuple[str, ...]:
    """``value`` in ``count`` parts of the same size."""
    if count == 1:
        return (value,)
    return call.emit_many("Split", value, axis=axis, num_outputs=count if call.opset >= 18 else None, outputs=count)


@lowers("SplitV", dtypes=ANY, placement=Follows(data=(0,), constant=(1, 2)))
def lower_split_v(call: Call) -> tuple[str, ...]:
    """One of the sizes may be -1: what the others leave."""
    axis, count = int(call.constant_value(2, "axis")), call.attr("num_split")
    if count == 1:
        return (call.input(0),)
    sizes = input_ints(call, 1)
    if sizes.known is None or (sizes.known < 0).any():
        sizes = _filled(sizes, size_of(call, 0, axis))
    stored = call.axis(axis) if call.shape() is not None else axis
    return call.emit_many("Split", call.input(0), sizes.name, axis=stored, outputs=count)


def _filled(sizes: Ints, total: Ints) -> Ints:
    open_ended = sizes < 0
    return open_ended.where(total - (sizes.at_least(0)).sum(), sizes)


@lowers("Pack", dtypes=ANY)
def lower_pack(call: Call) -> str:
    axis = call.attr("axis")
    shape = call.out_shape()
    if shape is not None:
        axis %= len(shape)
    return call.emit("Concat", *(_with_axis(call, index, axis) for index in range(call.arity)), axis=axis)


def _with_axis(call: Call, index: int, axis: int) -> str:
    array = call.value(index)
    if array is not None:
        return call.constant(np.expand_dims(array, axis), call.node.inputs[index])
    return call.unsqueeze(call.input(index), [axis])


@lowers("Unpack", dtypes=ANY)
def lower_unpack(call: Call) -> tuple[str, ...]:
    count, axis = call.attr("num"), call.attr("axis")
    if call.shape() is not None:
        axis = call.axis(axis)
    if count == 1:
        return (call.squeeze(call.input(0), [axis]),)
    value = call.input(0)
    return tuple(
        call.emit("Gather", value, call.constant(np.array(position, np.int64)), axis=axis) for position in range(count)
    )
