"""Matrices as products of triangular and orthogonal ones, computed in float64."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import Ints, counted, run_time_shape
from bnfold.export.ops.elimination import pivoted
from bnfold.export.steps import Step, repeated
from bnfold.export.table import FLOATS, lowers
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT64, INT64

_ANY = TensorType(FLOAT64, None)


def _size(call: Call, matrix: str, axis: int) -> Ints:
    return run_time_shape(call, matrix).take([axis]).scalar()


@lowers("Cholesky", "BatchCholesky", dtypes=FLOATS)
def lower_cholesky(call: Call) -> str:
    """Step k takes column k of what is left, over the root of its diagonal, as column k of the factor."""
    matrix = call.cast(call.input(0), FLOAT64)
    size = _size(call, matrix, -1)
    columns = counted(call, 0, size)
    rows = columns.expanded(1)

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str]:
        left, factor = state
        column = step("Gather", left, k, axis=-1)
        column = step("Div", column, step("Sqrt", step("Gather", column, k, axis=-2)))
        column = step("Where", step("Less", rows.name, k), 0.0, column)
        factor = step("Where", step("Equal", columns.name, k), column, factor)
        return step("Sub", left, step("Mul", column, _laid(step, column))), factor

    zeros = call.emit("Sub", matrix, matrix)
    _, factor = repeated(call, size.vector().name, [(matrix, _ANY), (zeros, _ANY)], write)
    return call.cast(factor, call.dtype())


def _laid(step: Step, column: str) -> str:
    """A column as a row."""
    return step.unsqueeze(step.squeeze(column, -1), -2)


@lowers("Lu", dtypes=FLOATS)
def lower_lu(call: Call) -> tuple[str, ...]:
    """Both factors in one matrix, and which row went where."""
    matrix = call.cast(call.input(0), FLOAT64)
    size = _size(call, matrix, -1)
    columns = counted(call, 0, size)
    rows = columns.expanded(1)

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str]:
        work, at = pivoted(step, state[0], columns.name, k)
        swaps = step("Where", step("Equal", columns.name, at), k, columns.name)
        order = step("GatherElements", state[1], step("Where", step("Equal", columns.name, k), at, swaps), axis=-1)
        row = step("Gather", work, k, axis=-2)
        below = step("Less", k, rows.name)
        factor = step("Div", step("Gather", work, k, axis=-1), step("Gather", row, k, axis=-1))
        factor = step("Where", below, factor, 0.0)
        row = step("Where", step("Less", columns.name, k), 0.0, row)  # there stand the factors of earlier steps
        reduced = step("Sub", work, step("Mul", factor, row))
        stored = step("And", below, step("Equal", columns.name, k))
        return step("Where", stored, factor, reduced), order

    batch = run_time_shape(call, matrix).entries(0, -1)
    order = call.emit("Expand", columns.name, batch.name)
    carried = [(matrix, _ANY), (order, TensorType(INT64, None))]
    factors, order = repeated(call, size.vector().name, carried, write)
    return call.cast(factors, call.dtype()), call.cast(order, call.out_dtype(1))


@lowers("Qr", dtypes=FLOATS)
def lower_qr(call: Call) -> tuple[str, ...]:
    """Householder's reflections, with the signs that Eigen gives them: a pivot that is not negative turns around.

    v = c - β e_k, β = ∓|c| of the column c from row k on; R' = R - 2 v (vᵀR) / vᵀv, Q' = Q - 2 (Qv) vᵀ / vᵀv. A column
    that is 0 below its pivot stays as it is.
    """
    matrix = call.cast(call.input(0), FLOAT64)
    height, width = _size(call, matrix, -2), _size(call, matrix, -1)
    count = height.at_most(width)
    rows = counted(call, 0, height).expanded(1)

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str]:
        right, left = state
        column = step("Where", step("Less", rows.name, k), 0.0, step("Gather", right, k, axis=-1))
        pivot = step("Gather", column, k, axis=-2)
        length = step("Sqrt", _dot(step, column, column))
        here = step("Equal", rows.name, k)
        below = step("Where", here, 0.0, column)
        is_done = step("Equal", _dot(step, below, below), 0.0)
        beta = step("Where", step("Less", pivot, 0.0), length, step("Neg", length))
        v = step("Where", is_done, 0.0, step("Where", here, step("Sub", pivot, beta), below))
        square = _dot(step, v, v)
        scale = step("Div", 2.0, step("Where", is_done, 1.0, square))
        laid = step("Mul", _laid(step, v), scale)
        right = step("Sub", right, step("Mul", v, step("MatMul", laid, right)))
        return right, step("Sub", left, step("Mul", step("MatMul", left, v), laid))

    diagonal = call.cast(rows.equals(counted(call, 0, height).expanded(0)).name, FLOAT64)
    first = call.emit("Slice", matrix, call.ints([0]), call.ints([1]), call.ints([-1]))
    stack = call.emit("Sub", first, first)  # zeros of the stack's shape
    left = call.emit("Add", diagonal, stack)
    right, left = repeated(call, count.vector().name, [(matrix, _ANY), (left, _ANY)], write)
    upper = counted(call, 0, width).expanded(0) >= rows
    right = call.emit("Where", upper.name, right, call.scalar(0, FLOAT64))
    if not call.attr("full_matrices"):
        zero, end = call.ints([0]), count.vector().name
        left = call.emit("Slice", left, zero, end, call.ints([-1]))
        right = call.emit("Slice", right, zero, end, call.ints([-2]))
    return call.cast(left, call.dtype()), call.cast(right, call.dtype())


def _dot(step: Step, a: str, b: str) -> str:
    """Of two columns, as a matrix of one entry."""
    return step("MatMul", _laid(step, a), b)
