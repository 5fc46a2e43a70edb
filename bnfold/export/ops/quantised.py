"""Quantised tensors: floats as codes, and back. A quantised dtype is stored as the integers that it is."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.reals import Reals, input_reals
from bnfold.export.table import lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32

_CODES = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32"}


class _Codes:
    """The integers of a quantised dtype."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = DType.named(_CODES[dtype.name])
        info = np.iinfo(self.dtype.numpy or np.int32)
        self.lowest, self.highest = float(info.min), float(info.max)
        self.steps = self.highest - self.lowest
        self.half = (self.steps + 1) / 2 if info.min else 0.0


def _along(call: Call, numbers: Reals) -> Reals:
    """One number for all, or one for each slice along the node's axis."""
    axis = int(call.attr("axis", -1))
    if axis < 0:
        return numbers.reshaped([])
    return numbers.reshaped([-1 if position == axis else 1 for position in range(call.rank(0))])


def _away_from_zero(values: Reals) -> Reals:
    """To the nearest integer, halves away from zero."""
    size = (values.abs() + 0.5).floor()
    return (values < 0.0).where(size * -1.0, size)


@lowers("QuantizeV2", dtypes=tuple(_CODES))
def lower_quantise(call: Call) -> tuple[str, ...]:
    """Outputs: the codes, and the range that they stand for: as given, but with zero in it and not too narrow."""
    codes, value = _Codes(call.out_dtype(0)), input_reals(call, 0, FLOAT32)
    given = [input_reals(call, index, FLOAT32) for index in (1, 2)]
    low = given[0].at_most(0.0)
    least = given[0].abs().at_least(given[1].abs()).at_least(1.0) * float(call.attr("ensure_minimum_range", 0.01))
    high = given[1].at_least(low + least).at_least(0.0)
    mode, narrow = call.attr("mode"), bool(call.attr("narrow_range"))
    if mode == "SCALED":
        bottom = codes.lowest + narrow
        scale = _scale(high, codes.highest)
        if bottom:
            scale = scale.at_most(_scale(low, bottom))
        low, high = bottom / scale if bottom else low * 0.0, codes.highest / scale
        scaled = value.at_least(_along(call, low)).at_most(_along(call, high)) * _along(call, scale)
        rounded = scaled.rint() if call.attr("round_mode") == "HALF_TO_EVEN" else _away_from_zero(scaled)
    elif mode == "MIN_COMBINED":
        start = _along(call, low)
        steps = (value.at_least(start).at_most(_along(call, high)) - start) * (codes.steps / _along(call, high - low))
        rounded = _away_from_zero(steps - codes.half) if codes.half else (steps + 0.5).floor()
    else:
        factor = codes.steps / _along(call, high - low)
        first = _away_from_zero(_along(call, low) * factor) - codes.lowest
        rounded = (_away_from_zero(value * factor) - first).at_least(codes.lowest).at_most(codes.highest)
    return call.cast(rounded.name, codes.dtype), low.name, high.name


def _scale(end: Reals, code: float) -> Reals:
    """Codes per unit, where the range reaches to ``end`` at ``code``; as large as can be where it does not."""
    some = end * code > 0.0
    return some.where(code / some.where(end, 1.0), float(np.finfo(np.float32).max))


@lowers("Dequantize", dtypes=tuple(_CODES))
def lower_dequantise(call: Call) -> str:
    codes = _Codes(call.dtype(0))
    value = Reals(call, call.cast(call.input(0), FLOAT32))
    low, high = (_along(call, input_reals(call, index, FLOAT32)) for index in (1, 2))
    mode = call.attr("mode")
    if mode == "SCALED":
        bottom = codes.lowest + bool(call.attr("narrow_range"))
        step = high / codes.highest
        result = value * (step.at_least(low / bottom) if bottom else step)
    elif mode == "MIN_COMBINED":
        result = (value + codes.half) * ((high - low) / codes.steps) + low
    else:
        step = (high - low) / codes.steps
        some = step > 0.0
        first = some.where(_away_from_zero(low / some.where(step, 1.0)) * step, low)
        result = (value - codes.lowest) * step + first
    return call.cast(result.name, call.out_dtype())
