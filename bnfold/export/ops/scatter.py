"""Values added, multiplied, or put where indices say.

ScatterND combines since opset 16 (sums, products) and 18 (extremes). Before that each place of the result looks
through all the updates for its own: a mask of places × updates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import moved, selected
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape, strides_of
from bnfold.export.kernels import widening
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex
from bnfold.export.order import extreme, order_kept
from bnfold.export.table import ANY, COMPLEX, NUMBERS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64


@dataclass(frozen=True)
class Combination:
    """How the updates of one place, and what was there before, become one value."""

    reduction: str
    reduce: str
    onnx: str
    since: int


SUM = Combination("add", "ReduceSum", "Add", 16)
PRODUCT = Combination("mul", "ReduceProd", "Mul", 16)
LARGEST = Combination("max", "ReduceMax", "Max", 18)
SMALLEST = Combination("min", "ReduceMin", "Min", 18)


def neutral(combination: Combination, dtype: DType) -> float:
    """What changes nothing: 0, 1, the lowest or the highest number."""
    if combination in (SUM, PRODUCT):
        return 0 if combination is SUM else 1
    assert dtype.numpy is not None
    if dtype.is_floating:
        return -math.inf if combination is LARGEST else math.inf
    limits = np.iinfo(dtype.numpy)
    return limits.min if combination is LARGEST else limits.max


def combined(
    call: Call, how: Combination, base: str, indices: Ints, updates: str, dtype: DType, depth: int | None
) -> str:
    """``base`` with ``updates`` combined into the places that ``indices`` name.

    Parameters
    ----------
    base, updates : str
        Of ``dtype``.
    indices : Ints of shape (…, depth)
        Positions on the first ``depth`` axes of ``base``; the other axes of ``indices`` are the first of ``updates``.
    depth : int or None
        None: as many as ``indices`` turns out to have when the model runs.
    """
    if call.opset >= how.since:
        wide = _scattering(dtype)
        values = [call.cast(value, wide) if wide != dtype else value for value in (base, updates)]
        result = call.emit("ScatterND", values[0], indices.name, values[1], reduction=how.reduction)
        return result if wide == dtype else call.cast(result, dtype)
    shape = run_time_shape(call, base)
    deep = run_time_shape(call, indices.name).entries(-1) if depth is None else Ints(call, [depth])
    rows = shape.entries(0, deep)
    row = _row_numbers(call, indices, rows, deep, depth)
    rest = shape.entries(deep)
    flat = call.emit("Reshape", updates, joined(call, [-1], rest.product().vector()).name)
    count = rows.product()
    gathered = reduced_by_row(call, how, flat, row, count, dtype)
    gathered = call.emit("Reshape", gathered, shape.name)
    if how in (LARGEST, SMALLEST):
        return extreme(call, how.onnx, base, gathered, dtype)
    return call.widened(how.onnx, base, gathered, dtype=dtype)


def _scattering(dtype: DType) -> DType:
    """onnxruntime's ScatterND adds in these; the rest goes through float32 and int32, or int64."""
    narrow = {"float16": "float32", "bfloat16": "float32"}
    return DType.named(narrow.get(dtype.name, dtype.name))


def _row_numbers(call: Call, indices: Ints, rows: Ints, deep: Ints, depth: int | None) -> Ints:
    """The places as numbers: ``Σ index_k · Π rows after k``, as a vector."""
    matrix = Ints(call, call.emit("Reshape", indices.name, joined(call, [-1], deep).name))
    flat = matrix * strides_of(call, rows, depth)
    return Ints(call, call.reduce("ReduceSum", flat.name, [1]))


def reduced_by_row(call: Call, how: Combination, flat: str, row: Ints, count: Ints, dtype: DType) -> str:
    """The rows of ``flat`` (a matrix) with the same number in ``row`` combined: a matrix of ``count`` rows."""
    mask = counted(call, 0, count).reshaped([-1, 1]).equals(row.expanded(0))  # (count, rows of flat)
    if how in (LARGEST, SMALLEST):
        under = order_kept(call, how.reduce, flat, dtype)
        least = call.scalar(neutral(how, INT64 if dtype.name == "uint64" else dtype), under.wide)
        return under.back(_by_mask(call, how, mask, under.value, least, under.wide))
    wide = widening(how.reduce, dtype, call.opset) or dtype
    values = call.cast(flat, wide) if wide != dtype else flat
    if how is SUM and wide.is_floating:
        result = call.widened("MatMul", call.cast(mask.name, wide), values, dtype=wide)
    else:
        result = _by_mask(call, how, mask, values, call.scalar(neutral(how, dtype), wide), wide)
    return result if wide == dtype else call.cast(result, dtype)


def _by_mask(call: Call, how: Combination, mask: Ints, values: str, other: str, dtype: DType) -> str:
    """For each row of ``mask`` the rows of ``values`` that it names, combined; the rest count as ``other``."""
    stack = selected(call, mask.expanded(2).name, call.unsqueeze(values, [0]), other, dtype)
    return call.reduce(how.reduce, stack, [1])


@lowers("ScatterNd", dtypes=ANY)
def lower_scatter_nd(call: Call) -> str:
    """Updates of the same place are added up."""
    _refuse_to_ignore(call)
    dtype, shape = call.dtype(1), joined(call, input_ints(call, 2), [2] if is_complex(call, 1) else [])
    base = moved(call, "Expand", [call.scalar("" if dtype.name == "string" else 0, dtype), shape.name], dtype)
    if dtype.name in ("bool", "string"):
        return call.emit("ScatterND", base, input_ints(call, 0).name, call.input(1))
    return combined(call, SUM, base, input_ints(call, 0), call.input(1), part_dtype(dtype), _depth(call, 0))


@lowers("TensorScatterUpdate", dtypes=ANY)
def lower_tensor_scatter_update(call: Call) -> str:
    _refuse_to_ignore(call)
    dtype = call.dtype()
    return moved(call, "ScatterND", [call.input(0), input_ints(call, 1).name, call.input(2)], dtype, values=(0, 2))


@lowers("TensorScatterAdd", "ScatterNdNonAliasingAdd", dtypes=(*NUMBERS, *COMPLEX), how=SUM)
@lowers("TensorScatterSub", dtypes=(*NUMBERS, *COMPLEX), how=SUM)
@lowers("TensorScatterMax", how=LARGEST)
@lowers("TensorScatterMin", how=SMALLEST)
def lower_tensor_scatter(call: Call) -> str:
    _refuse_to_ignore(call)
    updates, dtype = call.input(2), part_dtype(call.dtype())
    if call.op == "TensorScatterSub":
        updates = call.widened("Sub", call.scalar(0, dtype), updates, dtype=dtype)
    return combined(call, call.fact("how"), call.input(0), input_ints(call, 1), updates, dtype, _depth(call, 1))


def _refuse_to_ignore(call: Call) -> None:
    if call.attr("bad_indices_policy") == "IGNORE":
        raise call.refusal("it leaves out indices that there are not, over which ONNX fails")


def _depth(call: Call, index: int) -> int | None:
    shape = call.shape(index)
    return shape[-1] if shape else None
