"""Inverses, determinants and solutions of linear equations, by Gauss and Jordan's elimination.

It runs in float64: what TensorFlow gives in float32 is then as exact as its own rounding lets it be. A complex matrix
X + iY goes as the real one of twice the size, in which products and inverses are the same:

    [ X  -Y ]
    [ Y   X ]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import LARGEST, counted, joined, run_time_shape, size_of
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex, paired, parts
from bnfold.export.steps import Step, repeated
from bnfold.export.table import COMPLEX, FLOATS, lowers
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT32, FLOAT64

_ANY = TensorType(FLOAT64, None)
_CONJUGATE = np.array([1.0, -1.0])


@lowers("MatrixInverse", "BatchMatrixInverse", dtypes=(*FLOATS, *COMPLEX))
def lower_inverse(call: Call) -> str:
    matrix = _matrix(call, adjoint=call.attr("adjoint"))
    if is_complex(call):
        matrix = _embedded(call, matrix)
    return _as_given(call, solution(call, matrix, _identity(call, matrix)), columns=True)


@lowers("MatrixSolve", "BatchMatrixSolve", dtypes=(*FLOATS, *COMPLEX))
def lower_solve(call: Call) -> str:
    matrix, right = _matrix(call, adjoint=call.attr("adjoint")), call.cast(call.input(1), FLOAT64)
    if is_complex(call):
        matrix, right = _embedded(call, matrix), _stacked(call, right)
    return _as_given(call, solution(call, matrix, right))


@lowers("MatrixTriangularSolve", "BatchMatrixTriangularSolve", dtypes=(*FLOATS, *COMPLEX))
def lower_triangular_solve(call: Call) -> str:
    """The other triangle of the matrix is not looked at; stacks of matrices broadcast."""
    size = size_of(call, 0, -2 if is_complex(call) and call.shape() is None else -1).scalar()
    rows, columns = counted(call, 0, size).expanded(1), counted(call, 0, size).expanded(0)
    inside = columns <= rows if call.attr("lower") else columns >= rows
    if is_complex(call):
        inside = inside.expanded(2)
    triangle = call.emit("Where", inside.name, call.cast(call.input(0), FLOAT64), call.scalar(0, FLOAT64))
    matrix, right = _adjoint(call, triangle, adjoint=call.attr("adjoint")), call.cast(call.input(1), FLOAT64)
    if is_complex(call):
        matrix, right = _embedded(call, matrix), _stacked(call, right)
    if call.shape(0) is None or None in call.known_shape(0) or call.known_shape(0)[:-2] != (call.shape(1) or ())[:-2]:
        matrix, right = _alike(call, matrix, right), _alike(call, right, matrix)
    return _as_given(call, solution(call, matrix, right))


@lowers("MatrixDeterminant", "BatchMatrixDeterminant", dtypes=FLOATS)
def lower_determinant(call: Call) -> str:
    """onnxruntime's Det is of float32."""
    if call.dtype() == FLOAT32:
        return call.emit("Det", call.input(0))
    _, pivots = eliminated(call, _matrix(call))
    return call.cast(_over_pivots(call, "ReduceProd", pivots), call.dtype())


@lowers("LogMatrixDeterminant", dtypes=FLOATS)
def lower_log_determinant(call: Call) -> tuple[str, ...]:
    """The sign, and the logarithm of the absolute value: 0 and -∞ of a singular matrix."""
    _, pivots = eliminated(call, _matrix(call))
    sign = _over_pivots(call, "ReduceProd", call.emit("Sign", pivots))
    size = _over_pivots(call, "ReduceSum", call.emit("Log", call.emit("Abs", pivots)))
    return call.cast(sign, call.dtype()), call.cast(size, call.dtype())


def solution(call: Call, matrix: str, right: str) -> str:
    """``matrix⁻¹ right``, both float64 and of the same stack."""
    work, _ = eliminated(call, call.emit("Concat", matrix, right, axis=-1), count=_size(call, matrix))
    return call.emit("Slice", work, _size(call, matrix), call.ints([LARGEST]), call.ints([-1]))


