"""The bits of numbers as unsigned integers, and back: by arithmetic where ONNX has no op for it (before opset 26).

A float is ``±1.mantissa · 2^exponent``; in float64 each step on the way is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold.export.carry import selected
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT64, INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call


@dataclass(frozen=True)
class _Format:
    """How a float is written: the widths of its exponent and of its mantissa in bits."""

    exponent: int
    mantissa: int

    @property
    def bias(self) -> int:
        return int(2 ** (self.exponent - 1)) - 1

    @property
    def sign(self) -> int:
        """The number that the sign's bit is."""
        return int(2 ** (self.exponent + self.mantissa))

    @property
    def infinity(self) -> int:
        return self.sign - int(2**self.mantissa)


_FORMATS = {"float16": _Format(5, 10), "bfloat16": _Format(8, 7), "float32": _Format(8, 23)}


def unsigned(dtype: DType) -> DType:
    """The unsigned integers of as many bits."""
    assert dtype.numpy is not None
    return DType.named(f"uint{8 * dtype.numpy.itemsize}")


def bits_of(call: Call, value: str, dtype: DType) -> str:
    """The bits of ``value`` as `unsigned` integers; of a NaN those of the quiet one, before opset 26."""
    if not dtype.is_floating:
        return call.cast(value, unsigned(dtype))
    if call.opset >= 26:
        return call.emit("BitCast", value, to=unsigned(dtype))
    form = _format(call, dtype)
    wide = call.cast(value, FLOAT64)
    emit = _Doubles(call)
    size = emit("Abs", wide)
    guess = emit("Floor", emit("Mul", emit("Log", size), 1 / np.log(2)))
    scaled = emit("Div", size, emit("Pow", 2.0, guess))
    above, below = emit("GreaterOrEqual", scaled, 2.0), emit("Less", scaled, 1.0)
    exponent = emit("Sub", emit("Add", guess, call.cast(above, FLOAT64)), call.cast(below, FLOAT64))
    fraction = emit("Div", size, emit("Pow", 2.0, exponent))
    normal = emit("Mul", emit("Add", emit("Add", exponent, form.bias - 1), fraction), 2.0**form.mantissa)
    denormal = emit("Mul", size, 2.0 ** (form.bias + form.mantissa - 1))
    number = emit.where(emit("Less", size, 2.0 ** (1 - form.bias)), denormal, normal)
    number = emit.where(call.emit("IsInf", wide), float(form.infinity), number)
    number = emit.where(call.emit("IsNaN", wide), form.infinity + 2.0 ** (form.mantissa - 1), number)
    negative = emit("Less", wide, 0.0)
    minus_zero = emit("Less", emit("Div", 1.0, wide), 0.0)
    signed = call.emit("Or", negative, minus_zero)
    number = emit.where(signed, emit("Add", number, float(form.sign)), number)
    return call.cast(call.cast(number, INT64), unsigned(dtype))


def from_bits(call: Call, bits: str, dtype: DType) -> str:
    """The numbers of ``dtype`` that have ``bits``, `unsigned` integers."""
    if not dtype.is_floating:
        return call.cast(bits, dtype)
    if call.opset >= 26:
        return call.emit("BitCast", bits, to=dtype)
    form = _format(call, dtype)
    emit = _Doubles(call)
    wide = call.cast(call.cast(bits, INT64), FLOAT64)
    negative = emit("GreaterOrEqual", wide, float(form.sign))
    size = emit.where(negative, emit("Sub", wide, float(form.sign)), wide)
    field = emit("Floor", emit("Div", size, 2.0**form.mantissa))
    mantissa = emit("Sub", size, emit("Mul", field, 2.0**form.mantissa))
    normal = emit(
        "Mul",
        emit("Add", emit("Mul", mantissa, 2.0**-form.mantissa), 1.0),
        emit("Pow", 2.0, emit("Sub", field, form.bias)),
    )
    denormal = emit("Mul", mantissa, 2.0 ** (1 - form.bias - form.mantissa))
    number = emit.where(emit("Less", field, 1.0), denormal, normal)
    number = emit.where(emit("GreaterOrEqual", size, float(form.infinity)), np.inf, number)
    number = emit.where(emit("Greater", size, float(form.infinity)), np.nan, number)
    return call.cast(emit.where(negative, call.emit("Neg", number), number), dtype)


def _format(call: Call, dtype: DType) -> _Format:
    form = _FORMATS.get(dtype.name)
    if form is None:
        raise call.refusal(f"ONNX has no bits of {dtype} before opset 26", hint="export with opset 26")
    return form


class _Doubles:
    """Emits ops on float64; a number is a constant."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __call__(self, op: str, *operands: str | float) -> str:
        return self._call.emit(op, *map(self._value, operands))

    def where(self, condition: str, then: str | float, other: str | float) -> str:
        return selected(self._call, condition, self._value(then), self._value(other), FLOAT64)

    def _value(self, operand: Any) -> str:
        return operand if isinstance(operand, str) else self._call.scalar(operand, FLOAT64)
