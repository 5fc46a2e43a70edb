"""Tensors made of one value, or of values that follow one another."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, as_ints, counted, input_ints, joined, run_time_shape, size_of, strides_of
from bnfold.export.kernels import widening
from bnfold.export.ops.complex import is_complex
from bnfold.export.placement import FOLLOWS, Follows
from bnfold.export.table import ALL, ANY, FLOATS, NUMBERS, lowers
from bnfold.graph.dtypes import INT64


@lowers("Fill", dtypes=ANY)
def lower_fill(call: Call) -> str:
    return moved(call, "Expand", [call.input(1), _with_parts(call, input_ints(call, 0), 1).name], call.out_dtype())


@lowers("Empty", dtypes=ALL)
def lower_empty(call: Call) -> str:
    """Whatever is in it: zeros."""
    dtype = call.out_dtype()
    nothing = call.scalar("" if dtype.name == "string" else 0, dtype)
    return moved(call, "Expand", [nothing, input_ints(call, 0).name], dtype)


def _with_parts(call: Call, shape: Ints, index: int = 0) -> Ints:
    """``shape`` as input ``index`` is stored: complex numbers have an axis of two more."""
    return joined(call, shape, [2]) if is_complex(call, index) else shape


@lowers("ZerosLike", dtypes=ANY, placement=FOLLOWS, value=0)
@lowers("OnesLike", dtypes=ANY, placement=FOLLOWS, value=1)
def lower_like(call: Call) -> str:
    dtype = call.dtype()
    value = call.scalar(call.fact("value") if dtype.name != "string" else "", dtype)
    return moved(call, "Expand", [value, call.emit("Shape", call.input(0))], dtype)


@lowers("Tile", dtypes=ANY, placement=Follows(data=(0,), constant=(1,)))
def lower_tile(call: Call) -> str:
    times = call.value(1)
    if times is None:
        counts = joined(call, input_ints(call, 1), [1] if is_complex(call) else [])
        return moved(call, "Tile", [call.input(0), counts.name], call.dtype())
    parts = [1] if is_complex(call) else []
    if (times == 1).all():
        return call.input(0)
    return moved(call, "Tile", [call.input(0), call.ints([*call.per_axis(times.tolist()), *parts])], call.dtype())


@lowers("BroadcastTo", dtypes=ANY)
def lower_broadcast_to(call: Call) -> str:
    return moved(call, "Expand", [call.input(0), _with_parts(call, input_ints(call, 1)).name], call.dtype())


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
    if dtype.is_floating and not _counts_by_one(call):
        return _float_range(call)
    wide = widening("Range", dtype, call.opset) or dtype
    bounds = [call.input(index) if wide == dtype else call.cast(call.input(index), wide) for index in range(3)]
    values = call.emit("Range", *bounds)
    return values if wide == dtype else call.cast(values, dtype)


def _counts_by_one(call: Call) -> bool:
    start, step = call.value(0), call.value(2)
    return start is not None and step is not None and start == 0 and abs(step) == 1


def _float_range(call: Call) -> str:
    """``start + i · step``; how many there are is rounded in the dtype itself, as ONNX' own Range does not."""
    dtype = call.out_dtype()
    start, limit, step = call.inputs()
    span = call.widened("Div", call.widened("Sub", limit, start, dtype=dtype), step, dtype=dtype)
    count = Ints(call, call.cast(call.widened("Ceil", span, dtype=dtype), INT64)).at_least(0)
    steps = call.cast(counted(call, 0, count).name, dtype)
    return call.widened("Add", start, call.widened("Mul", steps, step, dtype=dtype), dtype=dtype)


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


@lowers("UnravelIndex", dtypes=("int32", "int64"))
def lower_unravel_index(call: Call) -> str:
    """Numbers of a flat tensor as its places, one axis a row."""
    sizes, numbers = input_ints(call, 1), input_ints(call, 0)
    known = call.shape(1)
    strides = strides_of(call, sizes, None if known is None else known[0])
    shape = call.shape(0)
    if shape != ():
        strides, sizes = strides.expanded(1), sizes.expanded(1)
    if shape is None:
        flat = (numbers.vector() // strides) % sizes
        whole = joined(call, run_time_shape(call, strides.name).entries(0, 1), run_time_shape(call, numbers.name))
        result = Ints(call, call.emit("Reshape", flat.name, whole.name))
    else:
        result = (numbers // strides) % sizes
    return result.name if call.out_dtype() == INT64 else call.cast(result.name, call.out_dtype())
