"""Products of stacks of matrices, and Einstein sums."""

from __future__ import annotations

from collections.abc import Callable

from bnfold.export.call import Call
from bnfold.export.ops.complex import conjugate, is_complex, paired, parts
from bnfold.export.table import COMPLEX, NUMBERS, lowers
from bnfold.graph import DType

PRODUCTS = (*NUMBERS, *COMPLEX)


@lowers("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", dtypes=PRODUCTS)
def lower_batch_matmul(call: Call) -> str:
    """adj_x and adj_y transpose, and conjugate what is complex. V3 may give a wider dtype than it takes."""
    x, y = (_adjoint(call, index, call.attr(name)) for index, name in enumerate(("adj_x", "adj_y")))
    if is_complex(call):
        return complex_product(call, x, y, lambda a, b: call.emit("MatMul", a, b))
    target: DType = call.out_dtype()
    if call.dtype(0) != target or call.dtype(1) != target:
        x, y = call.cast(x, target), call.cast(y, target)
    return call.widened("MatMul", x, y, dtype=target)


def _adjoint(call: Call, index: int, adjoint: bool) -> str:
    if not adjoint:
        return call.input(index)
    array, rank = call.value(index), call.rank(index)
    order = [*range(rank - 2), rank - 1, rank - 2]
    if array is not None and not is_complex(call):
        return call.constant(array.transpose(order), call.node.inputs[index])
    if is_complex(call):
        return call.transpose(conjugate(call, call.input(index)), [*order, rank])
    return call.transpose(call.input(index), order)


def complex_product(call: Call, x: str, y: str, product: Callable[[str, str], str]) -> str:
    """(a + bi)(c + di) for a bilinear ``product`` of real tensors."""
    (a, b), (c, d) = (tuple(call.squeeze(part, [-1]) for part in parts(call, value)) for value in (x, y))
    real = call.emit("Sub", product(a, c), product(b, d))
    imaginary = call.emit("Add", product(a, d), product(b, c))
    return paired(call, call.unsqueeze(real, [-1]), call.unsqueeze(imaginary, [-1]))


@lowers("Einsum", dtypes=PRODUCTS)
def lower_einsum(call: Call) -> str:
    """The same notation in both, except that spaces mean nothing."""
    equation = call.attr("equation").replace(" ", "")
    if not is_complex(call):
        return call.widened("Einsum", *call.inputs(), equation=equation)
    if call.arity == 1:
        real, imaginary = (
            call.unsqueeze(call.emit("Einsum", call.squeeze(part, [-1]), equation=equation), [-1])
            for part in parts(call, call.input(0))
        )
        return paired(call, real, imaginary)
    x, y = call.inputs()
    return complex_product(call, x, y, lambda a, b: call.emit("Einsum", a, b, equation=equation))
