"""Angles and hyperbolic functions as ONNX nodes.

onnxruntime has most of these for float32 only. In float64 they are made of what it has there: exp, log, sqrt, sin and
cos. An inverse starts from the float32 angle; turned back by it, what is left is so small an angle that it is its
own tangent:

    θ = θ₀ + (y cos θ₀ - x sin θ₀) / (x cos θ₀ + y sin θ₀)        for the angle of (x, y)
"""

from __future__ import annotations

import math

import numpy as np

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles
from bnfold.export.exponentials import log1p
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32, FLOAT64


def trigonometric(call: Call, op: str, x: str, dtype: DType) -> str:
    """ONNX' ``op`` of ``x``, which is of ``dtype``."""
    if dtype == FLOAT64 and op in _IN_FLOAT64:
        return _IN_FLOAT64[op](Doubles(call), x)
    return call.widened(op, x, dtype=dtype)


def atan2(call: Call, y: str, x: str, dtype: DType) -> str:
    """The angle of ``(x, y)``, in the quadrant where it is; the signs of zeros count.

        θ = atan(y / |x|), and where x is negative ±π - θ with the sign of y

    Both are kept within the finite numbers, so that ∞ / ∞ is 1, and |x| above zero, so that 0 / 0 is 0.
    """
    if dtype == FLOAT64:
        return _refined(Doubles(call), y, x, call.cast(atan2(call, *_narrowed(call, y, x), FLOAT32), FLOAT64))
    if dtype != FLOAT32:
        return call.cast(atan2(call, call.cast(y, FLOAT32), call.cast(x, FLOAT32), FLOAT32), dtype)
    limits = np.finfo(np.float32)
    top, tiny = call.scalar(limits.max, FLOAT32), call.scalar(limits.tiny, FLOAT32)
    width = call.emit("Clip", call.emit("Abs", x), tiny, top)
    height = call.emit("Clip", y, call.scalar(limits.min, FLOAT32), top)
    angle = call.emit("Atan", call.emit("Div", height, width))
    pi = call.scalar(math.pi, FLOAT32)
    half_turn = call.emit("Where", _has_sign(call, y), call.emit("Neg", pi), pi)
    return call.emit("Where", _has_sign(call, x), call.emit("Sub", half_turn, angle), angle)


def _has_sign(call: Call, value: str) -> str:
    """Is it negative, or -0, whose reciprocal is -∞?"""
    zero = call.scalar(0, FLOAT32)
    return call.emit("Or", call.emit("Less", value, zero), call.emit("Less", call.emit("Reciprocal", value), zero))


def _narrowed(call: Call, y: str, x: str) -> tuple[str, str]:
    """As float32, after both are divided by the larger one: only their ratio counts."""
    doubles = Doubles(call)
    y, x = doubles.unit(y, x)
    return call.cast(y, FLOAT32), call.cast(x, FLOAT32)


def _refined(f: Doubles, y: str, x: str, angle: str) -> str:
    """``angle`` of (x, y) to the last place of float64; where both are 0 it is 0 or ±π."""
    y, x = f.unit(y, x)
    sin, cos = f("Sin", angle), _cos(f, angle)
    across = f("Sub", f("Mul", y, cos), f("Mul", x, sin))
    along = f("Add", f("Mul", x, cos), f("Mul", y, sin))
    exact = f("Mul", f("Round", f("Mul", angle, 1 / math.pi)), math.pi)
    return f.where(f("Equal", along, 0.0), exact, f("Add", angle, f("Div", across, along)))


def _cos(f: Doubles, x: str) -> str:
    """1 - 2·sin²(x/2): before 1.24 onnxruntime has a Sin of doubles and no Cos."""
    half = f("Sin", f("Mul", x, 0.5))
    return f("Sub", 1.0, f("Mul", 2.0, f("Mul", half, half)))


def _tan(f: Doubles, x: str) -> str:
    return f("Div", f("Sin", x), _cos(f, x))


def _start(f: Doubles, op: str, x: str) -> str:
    return f.call.cast(f.call.emit(op, f.call.cast(x, FLOAT32)), FLOAT64)


def _leg(f: Doubles, x: str) -> str:
    """√(1 - x²)"""
    return f("Sqrt", f("Mul", f("Sub", 1.0, x), f("Add", 1.0, x)))


def _asin(f: Doubles, x: str) -> str:
    return _refined(f, x, _leg(f, x), _start(f, "Asin", x))


def _acos(f: Doubles, x: str) -> str:
    return _refined(f, _leg(f, x), x, _start(f, "Acos", x))


def _atan(f: Doubles, x: str) -> str:
    return _refined(f, x, f.call.scalar(1, FLOAT64), _start(f, "Atan", x))


def _halves(f: Doubles, x: str) -> tuple[str, str]:
    """e^|x| / 2 and e^-|x| / 2, by way of e^(|x|/2), which overflows only where they do."""
    root = f("Exp", f("Mul", f("Abs", x), 0.5))
    return f("Mul", f("Mul", root, 0.5), root), f("Div", f("Div", 0.5, root), root)


def _cosh(f: Doubles, x: str) -> str:
    return f("Add", *_halves(f, x))


def _sinh(f: Doubles, x: str) -> str:
    """Near 0 by its series, where the two halves would cancel: x + x³/3! + … to x¹⁵."""
    large = f("Mul", f("Sign", x), f("Sub", *_halves(f, x)))
    square = f("Mul", x, x)
    series: str | float = 1.0
    for n in range(14, 0, -2):
        series = f("Add", f("Mul", f("Div", square, float(n * (n + 1))), series), 1.0)
    return f.where(f("Less", f("Abs", x), 1.0), f("Mul", x, series), large)


def _asinh(f: Doubles, x: str) -> str:
    """± log1p(|x| + x² / (1 + √(1 + x²))), and for what is so large that its square overflows, log |x| + log 2."""
    size = f("Abs", x)
    square = f("Mul", size, size)
    small = log1p(f.call, FLOAT64, f("Add", size, f("Div", square, f("Add", f("Sqrt", f("Add", square, 1.0)), 1.0))))
    large = f("Add", f("Log", size), math.log(2))
    return f("Mul", f("Sign", x), f.where(f("Less", size, 1e10), small, large))


def _acosh(f: Doubles, x: str) -> str:
    """log1p(t + √t √(t + 2)) of t = x - 1, which is NaN of a negative t, and for large x log x + log 2."""
    t = f("Sub", x, 1.0)
    small = log1p(f.call, FLOAT64, f("Add", t, f("Mul", f("Sqrt", t), f("Sqrt", f("Add", t, 2.0)))))
    return f.where(f("Less", x, 1e10), small, f("Add", f("Log", x), math.log(2)))


def _atanh(f: Doubles, x: str) -> str:
    """± log1p(2|x| / (1 - |x|)) / 2"""
    size = f("Abs", x)
    value = log1p(f.call, FLOAT64, f("Div", f("Mul", size, 2.0), f("Sub", 1.0, size)))
    return f("Mul", f("Mul", f("Sign", x), 0.5), value)


_IN_FLOAT64 = {
    "Cos": _cos,
    "Tan": _tan,
    "Asin": _asin,
    "Acos": _acos,
    "Atan": _atan,
    "Sinh": _sinh,
    "Cosh": _cosh,
    "Asinh": _asinh,
    "Acosh": _acosh,
    "Atanh": _atanh,
}
