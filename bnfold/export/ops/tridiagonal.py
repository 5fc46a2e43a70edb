"""Matrices with nothing beside their three middle diagonals."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import counted, run_time_shape
from bnfold.export.ops.elimination import solution
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import FLOAT64


@lowers("TridiagonalSolve", dtypes=FLOATS)
def lower_tridiagonal_solve(call: Call) -> str:
    """The diagonals are the rows of one matrix: above, main, below. Pivots are looked for, whatever is asked for."""
    diagonals = call.cast(call.input(0), FLOAT64)
    rows = [call.emit("Gather", diagonals, call.ints([row]), axis=-2) for row in range(3)]
    matrix = _matrix(call, *rows)
    right = call.cast(call.input(1), FLOAT64)
    return call.cast(solution(call, matrix, right), call.dtype())


@lowers("TridiagonalMatMul", dtypes=FLOATS)
def lower_tridiagonal_product(call: Call) -> str:
    matrix = _matrix(call, *(call.cast(call.input(index), FLOAT64) for index in range(3)))
    return call.cast(call.emit("MatMul", matrix, call.cast(call.input(3), FLOAT64)), call.dtype())


def _matrix(call: Call, above: str, main: str, below: str) -> str:
    """Row i has entry i of each diagonal, which are given as matrices of one row."""
    column = counted(call, 0, run_time_shape(call, main).take([-1]).scalar())
    offset = column.expanded(0) - column.expanded(1)
    last = call.ints([-2])
    matrix = call.scalar(0, FLOAT64)
    for at, diagonal in ((-1, below), (0, main), (1, above)):
        values = call.unsqueeze(call.emit("Squeeze", diagonal, last), [-1])
        matrix = call.emit("Where", offset.equals(at).name, values, matrix)
    return matrix
