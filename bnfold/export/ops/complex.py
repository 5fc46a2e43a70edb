"""Complex numbers, stored as two floats on a last axis: their parts, and the arithmetic on them."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints
from bnfold.export.onnx_graph import part_dtype


def is_complex(call: Call, index: int = 0) -> bool:
    return call.dtype(index).name.startswith("complex")


def from_end(call: Call, axis: int, index: int = 0) -> int:
    """``axis`` of input ``index``, of unknown rank, where it is stored: the two parts stand behind all axes."""
    return axis - 1 if axis < 0 and is_complex(call, index) else axis


def stored_axis(call: Call, axis: int, index: int = 0) -> int:
    """Where ``axis`` of input ``index`` is stored, whether the rank is known or not."""
    return from_end(call, axis, index) if call.shape(index) is None else call.axis(axis, index)


def from_ends(call: Call, axes: Ints, index: int = 0) -> Ints:
    """As `from_end`, of axes that may be computed."""
    return (axes < 0).where(axes - 1, axes) if is_complex(call, index) else axes


def parts(call: Call, value: str) -> tuple[str, str]:
    """Real and imaginary part, each with a last axis of size 1."""
    real, imaginary = call.emit_many("Split", value, call.ints([1, 1]), axis=-1, outputs=2)
    return real, imaginary


def paired(call: Call, real: str, imaginary: str) -> str:
    """The complex value of two parts with a last axis of size 1."""
    return call.emit("Concat", real, imaginary, axis=-1)


def complex_mul(call: Call, x: str, y: str) -> str:
    """(a + bi)(c + di) = (ac - bd) + (ad + bc)i"""
    a, b = parts(call, x)
    c, d = parts(call, y)
    real = call.emit("Sub", call.emit("Mul", a, c), call.emit("Mul", b, d))
    imaginary = call.emit("Add", call.emit("Mul", a, d), call.emit("Mul", b, c))
    return paired(call, real, imaginary)


def complex_div(call: Call, x: str, y: str) -> str:
    """x / y = (x / s) conj(y / s) / |y / s|², s the larger part of y: of |y|² itself half of the floats have none."""
    scale = call.reduce("ReduceMax", call.emit("Abs", y), [-1], keepdims=True)
    dtype = part_dtype(call.dtype(0))
    scale = call.emit("Where", call.emit("Equal", scale, call.scalar(0, dtype)), call.scalar(1, dtype), scale)
    x, y = call.emit("Div", x, scale), call.emit("Div", y, scale)
    square = call.reduce("ReduceSum", call.emit("Mul", y, y), [-1], keepdims=True)
    return call.emit("Div", complex_mul(call, x, conjugate(call, y)), square)


def complex_size(call: Call, x: str) -> str:
    """|x|, with a last axis of size 1: s √((a/s)² + (b/s)²), s the larger part."""
    dtype = part_dtype(call.dtype(0))
    parts = call.emit("Abs", x)
    scale = call.reduce("ReduceMax", parts, [-1], keepdims=True)
    limits = np.finfo(dtype.numpy)
    safe = call.emit("Clip", scale, call.scalar(limits.tiny, dtype), call.scalar(limits.max, dtype))
    unit = call.reduce("ReduceL2", call.emit("Div", parts, safe), [-1], keepdims=True)
    return call.emit("Mul", unit, safe)


def conjugate(call: Call, x: str) -> str:
    dtype = part_dtype(call.dtype(0))
    return call.emit("Mul", x, call.constant(np.array([1, -1], dtype.numpy)))
