"""Sparse tensors, which TensorFlow holds as indices, values and a shape."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape, strides_of
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ALL, ANY, lowers
from bnfold.graph.dtypes import INT64


@lowers("SparseToDense", dtypes=ANY)
def lower_sparse_to_dense(call: Call) -> str:
    """Indices are a matrix with one place a row, or for a vector just positions."""
    dtype = call.dtype(2)
    indices = input_ints(call, 0)
    if call.rank(0) < 2:
        indices = indices.reshaped([-1, 1])
    parts = [2] if is_complex(call, 2) else []
    base = moved(call, "Expand", [call.input(3), joined(call, input_ints(call, 1), parts).name], dtype)
    values = call.input(2)
    if call.shape(2) == ():
        values = moved(
            call, "Expand", [values, joined(call, run_time_shape(call, indices.name).entries(0, 1), parts).name], dtype
        )
    return moved(call, "ScatterND", [base, indices.name, values], dtype, values=(0, 2))


@lowers("SparseReshape", dtypes=("int64",))
def lower_sparse_reshape(call: Call) -> tuple[str, str]:
    """Each place as its number in the flat tensor, and that number as a place of the new shape."""
    before, asked = input_ints(call, 1), input_ints(call, 2)
    rank, new_rank = length_of(call, 1), length_of(call, 2)
    known = (asked < 0).where(1, asked).product()
    after = (asked < 0).where(before.product() // known.at_least(1), asked)
    numbers = dot(call, input_ints(call, 0), strides_of(call, before, rank))
    places = (numbers.expanded(1) // strides_of(call, after, new_rank)) % after
    return places.name, after.name


_PLACES = {"SparseSplit": 1}
"""The input with the places, where that is not the first."""


def length_of(call: Call, index: int) -> int | None:
    """The number of entries of input ``index``, a shape: the rank of a sparse tensor. None if it is not known."""
    shape = call.shape(index)
    if shape and shape[0] is not None:
        return shape[0]
    places = call.shape(_PLACES.get(call.op, 0))
    return places[1] if places is not None and len(places) == 2 else None


def dot(call: Call, indices: Ints, strides: Ints) -> Ints:
    """The places ``indices``, one a row, as numbers of the flat tensor."""
    products = indices * strides
    if products.known is not None:
        return Ints(call, products.known.sum(axis=1))
    return Ints(call, call.reduce("ReduceSum", products.name, [1]))


@lowers("SparseFillEmptyRows", dtypes=ALL)
def lower_sparse_fill_empty_rows(call: Call) -> tuple[str, str, str, str]:
    """A row without entries gets one, with the default value, in column 0; all are sorted by row.

    The key ``row · total + position`` sorts entries of one row as they came.
    """
    indices, values, shape = input_ints(call, 0), call.input(1), input_ints(call, 2)
    rank, dtype = length_of(call, 2), call.dtype(1)
    others = run_time_shape(call, shape.name) - 1 if rank is None else Ints(call, [rank - 1])
    rows = Ints(call, call.emit("Gather", indices.name, call.scalar(0, INT64), axis=1))
    every = counted(call, 0, shape[0])
    hits = call.reduce("ReduceSum", call.cast(every.expanded(1).equals(rows.expanded(0)).name, INT64), [1])
    empty = Ints(call, hits).equals(0)
    added = Ints(call, call.emit("Compress", every.name, empty.name, axis=0))
    column = call.emit("Pad", added.expanded(1).name, joined(call, [0, 0, 0], others).name)
    places = call.emit("Concat", indices.name, column, axis=0)
    filler = moved(call, "Expand", [call.input(3), run_time_shape(call, added.name).name], dtype)
    filled = call.emit("Concat", values, filler, axis=0)
    all_rows = Ints(call, call.emit("Concat", rows.name, added.name, axis=0))
    total = run_time_shape(call, all_rows.name)
    position = counted(call, 0, total.scalar())
    keys = all_rows * total + position
    _, order = call.emit_many("TopK", keys.name, total.name, outputs=2, axis=0, largest=0, sorted=1)
    back = call.emit("ScatterElements", order, order, position.name, axis=0)
    first = run_time_shape(call, rows.name)
    return (
        call.emit("Gather", places, order, axis=0),
        call.emit("Gather", filled, order, axis=0),
        empty.name,
        call.emit("Slice", back, call.ints([0]), first.name),
    )
