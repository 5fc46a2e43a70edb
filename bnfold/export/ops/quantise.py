"""Quantisation that is only simulated: values rounded to steps, as floats."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.placement import Follows
from bnfold.export.reals import Reals, input_reals
from bnfold.export.table import FLOATS, lowers
from bnfold.graph import Array, DType
from bnfold.graph.dtypes import FLOAT32, FLOAT64

FIRST = Follows(data=(0,))


@lowers("FakeQuantWithMinMaxArgs", dtypes=("float32",), placement=FIRST)
@lowers("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel", dtypes=("float32",), placement=FIRST)
def lower_fake_quant(call: Call) -> str:
    """Steps from ``min`` to ``max``, moved so that zero is one of them.

    step = (max - min) / (highest - lowest); the zero point is lowest - min / step, rounded and cut to the range.
    """
    lowest, highest = 1 if call.attr("narrow_range") else 0, 2 ** call.attr("num_bits") - 1
    if call.op.endswith("Args"):
        low, high = (Reals(call, call.attr(name)) for name in ("min", "max"))
    else:
        low, high = input_reals(call, 1, FLOAT32), input_reals(call, 2, FLOAT32)
    step = (high - low) / float(highest - lowest)
    some = step > 0.0
    safe = some.where(step, 1.0)
    zero = ((float(lowest) - low / safe + 0.5).floor()).at_least(float(lowest)).at_most(float(highest))
    step = some.where(step, 0.0)
    if step.known is not None and zero.known is not None and step.known.all() and highest <= 255:
        return _by_codes(call, step.known, zero.known, lowest, highest)
    start, end = (float(lowest) - zero) * step, (float(highest) - zero) * step
    value = Reals(call, call.input(0))
    start, end, step, safe = (_along_channels(call, item) for item in (start, end, step, safe))
    steps = ((value.at_least(start).at_most(end) - start) / safe + 0.5).floor()
    return (steps * step + start).name


def _along_channels(call: Call, item: Reals) -> Reals:
    """A vector with one entry for each channel, so that it broadcasts."""
    if not call.op.endswith("PerChannel") or call.shape(0) is None:  # then channels are last, and it does
        return item
    return item.reshaped([-1 if axis == call.axis(-1) else 1 for axis in range(call.rank(0))])


def _by_codes(call: Call, step: Array, zero: Array, lowest: int, highest: int) -> str:
    """QuantizeLinear and DequantizeLinear, of bytes; they cut to the bytes' own range only."""
    value = call.input(0)
    if (lowest, highest) != (0, 255):
        bounds = (Reals(call, (bound - zero) * step) for bound in (lowest, highest))
        start, end = (_along_channels(call, bound) for bound in bounds)
        value = Reals(call, value).at_least(start).at_most(end).name
    axis = None
    if step.ndim:
        axis = -1 if call.shape(0) is None else call.axis(-1)
    return _codes(call, value, step, zero.astype(np.uint8), axis)


def _codes(call: Call, value: str, step: Array, zero: Array, axis: int | None) -> str:
    scale, point = call.constant(step.astype(np.float32)), call.constant(zero)
    codes = call.emit("QuantizeLinear", value, scale, point, axis=axis)
    return call.emit("DequantizeLinear", codes, scale, point, axis=axis)


@lowers("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4", dtypes=FLOATS, placement=FIRST)
@lowers("QuantizeAndDequantizeV3", dtypes=FLOATS, placement=FIRST)
def lower_quantise_and_dequantise(call: Call) -> str:
    """Steps of one size on both sides of zero, as large as the side that needs the larger ones."""
    bits = int(call.constant_value(3, "number of bits")) if call.op.endswith("V3") else call.attr("num_bits")
    signed, narrow = call.attr("signed_input"), call.attr("narrow_range")
    lowest = -(2 ** (bits - 1)) + int(narrow) if signed else 0
    highest = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    dtype = FLOAT64 if call.dtype() == FLOAT64 else FLOAT32
    value = input_reals(call, 0, dtype)
    low, high = _range(call, value, dtype)
    sides = [bound / float(code) for bound, code in ((low, lowest), (high, highest)) if code]
    step = sides[0].at_least(sides[-1]).at_least(0.0)
    if call.attr("range_given"):
        codes = bits == 8 and not narrow and call.attr("round_mode", "HALF_TO_EVEN") == "HALF_TO_EVEN"
        if codes and dtype == call.dtype() == FLOAT32 and step.known is not None and (step.known > 0).all():
            zero = np.zeros(step.known.shape, np.int8 if signed else np.uint8)
            return _codes(call, value.name, step.known.squeeze(), zero.squeeze(), _quantised_axis(call))
        value = value.at_most(step * float(highest)).at_least(step * float(lowest))
    steps = value / (step > 0.0).where(step, 1.0)
    rounded = (steps + 0.5).floor() if call.attr("round_mode") == "HALF_UP" else steps.rint()
    result = (rounded * step).name
    return result if dtype == call.dtype() else call.cast(result, call.dtype())


def _quantised_axis(call: Call) -> int | None:
    axis: int = call.attr("axis", -1)
    return None if axis < 0 else call.axis(axis)


def _range(call: Call, value: Reals, dtype: DType) -> tuple[Reals, Reals]:
    """The least and the largest value, given or found, of all or of each slice along the axis."""
    axis = _quantised_axis(call)
    if call.attr("range_given"):
        low, high = input_reals(call, 1, dtype), input_reals(call, 2, dtype)
        if axis is None:
            return low, high
        shape = [-1 if position == axis else 1 for position in range(call.rank(0))]
        return low.reshaped(shape), high.reshaped(shape)
    others = None if axis is None else [position for position in range(call.rank(0)) if position != axis]
    low, high = (
        Reals(call, call.reduce(op, value.name, others, keepdims=axis is not None), dtype)
        for op in ("ReduceMin", "ReduceMax")
    )
    return low, high