def eliminated(call: Call, work: str, count: str | None = None) -> tuple[str, str]:
    """Rows are swapped and added up until the first ``count`` columns are those of the identity.

    Each step takes the largest entry that is left in its column as the pivot. Returned are the matrices, and the
    pivots along axis 0, which change their sign where rows are swapped: their product is the determinant.
    """
    count = count or _size(call, work)
    rows = counted(call, 0, run_time_shape(call, work).take([-2]).scalar()).name

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str]:
        here = step("Equal", rows, k)
        swapped, at = pivoted(step, state[0], rows, k)
        pivot_row = step("Gather", swapped, k, axis=-2)
        pivot = step("Gather", pivot_row, k, axis=-1)
        scaled = step("Div", pivot_row, step("Where", step("Equal", pivot, 0.0), 1.0, pivot))
        here = step.unsqueeze(here, -1)
        factor = step("Where", here, 0.0, step("Gather", swapped, k, axis=-1))
        after = step("Sub", step("Where", here, scaled, swapped), step("Mul", factor, scaled))
        kept = step("Equal", step.unsqueeze(at, -1), k)
        return after, step("Where", kept, pivot, step("Neg", pivot))

    work, pivots = repeated(call, count, [(work, _ANY)], write, [_ANY])
    return work, pivots


def pivoted(step: Step, work: str, rows: str, k: str) -> tuple[str, str]:
    """``work`` with row k and that of the largest entry below in column k swapped, and where that was."""
    column = step.squeeze(step("Gather", work, k, axis=-1), -1)
    left = step("Where", step("Less", rows, k), -1.0, step("Abs", column))
    at = step("ArgMax", left, axis=-1, keepdims=1)
    order = step("Where", step("Equal", rows, k), at, step("Where", step("Equal", rows, at), k, rows))
    order = step("Expand", step.unsqueeze(order, -1), step("Shape", work))
    return step("GatherElements", work, order, axis=-2), at


def transposed(call: Call, value: str, rank: int | None) -> str:
    """With the last two axes swapped, of ``rank`` axes."""
    if rank is None:
        return call.emit("Einsum", value, equation="...ij->...ji")
    return call.transpose(value, [*range(rank - 2), rank - 1, rank - 2])


def _matrix(call: Call, *, adjoint: bool = False) -> str:
    return _adjoint(call, call.cast(call.input(0), FLOAT64), adjoint=adjoint)


def _adjoint(call: Call, matrix: str, *, adjoint: bool) -> str:
    if not adjoint:
        return matrix
    if not is_complex(call):
        return transposed(call, matrix, None if call.shape() is None else call.rank())
    conjugate = call.emit("Mul", matrix, call.constant(_CONJUGATE))
    return call.emit("Einsum", conjugate, equation="...ijk->...jik")


def _embedded(call: Call, matrix: str) -> str:
    """A complex matrix as a real one."""
    real, imaginary = (call.squeeze(part, [-1]) for part in parts(call, matrix))
    above = call.emit("Concat", real, call.emit("Neg", imaginary), axis=-1)
    return call.emit("Concat", above, call.emit("Concat", imaginary, real, axis=-1), axis=-2)


def _stacked(call: Call, right: str) -> str:
    """Complex columns as real ones."""
    return call.emit("Concat", *(call.squeeze(part, [-1]) for part in parts(call, right)), axis=-2)


def _as_given(call: Call, result: str, *, columns: bool = False) -> str:
    """``result`` in the node's dtype; of a complex one the first half of the rows is real, the other imaginary."""
    if not is_complex(call):
        return call.cast(result, call.dtype())
    if columns:
        result = call.emit_many("Split", result, axis=-1, outputs=2, **_halves(call))[0]
    real, imaginary = call.emit_many("Split", result, axis=-2, outputs=2, **_halves(call))
    pair = paired(call, call.unsqueeze(real, [-1]), call.unsqueeze(imaginary, [-1]))
    return call.cast(pair, part_dtype(call.dtype()))


def _halves(call: Call) -> dict[str, Any]:
    return {"num_outputs": 2} if call.opset >= 18 else {}


def _identity(call: Call, like: str) -> str:
    count = run_time_shape(call, like).take([-1]).scalar()
    row = counted(call, 0, count)
    diagonal = call.cast(row.expanded(1).equals(row.expanded(0)).name, FLOAT64)
    return call.emit("Expand", diagonal, run_time_shape(call, like).name)


def _size(call: Call, matrix: str) -> str:
    """How many rows."""
    return run_time_shape(call, matrix).take([-2]).name


def _alike(call: Call, value: str, other: str) -> str:
    """``value`` with the leading axes of ``other`` too."""
    batch = run_time_shape(call, other).entries(0, -2)
    return call.emit("Expand", value, joined(call, batch, [1, 1]).name)


def _over_pivots(call: Call, op: str, pivots: str) -> str:
    return call.squeeze(call.reduce(op, pivots, [0]), [-2, -1])
