"""Functions of one number, elementwise."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ops.complex import complex_mul, is_complex
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers


@lowers("Abs", placement=FOLLOWS, onnx="Abs")
@lowers("Ceil", dtypes=FLOATS, placement=FOLLOWS, onnx="Ceil")
@lowers("Floor", dtypes=FLOATS, placement=FOLLOWS, onnx="Floor")
@lowers("Rint", "Round", dtypes=FLOATS, placement=FOLLOWS, onnx="Round")
@lowers("Exp", dtypes=FLOATS, placement=FOLLOWS, onnx="Exp")
@lowers("Log", dtypes=FLOATS, placement=FOLLOWS, onnx="Log")
@lowers("Sqrt", dtypes=FLOATS, placement=FOLLOWS, onnx="Sqrt")
@lowers("Sigmoid", dtypes=FLOATS, placement=FOLLOWS, onnx="Sigmoid")
@lowers("Tanh", dtypes=FLOATS, placement=FOLLOWS, onnx="Tanh")
@lowers("Reciprocal", "Inv", dtypes=FLOATS, placement=FOLLOWS, onnx="Reciprocal")
@lowers("Sign", placement=FOLLOWS, onnx="Sign")
@lowers("Neg", dtypes=(*NUMBERS, *COMPLEX), placement=FOLLOWS, onnx="Neg")
def lower_unary(call: Call) -> str:
    return call.widened(call.fact("onnx"), call.input(0))


@lowers("Square", dtypes=(*NUMBERS, *COMPLEX), placement=FOLLOWS)
def lower_square(call: Call) -> str:
    if is_complex(call):
        return complex_mul(call, call.input(0), call.input(0))
    return call.widened("Mul", call.input(0), call.input(0))


@lowers("Rsqrt", dtypes=FLOATS, placement=FOLLOWS)
def lower_rsqrt(call: Call) -> str:
    return call.widened("Reciprocal", call.widened("Sqrt", call.input(0)))


@lowers("Expm1", dtypes=FLOATS, placement=FOLLOWS)
def lower_expm1(call: Call) -> str:
    """exp(x) - 1, to the last place also where exp(x) is rounded to little more than 1.

        u = exp(x)        expm1(x) = (u - 1) x / log(u), or x where u = 1

    The rounding of u cancels in the quotient (W. Kahan).
    """
    dtype, x = call.dtype(), call.input(0)
    one = call.scalar(1, dtype)
    u = call.widened("Exp", x)
    above = call.widened("Sub", u, one)
    quotient = call.widened("Div", call.widened("Mul", above, x), call.widened("Log", u))
    near = selected(call, call.widened("Equal", u, one), x, quotient, dtype)
    return selected(call, call.widened("Less", call.widened("Abs", x), one), near, above, dtype)


@lowers("Log1p", dtypes=FLOATS, placement=FOLLOWS)
def lower_log1p(call: Call) -> str:
    return log1p(call, call.input(0))


def log1p(call: Call, x: str) -> str:
    """log(1 + x), to the last place also where 1 + x is rounded.

        u = 1 + x        log1p(x) = log(u) + (x - (u - 1)) / u

    The second term is what the rounding took away; where x is large there is nothing to mend.
    """
    dtype = call.dtype()
    one, half = call.scalar(1, dtype), call.scalar(0.5, dtype)
    u = call.widened("Add", x, one)
    plain = call.widened("Log", u)
    lost = call.widened("Div", call.widened("Sub", x, call.widened("Sub", u, one)), u)
    small = call.widened("Less", call.widened("Abs", x), half)
    return selected(call, small, call.widened("Add", plain, lost), plain, dtype)
