"""Tensors made of one value, or of values that follow one another."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import as_ints, counted, input_ints, joined, size_of
from bnfold.export.kernels import widening
from bnfold.export.placement import FOLLOWS, Follows
from bnfold.export.table import ALL, FLOATS, NUMBERS, lowers
from bnfold.graph.dtypes import INT64


@lowers("Fill", dtypes=ALL)
def lower_fill(call: Call) -> str:
    return moved(call, "Expand", [call.input(1), input_ints(call, 0).name], call.out_dtype())


@lowers("ZerosLike", dtypes=ALL, placement=FOLLOWS, value=0)
@lowers("OnesLike", dtypes=ALL, placement=FOLLOWS, value=1)
def lower_like(call: Call) -> str:
    dtype = call.dtype()
    value = call.scalar(call.fact("value") if dtype.name != "string" else "", dtype)
    return moved(call, "Expand", [value, call.emit("Shape", call.input(0))], dtype)


@lowers("Tile", dtypes=ALL, placement=Follows(data=(0,), constant=(1,)))
def lower_tile(call: Call) -> str:
    times = call.value(1)
    if times is None:
        return moved(call, "Tile", [call.input(0), input_ints(call, 1).name], call.dtype())
    if (times == 1).all():
        return call.input(0)
    return moved(call, "Tile", [call.input(0), call.ints(call.per_axis(times.tolist()))], call.dtype())


@lowers("BroadcastTo", dtypes=ALL)
def lower_broadcast_to(call: Call) -> str:
    return moved(call, "Expand", [call.input(0), input_ints(call, 1).name], call.dtype())


@lowers("BroadcastArgs", dtypes=("int32", "int64"))
def lower_broadcast_args(call: Call) -> str:
    """The shorter shape gets 1s in front; of two sizes the one that is not 1 counts."""
    shapes = [input_ints(call, index) for index in (0, 1)]
    lengths = [size_of(call, index, 0) for index in (0, 1)]
    longest = lengths[0].at_least(lengths[1])
    first, second = (
        joined(call, as_ints(call, 1).spread(longest - length), shape)
        for length, shape in zip(lengths, shapes, strict=True)
    )
    result = first.equals(1).where(second, first)
    return result.name if call.dtype() == INT64 else call.cast(result.name, call.dtype())


@lowers("Range", dtypes=NUMBERS)
def lower_range(call: Call) -> str:
    dtype = call.out_dtype()
    wide = widening("Range", dtype, call.opset) or dtype
    bounds = [call.input(index) if wide == dtype else call.cast(call.input(index), wide) for index in range(3)]
    values = call.emit("Range", *bounds)
    return values if wide == dtype else call.cast(values, dtype)


@lowers("LinSpace", dtypes=FLOATS)
def lower_lin_space(call: Call) -> str:
    """start + i (stop - start) / (count - 1)"""
    dtype = call.dtype()
    count = input_ints(call, 2)
    start, stop = call.input(0), call.input(1)
    gaps = call.cast((count - 1).at_least(1).name, dtype)
    step = call.widened("Div", call.widened("Sub", stop, start), gaps)
    steps = call.cast(counted(call, 0, count).name, dtype)
    return call.widened("Add", start, call.widened("Mul", steps, step))


@lowers("InvertPermutation", dtypes=("int32", "int64"))
def lower_invert_permutation(call: Call) -> str:
    """Position i goes where entry i says."""
    permutation = input_ints(call, 0)
    places = counted(call, 0, size_of(call, 0, 0).scalar())
    result = call.emit("ScatterElements", permutation.name, permutation.name, places.name, axis=0)
    return result if call.dtype() == INT64 else call.cast(result, call.dtype())
