"""Products of stacks of matrices, and Einstein sums."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters

from bnfold.export.call import Call
from bnfold.export.ops.complex import conjugate, is_complex, paired, parts
from bnfold.export.table import COMPLEX, NUMBERS, lowers
from bnfold.graph import DType, Shape

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
    if call.shape(index) is None:
        if is_complex(call):
            return call.emit("Einsum", conjugate(call, call.input(index)), equation="...ijk->...jik")
        return call.widened("Einsum", call.input(index), equation="...ij->...ji", dtype=call.dtype(index))
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
    """The same notation in both, except that spaces mean nothing, and that in ONNX an ellipsis does not broadcast."""
    operands, equation = _spelt_out(call, call.attr("equation").replace(" ", ""))
    result = equation.partition("->")[2].replace(".", "")
    if len(set(result)) < len(result):
        raise call.refusal(f"{equation!r} names an axis of the result twice")
    if not is_complex(call):
        return call.widened("Einsum", *operands, equation=equation)
    if call.arity == 1:
        real, imaginary = (
            call.unsqueeze(call.emit("Einsum", call.squeeze(part, [-1]), equation=equation), [-1])
            for part in parts(call, operands[0])
        )
        return paired(call, real, imaginary)
    x, y = operands
    return complex_product(call, x, y, lambda a, b: call.emit("Einsum", a, b, equation=equation))


def _spelt_out(call: Call, equation: str) -> tuple[list[str], str]:
    """The operands, and the equation with letters for its ellipsis where that broadcasts.

    An axis of size 1 that meets a longer one is taken away, and so is its letter.
    """
    operands = call.inputs()
    if "..." not in equation or call.arity < 2 or any(call.shape(index) is None for index in range(call.arity)):
        return operands, equation
    inputs, _, result = equation.partition("->")
    terms = inputs.split(",")
    hidden = [_hidden(term, call.known_shape(index)) for index, term in enumerate(terms)]
    with_ellipsis = [shape for term, shape in zip(terms, hidden, strict=True) if "..." in term]
    if all(shape == with_ellipsis[0] and None not in shape for shape in with_ellipsis):
        return operands, equation
    count = max(map(len, hidden))
    letters = [letter for letter in ascii_letters if letter not in equation][:count]
    longest = [any(_from_end(shape, count, axis) != 1 for shape in hidden) for axis in range(count)]
    for index, (term, shape) in enumerate(zip(terms, hidden, strict=True)):
        first = count - len(shape)
        dropped = [axis for axis, size in enumerate(shape) if size == 1 and longest[first + axis]]
        start = term.index("...") if "..." in term else 0
        operands[index] = call.squeeze(operands[index], [start + axis for axis in dropped])
        spelt = "".join(letters[first + axis] for axis in range(len(shape)) if axis not in dropped)
        terms[index] = term.replace("...", spelt)
    return operands, ",".join(terms) + "->" + result.replace("...", "".join(letters))


def _hidden(term: str, shape: Shape) -> Shape:
    """The sizes of the axes for which an ellipsis in ``term`` stands."""
    if "..." not in term:
        return ()
    before, _, after = term.partition("...")
    return shape[len(before) : len(shape) - len(after)]


def _from_end(shape: Shape, count: int, axis: int) -> int | None:
    """The size of ``axis`` of ``count``, when ``shape`` stands at their right; 1 before it."""
    at = axis - (count - len(shape))
    return 1 if at < 0 else shape[at]
