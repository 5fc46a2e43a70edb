"""Modified Bessel functions of the first kind, of orders 0 and 1.

Up to |x| = 20 by the power series, whose terms have one sign; beyond by the asymptotic one, which is right to
float64 there:

    I(x) = (x/2)ⁿ Σ (x²/4)ᵏ / (k! (k+n)!)        I(x) = eˣ / √(2πx) · Σ (-1)ᵏ aₖ / xᵏ
    aₖ = (4n² - 1)(4n² - 9) … (4n² - (2k-1)²) / (k! 8ᵏ)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import islice

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles, in_doubles
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, lowers

_LIMIT = 20.0
_POWERS = 60
_INVERSE_POWERS = 24


@lowers("BesselI0", dtypes=FLOATS, placement=FOLLOWS, order=0, scaled=False)
@lowers("BesselI0e", dtypes=FLOATS, placement=FOLLOWS, order=0, scaled=True)
@lowers("BesselI1", dtypes=FLOATS, placement=FOLLOWS, order=1, scaled=False)
@lowers("BesselI1e", dtypes=FLOATS, placement=FOLLOWS, order=1, scaled=True)
def lower_bessel(call: Call) -> str:
    """Those with an e at the end of their names are I(x) e^-|x|, which never overflows."""
    return in_doubles(call, partial(_bessel, order=call.fact("order"), scaled=call.fact("scaled")))


def _bessel(f: Doubles, x: str, order: int, *, scaled: bool) -> str:
    size = f("Abs", x)
    near = f("Min", size, _LIMIT)
    sums = f.polynomial(f("Mul", f("Mul", near, near), 0.25), [_term(order, k) for k in range(_POWERS)])
    if order:
        sums = f("Mul", sums, f("Mul", near, 0.5))
    far = f("Max", size, _LIMIT)
    series = f.polynomial(f("Reciprocal", far), list(islice(_asymptotic(order), _INVERSE_POWERS)))
    series = f("Div", series, f("Sqrt", f("Mul", far, 2 * math.pi)))
    if scaled:
        sums = f("Mul", sums, f("Exp", f("Neg", near)))
    else:
        series = f("Mul", series, f("Exp", far))
    result = f.where(f("Greater", size, _LIMIT), series, sums)
    return f("Mul", result, f("Sign", x)) if order else result


def _term(order: int, k: int) -> float:
    return float(Fraction(1, math.factorial(k) * math.factorial(k + order)))


def _asymptotic(order: int) -> Iterator[float]:
    term, k = Fraction(1), 0
    while True:
        yield float(term)
        k += 1
        term *= Fraction((2 * k - 1) ** 2 - 4 * order**2, 8 * k)
