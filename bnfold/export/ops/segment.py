"""Rows combined by the segment they are in."""

from __future__ import annotations

import ml_dtypes

from bnfold.export.call import Call
from bnfold.export.carry import moved, selected
from bnfold.export.ints import Ints, as_ints, counted, input_ints, joined, run_time_shape, sizes_of
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex
from bnfold.export.ops.scatter import LARGEST, PRODUCT, SMALLEST, SUM, Combination, combined, neutral
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64


@lowers("UnsortedSegmentSum", dtypes=(*NUMBERS, *COMPLEX), how=SUM)
@lowers("UnsortedSegmentProd", how=PRODUCT)
@lowers("UnsortedSegmentMax", how=LARGEST)
@lowers("UnsortedSegmentMin", how=SMALLEST)
def lower_unsorted_segment(call: Call) -> str:
    """An empty segment gives the sum or product of nothing, or the lowest or highest number of the dtype."""
    data, dtype = call.input(0), part_dtype(call.dtype())
    ids, shape = input_ints(call, 1), call.shape(1)
    rest = _rest(call, run_time_shape(call, run_time_shape(call, ids.name).name) if shape is None else len(shape))
    if shape is None or len(shape) != 1:
        ids = ids.vector()
        data = call.emit("Reshape", data, joined(call, [-1], rest).name)
    count = input_ints(call, 2)
    return _by_segment(call, call.fact("how"), data, ids, count, rest, dtype)


@lowers("SegmentSum", dtypes=(*NUMBERS, *COMPLEX), how=SUM, empty=0)
@lowers("SegmentProd", how=PRODUCT, empty=1)
@lowers("SegmentMax", how=LARGEST, empty=0)
@lowers("SegmentMin", how=SMALLEST, empty=0)
def lower_segment(call: Call) -> str:
    """There are as many segments as the last, and largest, id says; an empty one has a value of its own."""
    ids = input_ints(call, 1)
    return _sorted(call, call.fact("how"), call.input(0), ids, _count(ids), empty=call.fact("empty"))


@lowers("SegmentMean", dtypes=(*NUMBERS, *COMPLEX))
def lower_segment_mean(call: Call) -> str:
    ids = input_ints(call, 1)
    return _divided(call, call.input(0), ids, _count(ids), root=False)


def _rest(call: Call, after: Ints | int = 1) -> Ints:
    """The sizes of input 0, as it is stored, but for the first ``after`` axes."""
    if call.shape() is not None and isinstance(after, int):
        return joined(call, sizes_of(call, 0, range(after, call.rank())), [2] if is_complex(call) else [])
    return run_time_shape(call, call.input(0)).entries(after)


def _column(call: Call, numbers: Ints, rest: Ints) -> Ints:
    """One of ``numbers`` for each row, to broadcast over ``rest``."""
    if call.shape() is not None:
        return numbers.reshaped([-1] + [1] * (call.rank() - 1 + is_complex(call)))
    ones = as_ints(call, 1).spread(run_time_shape(call, rest.name))
    return Ints(call, call.emit("Reshape", numbers.name, joined(call, [-1], ones).name))


def _count(ids: Ints) -> Ints:
    return joined(ids.call, [-1], ids).max() + 1


def _sorted(call: Call, how: Combination, data: str, ids: Ints, count: Ints, *, empty: float) -> str:
    dtype, rest = part_dtype(call.dtype()), _rest(call)
    result = _by_segment(call, how, data, ids, count, rest, dtype)
    if neutral(how, dtype) == empty:
        return result
    sizes = _sizes(call, ids, count)
    column = _column(call, sizes.equals(0), rest)
    return selected(call, column.name, call.scalar(empty, dtype), result, dtype)


def _by_segment(call: Call, how: Combination, data: str, ids: Ints, count: Ints, rest: Ints, dtype: DType) -> str:
    """``data`` (rows, then ``rest``) combined by ``ids``; what has a negative id goes to a row that is cut off."""
    spare = (ids < 0).where(count, ids)
    base = moved(
        call, "Expand", [call.scalar(_least(how, dtype), dtype), joined(call, (count + 1).vector(), rest).name], dtype
    )
    result = combined(call, how, base, spare.expanded(1), data, dtype, 1)
    return call.emit("Slice", result, call.ints([0]), count.vector().name, call.ints([0]))


