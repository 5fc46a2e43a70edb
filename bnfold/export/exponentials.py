"""The exponential less 1, and the logarithm of 1 more, right to the last place also near 0."""

from __future__ import annotations

from functools import partial

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.graph import DType


def expm1(call: Call, dtype: DType, x: str) -> str:
    """exp(x) - 1, to the last place also where exp(x) is rounded to little more than 1.

        u = exp(x)        expm1(x) = (u - 1) x / log(u), or x where u = 1

    The rounding of u cancels in the quotient (W. Kahan).
    """
    f, one = partial(call.widened, dtype=dtype), call.scalar(1, dtype)
    u = f("Exp", x)
    above = f("Sub", u, one)
    quotient = f("Div", f("Mul", above, x), f("Log", u))
    near = selected(call, f("Equal", u, one), x, quotient, dtype)
    return selected(call, f("Less", f("Abs", x), one), near, above, dtype)


def log1p(call: Call, dtype: DType, x: str) -> str:
    """log(1 + x), to the last place also where 1 + x is rounded.

        u = 1 + x        log1p(x) = log(u) + (x - (u - 1)) / u

    The second term is what the rounding took away; where x is large there is nothing to mend.
    """
    f = partial(call.widened, dtype=dtype)
    one, half = call.scalar(1, dtype), call.scalar(0.5, dtype)
    u = f("Add", x, one)
    plain = f("Log", u)
    lost = f("Div", f("Sub", x, f("Sub", u, one)), u)
    small = f("Less", f("Abs", x), half)
    return selected(call, small, f("Add", plain, lost), plain, dtype)
