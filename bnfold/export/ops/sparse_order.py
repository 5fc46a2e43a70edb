"""Sparse tensors put in order, cut, split and put together."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import LARGEST, Ints, counted, input_ints, run_time_shape, strides_of
from bnfold.export.ops.sparse import dot, length_of
from bnfold.export.table import ALL, lowers
from bnfold.graph import DType


def row_major(call: Call, indices: Ints, shape: Ints, rank: int | None) -> str:
    """The order in which the places ``indices`` follow one another in the flat tensor; equal ones stay as they are."""
    numbers = dot(call, indices, strides_of(call, shape, rank))
    count = run_time_shape(call, numbers.name)
    return call.emit_many("TopK", numbers.name, count.name, outputs=2, axis=0, largest=0, sorted=1)[1]


def kept_rows(call: Call, kept: Ints, indices: Ints, values: str, dtype: DType) -> tuple[Ints, str]:
    """The places and values where ``kept``, a vector of bools."""
    places = call.emit("Compress", indices.name, kept.name, axis=0)
    return Ints(call, places), moved(call, "Compress", [values, kept.name], dtype, axis=0)


def along(call: Call, axis: int, there: Ints, elsewhere: Ints | int, shape: Ints, rank: int | None) -> Ints:
    """A number for each axis of ``shape``: ``there`` for ``axis``, ``elsewhere`` for the others."""
    count = Ints(call, rank) if rank is not None else run_time_shape(call, shape.name).scalar()
    place = count + axis if axis < 0 else axis
    return counted(call, 0, count).equals(place).where(there, elsewhere)


def within(call: Call, indices: Ints, first: Ints, end: Ints) -> Ints:
    """Which rows of ``indices`` are at least ``first`` and less than ``end`` on every axis."""
    inside = ((indices >= first) & (indices < end)).as_int()
    return Ints(call, call.reduce("ReduceMin", inside.name, [1])) > 0


@lowers("SparseReorder", dtypes=ALL)
def lower_sparse_reorder(call: Call) -> tuple[str, str]:
    indices = input_ints(call, 0)
    order = row_major(call, indices, input_ints(call, 2), length_of(call, 2))
    return indices.take(Ints(call, order)).name, call.emit("Gather", call.input(1), order, axis=0)


@lowers("SparseSlice", dtypes=ALL)
def lower_sparse_slice(call: Call) -> tuple[str, str, str]:
    """From ``start``, as much of ``size`` as there is."""
    indices, shape, start, size = (input_ints(call, index) for index in (0, 2, 3, 4))
    cut = (shape - start).at_most(size).at_least(0)
    kept = within(call, indices, start, start + cut)
    places, values = kept_rows(call, kept, indices, call.input(1), call.dtype(1))
    return (places - start).name, values, cut.name


@lowers("SparseSplit", dtypes=ALL)
def lower_sparse_split(call: Call) -> tuple[str, ...]:
    """In parts whose sizes differ by 1 at most, the larger ones first. Outputs: all places, all values, all shapes."""
    count, rank = call.attr("num_split"), length_of(call, 3)
    axis = int(call.constant_value(0, "axis"))
    indices, shape = input_ints(call, 1), input_ints(call, 3)
    size = shape.entries(axis, axis + 1 or LARGEST).scalar()
    least, larger = size // count, size % count
    results: tuple[list[str], list[str], list[str]] = ([], [], [])
    for part in range(count):
        first = least * part + larger.at_most(part)
        end = least * (part + 1) + larger.at_most(part + 1)
        begin = along(call, axis, first, 0, shape, rank)
        limit = along(call, axis, end, shape, shape, rank)
        places, values = kept_rows(call, within(call, indices, begin, limit), indices, call.input(2), call.dtype(2))
        for result, name in zip(results, ((places - begin).name, values, (limit - begin).name), strict=True):
            result.append(name)
    return (*results[0], *results[1], *results[2])


@lowers("SparseConcat", dtypes=ALL)
def lower_sparse_concat(call: Call) -> tuple[str, str, str]:
    """Places move along the axis by the sizes of what comes before; the result is in row-major order."""
    count, axis = call.attr("N"), call.attr("concat_dim")
    rank, whole = length_of(call, 2 * count), input_ints(call, 2 * count)
    before = Ints(call, 0)
    places = []
    for part in range(count):
        places.append((input_ints(call, part) + along(call, axis, before, 0, whole, rank)).name)
        before = before + input_ints(call, 2 * count + part).entries(axis, axis + 1 or LARGEST).scalar()
    shape = along(call, axis, before, whole, whole, rank)
    indices = Ints(call, call.emit("Concat", *places, axis=0))
    values = call.emit("Concat", *(call.input(count + part) for part in range(count)), axis=0)
    order = row_major(call, indices, shape, rank)
    return indices.take(Ints(call, order)).name, call.emit("Gather", values, order, axis=0), shape.name
