"""The gamma function's relatives: its logarithm, the derivatives of that, and Hurwitz' zeta function."""

from __future__ import annotations

import math
from fractions import Fraction

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles, in_doubles
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, lowers

_SHIFT = 8
"""What is smaller is moved up by as much, by the recurrence: beyond, the asymptotic series are right to float64."""

_BERNOULLI = [Fraction(b) for b in ("1/6", "-1/30", "1/42", "-1/30", "5/66", "-691/2730", "7/6", "-3617/510")]
"""The Bernoulli numbers B₂, B₄, …"""


@lowers("Lgamma", dtypes=FLOATS, placement=FOLLOWS)
def lower_log_gamma(call: Call) -> str:
    return in_doubles(call, log_gamma)


def log_gamma(f: Doubles, x: str) -> str:
    """log |Γ(x)|, below 1/2 by the reflection |Γ(x) Γ(1 - x)| = π / |sin πx|."""
    mirrored = f("Less", x, 0.5)
    right = _log_gamma_right(f, f.where(mirrored, f("Sub", 1.0, x), x))
    left = f("Sub", f("Sub", math.log(math.pi), f("Log", f("Abs", f("Sin", _angle(f, x))))), right)
    return f.where(f("Equal", f("Abs", x), math.inf), math.inf, f.where(mirrored, left, right))


def _angle(f: Doubles, x: str) -> str:
    """πx, less whole multiples of π: the difference from the nearest integer is exact."""
    return f("Mul", f("Sub", x, f("Round", x)), math.pi)


def _log_gamma_right(f: Doubles, x: str) -> str:
    """(w - 1/2)(log w - 1) + (log 2π - 1)/2 + Σ B₂ₖ / (2k (2k-1) w²ᵏ⁻¹), Stirling's series"""
    small = f("Less", x, float(_SHIFT))
    w = f.where(small, f("Add", x, float(_SHIFT)), x)
    inverse = f("Div", 1.0, w)
    terms = [float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(_BERNOULLI, 1)]
    series = f("Mul", f.polynomial(f("Mul", inverse, inverse), terms), inverse)
    main = f("Mul", f("Sub", w, 0.5), f("Sub", f("Log", w), 1.0))
    stirling = f("Add", f("Add", main, (math.log(2 * math.pi) - 1) / 2), series)
    steps = f.over_last("ReduceProd", f.spread(f("Min", x, float(_SHIFT)), range(_SHIFT), "Add"))
    return f("Sub", stirling, f.where(small, f("Log", steps), 0.0))


@lowers("Digamma", dtypes=FLOATS, placement=FOLLOWS)
def lower_digamma(call: Call) -> str:
    return in_doubles(call, digamma)


def digamma(f: Doubles, x: str) -> str:
    """Γ'(x) / Γ(x), below 1/2 by ψ(x) = ψ(1 - x) - π / tan πx; at its poles NaN, as TensorFlow has it."""
    mirrored = f("Less", x, 0.5)
    right = _digamma_right(f, f.where(mirrored, f("Sub", 1.0, x), x))
    angle = _angle(f, x)
    half = f("Sin", f("Mul", angle, 0.5))
    cos = f("Sub", 1.0, f("Mul", 2.0, f("Mul", half, half)))
    sin = f("Sin", angle)
    left = f("Sub", right, f("Mul", f("Div", cos, sin), math.pi))
    left = f.where(f("Equal", sin, 0.0), math.nan, left)
    return f.where(mirrored, left, right)


def _digamma_right(f: Doubles, x: str) -> str:
    """log w - 1/2w - Σ B₂ₖ / (2k w²ᵏ)"""
    small = f("Less", x, float(_SHIFT))
    w = f.where(small, f("Add", x, float(_SHIFT)), x)
    inverse = f("Div", 1.0, w)
    square = f("Mul", inverse, inverse)
    series = f("Mul", f.polynomial(square, [float(b / (2 * k)) for k, b in enumerate(_BERNOULLI, 1)]), square)
    far = f("Sub", f("Sub", f("Log", w), f("Mul", inverse, 0.5)), series)
    steps = f.spread(f("Min", x, float(_SHIFT)), range(_SHIFT), "Add")
    return f("Sub", far, f.where(small, f.over_last("ReduceSum", f("Reciprocal", steps)), 0.0))


@lowers("Zeta", dtypes=FLOATS, placement=FOLLOWS)
def lower_zeta(call: Call) -> str:
    return in_doubles(call, zeta)


def zeta(f: Doubles, s: str, q: str) -> str:
    """Σ (q + k)⁻ˢ of all k ≥ 0, by the sum formula of Euler and Maclaurin; q > 0 and s > 1.

        Σ k<N (q + k)⁻ˢ + w¹⁻ˢ / (s - 1) + w⁻ˢ / 2 + Σ B₂ⱼ / (2j)! · s (s+1) … (s+2j-2) w⁻ˢ⁻²ʲ⁺¹        w = q + N

    At s = 1 it is infinite, and of an even s where q is 0 or a negative integer; elsewhere it is NaN, also of a
    negative q and an integer s, of which TensorFlow has a sum.
    """
    call, steps = f.call, 12
    power = f("Neg", s)
    terms = f("Pow", f.spread(q, range(steps), "Add"), call.unsqueeze(f("Add", power, f("Mul", q, 0.0)), [-1]))
    w = f("Add", q, float(steps))
    last = f("Pow", w, power)
    total = f("Add", f.over_last("ReduceSum", terms), f("Mul", f("Div", w, f("Sub", s, 1.0)), last))
    total = f("Add", total, f("Mul", last, 0.5))
    factor = f("Div", f("Mul", s, last), w)
    for j, b in enumerate(_BERNOULLI, 1):
        total = f("Add", total, f("Mul", factor, float(b / math.factorial(2 * j))))
        rising = f("Mul", f("Add", s, float(2 * j - 1)), f("Add", s, float(2 * j)))
        factor = f("Div", f("Mul", factor, rising), f("Mul", w, w))
    inside = call.emit("And", f("Greater", s, 1.0), f("Greater", q, 0.0))
    pole = call.emit("And", f("LessOrEqual", q, 0.0), f("Equal", q, f("Floor", q)))
    even = call.emit("And", f("Equal", _remainder(f, s), 0.0), f("Greater", s, 1.0))
    infinite = call.emit("Or", f("Equal", s, 1.0), call.emit("And", pole, even))
    return f.where(infinite, math.inf, f.where(inside, total, math.nan))


@lowers("Polygamma", dtypes=FLOATS, placement=FOLLOWS)
def lower_polygamma(call: Call) -> str:
    return in_doubles(call, polygamma)


def polygamma(f: Doubles, n: str, x: str) -> str:
    """The n-th derivative of ψ: (-1)ⁿ⁺¹ n! ζ(n + 1, x), and ψ itself for n = 0."""
    order = f("Add", n, 1.0)
    size = f("Mul", f("Exp", log_gamma(f, order)), zeta(f, order, x))
    odd = f("Equal", _remainder(f, n), 1.0)
    higher = f.where(odd, size, f("Neg", size))
    whole = f.call.emit("And", f("Equal", n, f("Floor", n)), f("GreaterOrEqual", n, 0.0))
    return f.where(f("Equal", n, 0.0), digamma(f, x), f.where(whole, higher, math.nan))


def _remainder(f: Doubles, n: str) -> str:
    """n mod 2"""
    return f("Sub", n, f("Mul", f("Floor", f("Mul", n, 0.5)), 2.0))