def _least(how: Combination, dtype: DType) -> float:
    """TensorFlow starts extremes from the lowest and highest finite number."""
    if dtype.is_floating and how in (LARGEST, SMALLEST):
        limits = ml_dtypes.finfo(dtype.numpy)
        return float(limits.min if how is LARGEST else limits.max)
    return neutral(how, dtype)


def _sizes(call: Call, ids: Ints, count: Ints) -> Ints:
    """How many rows each segment has."""
    ones = as_ints(call, 1).spread(run_time_shape(call, ids.name) if ids.known is None else [ids.known.size])
    return Ints(call, _by_segment(call, SUM, ones.name, ids, count, Ints(call, []), INT64))


def _divided(call: Call, data: str, ids: Ints, count: Ints, *, root: bool) -> str:
    """Sums over the number of rows, or over its square root."""
    dtype, rest = part_dtype(call.dtype()), _rest(call)
    total = _by_segment(call, SUM, data, ids, count, rest, dtype)
    sizes = call.cast(_column(call, _sizes(call, ids, count).at_least(1), rest).name, dtype)
    if root:
        sizes = call.widened("Sqrt", sizes)
    return call.widened("Div", total, sizes, dtype=dtype)


@lowers("SparseSegmentSum", "SparseSegmentSumWithNumSegments", dtypes=NUMBERS)
@lowers("SparseSegmentMean", "SparseSegmentMeanWithNumSegments", dtypes=FLOATS, root=False)
@lowers("SparseSegmentSqrtN", "SparseSegmentSqrtNWithNumSegments", dtypes=FLOATS, root=True)
def lower_sparse_segment(call: Call) -> str:
    """The rows that the indices name, combined by segment."""
    data = call.emit("Gather", call.input(0), call.input(1), axis=0)
    ids = input_ints(call, 2)
    count = input_ints(call, 3) if call.arity > 3 else _count(ids)
    root = call.fact("root")
    if root is None:
        return _sorted(call, SUM, data, ids, count, empty=0)
    return _divided(call, data, ids, count, root=root)


@lowers("Bincount")
def lower_bincount(call: Call) -> str:
    """Values beyond the size are not counted."""
    return _bincount(call)


def _bincount(call: Call) -> str:
    values, size = input_ints(call, 0).vector(), input_ints(call, 1)
    weights = call.input(2) if call.shape(2) != (0,) else ""
    return _counted(call, values, size, weights, call.out_dtype())


def _counted(call: Call, values: Ints, size: Ints, weights: str, dtype: DType) -> str:
    inside = (values >= size).where(-1, values)
    if weights:
        weights = call.reshape(weights, [-1])
        return _by_segment(call, SUM, weights, inside, size, Ints(call, []), dtype)
    counts = _sizes(call, inside, size).name
    return call.cast(counts, dtype)


def counted_values(call: Call, values: str, size: Ints, dtype: DType) -> str:
    """How often each number below ``size`` is among the int64 ``values``."""
    return _counted(call, Ints(call, values).vector(), size, "", dtype)


@lowers("DenseBincount")
def lower_dense_bincount(call: Call) -> str:
    """Of a vector, or of each row of a matrix: row r counts in the places from r · size."""
    if call.rank() == 1:
        if call.attr("binary_output"):
            counts = _counted(call, input_ints(call, 0), input_ints(call, 1), "", call.out_dtype())
            return call.widened("Min", counts, call.scalar(1, call.out_dtype()), dtype=call.out_dtype())
        return _bincount(call)
    values, size = input_ints(call, 0), input_ints(call, 1)
    rows = sizes_of(call, 0, [0])
    first = counted(call, 0, rows.scalar()).expanded(1) * size
    places = ((values < 0) | (values >= size)).where(-1, values + first)
    weights = call.input(2) if call.shape(2) != (0,) and not call.attr("binary_output") else ""
    dtype = call.out_dtype()
    total = rows.scalar() * size
    counts = _counted(call, places.vector(), total, weights, dtype)
    if call.attr("binary_output"):
        counts = call.widened("Min", counts, call.scalar(1, dtype), dtype=dtype)
    return call.emit("Reshape", counts, joined(call, rows, size.vector()).name)
