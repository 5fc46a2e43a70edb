"""The incomplete gamma and beta functions, in float64 and with a fixed number of steps.

Each fraction goes by W. J. Lentz' method: numerators and denominators are followed by their ratios C and D alone.
"""

from __future__ import annotations

import math

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles, in_doubles
from bnfold.export.ints import run_time_shape
from bnfold.export.ops.gamma import log_gamma
from bnfold.export.placement import FOLLOWS
from bnfold.export.steps import Step, repeated
from bnfold.export.table import lowers
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT64, INT64

_ANY = TensorType(FLOAT64, None)
_STEPS = 300
_TINY = 1e-300
"""In place of a 0 that would be divided by."""


@lowers("Igamma", dtypes=("float32", "float64"), placement=FOLLOWS, upper=False)
@lowers("Igammac", dtypes=("float32", "float64"), placement=FOLLOWS, upper=True)
def lower_incomplete_gamma(call: Call) -> str:
    """P(a, x) or Q = 1 - P, whichever of their series converges where x is: below a + 1, or above."""
    return in_doubles(call, lambda f, a, x: _incomplete_gamma(f, a, x, upper=call.fact("upper")))


def _incomplete_gamma(f: Doubles, a: str, x: str, *, upper: bool) -> str:
    a, x = _alike(f, a, x), _alike(f, x, a)
    is_left = f("Less", x, f("Add", a, 1.0))
    power = f("Sub", f("Mul", a, f("Log", x)), x)
    near = f.where(is_left, x, 0.0)
    left = f("Mul", f("Exp", f("Sub", power, log_gamma(f, f("Add", a, 1.0)))), _gamma_series(f, a, near))
    far = f.where(is_left, f("Add", a, 1.0), f("Min", x, 1e300))
    right = f("Mul", f("Exp", f("Sub", power, log_gamma(f, a))), _gamma_fraction(f, a, far))
    left = f.where(f("Equal", x, 0.0), 0.0, left)
    right = f.where(f("Equal", x, math.inf), 0.0, right)
    value = f.where(is_left, f("Sub", 1.0, left), right) if upper else f.where(is_left, left, f("Sub", 1.0, right))
    outside = f.call.emit("Or", f("Less", x, 0.0), f("LessOrEqual", a, 0.0))
    return f.where(outside, math.nan, value)


def _gamma_series(f: Doubles, a: str, x: str) -> str:
    """Σ xᵏ / ((a+1) … (a+k))"""

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str]:
        term, total = state
        above = step("Add", step("Add", a, step("Cast", step.squeeze(k, 0), to=FLOAT64)), 1.0)
        term = step("Mul", term, step("Div", x, above))
        return term, step("Add", total, term)

    one = f("Add", f("Sub", a, a), 1.0)
    _, total = repeated(f.call, f.call.scalar(_STEPS, INT64), [(one, _ANY), (one, _ANY)], write)
    return total


def _gamma_fraction(f: Doubles, a: str, x: str) -> str:
    """1 / (x+1-a - 1(1-a) / (x+3-a - 2(2-a) / (x+5-a - …)))"""
    first = f("Add", f("Sub", x, a), 1.0)

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str, str, str]:
        n = step("Add", step("Cast", step.squeeze(k, 0), to=FLOAT64), 1.0)
        above = step("Mul", n, step("Sub", a, n))
        below = step("Add", state[0], 2.0)
        return below, *_lentz(step, above, below, state[1:])

    start = f("Reciprocal", first)
    ratio = f("Add", f("Sub", a, a), 1 / _TINY)
    carried = [(value, _ANY) for value in (first, ratio, start, start)]
    return repeated(f.call, f.call.scalar(_STEPS, INT64), carried, write)[3]


def _lentz(step: Step, above: str, below: str, state: list[str]) -> tuple[str, str, str]:
    """C, D and the fraction after one more term ``above / (below + …)``."""
    c, d, fraction = state
    d = step("Reciprocal", _not_zero(step, step("Add", step("Mul", above, d), below)))
    c = _not_zero(step, step("Add", below, step("Div", above, c)))
    return c, d, step("Mul", fraction, step("Mul", c, d))


def _not_zero(step: Step, value: str) -> str:
    return step("Where", step("Equal", value, 0.0), _TINY, value)


@lowers("Betainc", dtypes=("float32", "float64"), placement=FOLLOWS)
def lower_incomplete_beta(call: Call) -> str:
    return in_doubles(call, _incomplete_beta)


def _incomplete_beta(f: Doubles, a: str, b: str, x: str) -> str:
    """xᵃ (1-x)ᵇ / (a B(a, b)) times a fraction, which converges left of (a+1)/(a+b+2); right of it 1 - I(b, a, 1-x)."""
    like = f("Add", f("Add", a, b), x)
    a, b, x = (_alike(f, value, like) for value in (a, b, x))
    middle = f("Div", f("Add", a, 1.0), f("Add", f("Add", a, b), 2.0))
    mirrored = f("Greater", x, middle)
    p, q = f.where(mirrored, b, a), f.where(mirrored, a, b)
    z = f.where(mirrored, f("Sub", 1.0, x), x)
    beta = f("Sub", f("Add", log_gamma(f, p), log_gamma(f, q)), log_gamma(f, f("Add", p, q)))
    power = f("Add", f("Mul", p, f("Log", z)), f("Mul", q, f("Log", f("Sub", 1.0, z))))
    share = f("Div", f("Mul", f("Exp", f("Sub", power, beta)), _beta_fraction(f, p, q, z)), p)
    share = f.where(f("Equal", z, 0.0), 0.0, share)
    outside = f.call.emit("Or", f("Less", x, 0.0), f("Greater", x, 1.0))
    outside = f.call.emit("Or", outside, f("LessOrEqual", f("Min", a, b), 0.0))
    return f.where(outside, math.nan, f.where(mirrored, f("Sub", 1.0, share), share))


def _beta_fraction(f: Doubles, a: str, b: str, x: str) -> str:
    """1 / (1 + d₁ / (1 + d₂ / (1 + …))), of which each step takes two terms:

    d₂ₘ = m(b-m)x / ((a+2m-1)(a+2m))        d₂ₘ₊₁ = -(a+m)(a+b+m)x / ((a+2m)(a+2m+1))
    """

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str, str]:
        m = step("Add", step("Cast", step.squeeze(k, 0), to=FLOAT64), 1.0)
        at = step("Add", a, step("Mul", m, 2.0))
        even = step("Mul", step("Mul", m, step("Sub", b, m)), x)
        even = step("Div", even, step("Mul", step("Sub", at, 1.0), at))
        odd = step("Mul", step("Mul", step("Add", a, m), step("Add", step("Add", a, b), m)), x)
        odd = step("Neg", step("Div", odd, step("Mul", at, step("Add", at, 1.0))))
        one = step("Add", step("Sub", x, x), 1.0)
        return _lentz(step, odd, one, list(_lentz(step, even, one, state)))

    first = f("Div", f("Mul", f("Add", a, b), x), f("Add", a, 1.0))
    start = f("Reciprocal", f("Sub", 1.0, first))
    one = f("Add", f("Sub", x, x), 1.0)
    carried = [(value, _ANY) for value in (one, start, start)]
    return repeated(f.call, f.call.scalar(_STEPS, INT64), carried, write)[2]


def _alike(f: Doubles, value: str, other: str) -> str:
    """``value`` with the shape of both: what a loop carries keeps its shape."""
    return f.call.emit("Expand", value, run_time_shape(f.call, other).name)
