"""Arithmetic on sparse tensors: sums, products, reductions, the softmax."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved, selected
from bnfold.export.ints import Ints, input_ints, joined, run_time_shape, strides_of
from bnfold.export.ops.scatter import LARGEST, SUM, combined, neutral
from bnfold.export.ops.sparse import dot, length_of
from bnfold.export.ops.sparse_order import kept_rows
from bnfold.export.table import FLOATS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64


def filled(call: Call, value: float, shape: Ints, dtype: DType) -> str:
    """``value`` all over ``shape``."""
    return moved(call, "Expand", [call.scalar(value, dtype), shape.name], dtype)


# Products


@lowers("SparseTensorDenseMatMul")
def lower_sparse_product(call: Call) -> str:
    """Row i is the sum of ``value · b[column]`` over the entries of row i."""
    dtype, (row, column) = call.dtype(1), (1, 0) if call.attr("adjoint_a") else (0, 1)
    right = call.transpose(call.input(3), [1, 0] if call.attr("adjoint_b") else [0, 1])
    indices, shape = input_ints(call, 0), input_ints(call, 2)
    columns = call.emit("Gather", indices.name, call.scalar(column, INT64), axis=1)
    rows = Ints(call, call.emit("Gather", indices.name, call.ints([row]), axis=1))
    products = call.widened(
        "Mul", call.unsqueeze(call.input(1), [1]), call.emit("Gather", right, columns, axis=0), dtype=dtype
    )
    width = run_time_shape(call, right).entries(1)
    base = filled(call, 0, joined(call, shape[row].vector(), width), dtype)
    return combined(call, SUM, base, rows, products, dtype, 1)


# A sparse and a dense tensor


@lowers("SparseTensorDenseAdd")
def lower_sparse_plus_dense(call: Call) -> str:
    return combined(call, SUM, call.input(3), input_ints(call, 0), call.input(1), call.dtype(1), length_of(call, 2))


@lowers("SparseDenseCwiseAdd", onnx="Add")
@lowers("SparseDenseCwiseMul", onnx="Mul")
@lowers("SparseDenseCwiseDiv", onnx="Div")
def lower_sparse_by_dense(call: Call) -> str:
    """The values with those of the dense tensor, broadcast, at their places."""
    dtype = call.dtype(1)
    spread = moved(call, "Expand", [call.input(3), input_ints(call, 2).name], dtype)
    there = call.emit("GatherND", spread, input_ints(call, 0).name)
    return call.widened(call.fact("onnx"), call.input(1), there, dtype=dtype)


# Two sparse tensors


def _united(call: Call, shape: Ints, rank: int | None) -> tuple[Ints, Ints, Ints, Ints]:
    """The places of both, each once, in row-major order; where those of each are among them; how many have each."""
    strides = strides_of(call, shape, rank)
    numbers = [dot(call, input_ints(call, index), strides) for index in (0, 3)]
    both = call.emit("Concat", *(number.name for number in numbers), axis=0)
    found, _, where, counts = call.emit_many("Unique", both, outputs=4, sorted=1)
    places = (Ints(call, found).expanded(1) // strides) % shape
    first = run_time_shape(call, numbers[0].name)
    return places, Ints(call, where).entries(0, first), Ints(call, where).entries(first), Ints(call, counts)


def _spread_out(call: Call, index: int, at: Ints, places: Ints) -> str:
    """The values of input ``index`` at ``at``, among zeros."""
    dtype = call.dtype(index)
    base = filled(call, 0, run_time_shape(call, places.name).entries(0, 1), dtype)
    return moved(call, "ScatterND", [base, at.expanded(1).name, call.input(index)], dtype, values=(0, 2))


@lowers("SparseAdd")
def lower_sparse_sum(call: Call) -> tuple[str, str, str]:
    """Sums of two whose magnitude is below the threshold are left out."""
    shape, rank, dtype = input_ints(call, 2), length_of(call, 2), call.dtype(1)
    places, first, second, counts = _united(call, shape, rank)
    total = call.widened("Add", _spread_out(call, 1, first, places), _spread_out(call, 4, second, places), dtype=dtype)
    threshold = call.value(6)
    if threshold is not None and threshold <= 0:
        return places.name, total, shape.name
    size = call.widened("Abs", total, dtype=dtype)
    kept = call.widened("GreaterOrEqual", size, call.cast(call.input(6), dtype), dtype=dtype)
    places, total = kept_rows(call, Ints(call, kept) | (counts < 2), places, total, dtype)
    return places.name, total, shape.name


@lowers("SparseSparseMaximum", onnx="Max")
@lowers("SparseSparseMinimum", onnx="Min")
def lower_sparse_extreme(call: Call) -> tuple[str, str]:
    """What one of them lacks is 0."""
    places, first, second, _ = _united(call, input_ints(call, 2), length_of(call, 2))
    values = (_spread_out(call, 1, first, places), _spread_out(call, 4, second, places))
    return places.name, call.widened(call.fact("onnx"), *values, dtype=call.dtype(1))


# Reductions


@lowers("SparseReduceSum", how=SUM)
@lowers("SparseReduceMax", how=LARGEST)
def lower_sparse_reduction(call: Call) -> str:
    """Of the dense tensor. Where there is no entry the result is 0, the largest too."""
    how, dtype, shape, indices = call.fact("how"), call.dtype(1), input_ints(call, 2), input_ints(call, 0)
    dense = combined(
        call, how, filled(call, neutral(how, dtype), shape, dtype), indices, call.input(1), dtype, length_of(call, 2)
    )
    result = _reduced(call, how.reduce, dense, dtype)
    if how is SUM:
        return result
    present = filled(call, 1, run_time_shape(call, call.input(1)), INT64)
    there = call.emit("ScatterND", filled(call, 0, shape, INT64), indices.name, present)
    some = Ints(call, _reduced(call, "ReduceMax", there, INT64)) > 0
    return selected(call, some.name, result, call.scalar(0, dtype), dtype)


def _reduced(call: Call, op: str, value: str, dtype: DType) -> str:
    """Reduced over the axes that input 3 names; if it names none, nothing is reduced."""
    axes, keep = call.value(3), bool(call.attr("keep_dims"))
    wide = call.wide_dtype(op, dtype)
    value = call.cast(value, wide) if wide != dtype else value
    if axes is not None:
        result = call.reduce(op, value, [int(axis) for axis in axes.reshape(-1)], keepdims=keep)
    elif op == "ReduceSum" or call.opset >= 18:
        axes_now = input_ints(call, 3).vector().name
        result = call.emit(op, value, axes_now, keepdims=keep, noop_with_empty_axes=1)
    else:
        raise call.refusal(f"{op} takes computed axes since opset 18")
    return call.cast(result, dtype) if wide != dtype else result


@lowers("SparseReduceSumSparse")
def lower_sparse_reduction_to_sparse(call: Call) -> tuple[str, str, str]:
    """The places that are left, each once, in row-major order."""
    rank, dtype, shape = length_of(call, 2), call.dtype(1), input_ints(call, 2)
    if rank is None or call.attr("keep_dims"):
        raise call.refusal("its rank is not known, or it keeps the axes")
    reduced = {int(axis) % rank for axis in call.constant_value(3, "axes").reshape(-1)}
    left = [axis for axis in range(rank) if axis not in reduced]
    if not left:
        raise call.refusal("it reduces all axes")
    rows = Ints(call, call.emit("Gather", input_ints(call, 0).name, call.ints(left), axis=1))
    kept = shape.take(left)
    strides = strides_of(call, kept, len(left))
    found, _, where = call.emit_many("Unique", dot(call, rows, strides).name, outputs=3, sorted=1)
    base = filled(call, 0, run_time_shape(call, found), dtype)
    values = combined(call, SUM, base, Ints(call, where).expanded(1), call.input(1), dtype, 1)
    return ((Ints(call, found).expanded(1) // strides) % kept).name, values, kept.name


@lowers("SparseSoftmax", dtypes=FLOATS)
def lower_sparse_softmax(call: Call) -> str:
    """Over the entries of each row of the last axis; what is not there has no part in it."""
    dtype, rank, shape = call.dtype(1), length_of(call, 2), input_ints(call, 2)
    row = dot(call, input_ints(call, 0), strides_of(call, shape, rank)) // shape[-1]
    count, at = shape.entries(0, -1).product().vector(), row.expanded(1)
    lowest = filled(call, neutral(LARGEST, dtype), count, dtype)
    top = call.emit("Gather", combined(call, LARGEST, lowest, at, call.input(1), dtype, 1), row.name)
    powers = call.widened("Exp", call.widened("Sub", call.input(1), top, dtype=dtype), dtype=dtype)
    totals = combined(call, SUM, filled(call, 0, count, dtype), at, powers, dtype, 1)
    return call.widened("Div", powers, call.emit("Gather", totals, row.name), dtype=dtype)
