"""Bits of integers."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import INTEGERS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64

_UNSIGNED = {"int8": "uint8", "int16": "uint32", "uint16": "uint32", "int32": "uint32", "int64": "uint64"}
"""Where onnxruntime shifts the bits of a dtype; those that come in above are cut off on the way back."""


@lowers("BitwiseAnd", dtypes=INTEGERS, placement=FOLLOWS, on_bits="Mul")
@lowers("BitwiseOr", dtypes=INTEGERS, placement=FOLLOWS, on_bits="Max")
@lowers("BitwiseXor", dtypes=INTEGERS, placement=FOLLOWS, on_bits="Sub")
def lower_bitwise(call: Call) -> str:
    """Before opset 18, which has the ops, bit by bit: their product, their maximum, the square of their difference."""
    if call.opset >= 18:
        return call.emit(call.op, *call.inputs())
    width = _width(call.dtype())
    bits = call.emit(call.fact("on_bits"), _bits(call, call.input(0)), _bits(call, call.input(1)))
    if call.op == "BitwiseXor":
        bits = call.emit("Mul", bits, bits)
    places = call.constant((1 << np.arange(width, dtype=np.uint64)).astype(np.int64))
    return call.cast(call.emit("MatMul", bits, places), call.dtype())  # onnxruntime's ReduceSum goes by way of float64


@lowers("PopulationCount", dtypes=INTEGERS, placement=FOLLOWS)
def lower_population_count(call: Call) -> str:
    """How many bits are 1."""
    return call.cast(call.reduce("ReduceSum", _bits(call, call.input(0)), [-1]), call.out_dtype())


def _bits(call: Call, value: str) -> str:
    """0 and 1 as int64 on a new last axis, the lowest bit first."""
    width = _width(call.dtype())
    unsigned = DType.named("uint64")
    value = call.unsqueeze(call.cast(call.cast(value, INT64), unsigned), [-1])
    shifted = call.emit("BitShift", value, call.constant(np.arange(width, dtype=np.uint64)), direction="RIGHT")
    return call.cast(call.emit("Mod", shifted, call.scalar(2, unsigned)), INT64)


@lowers("Invert", dtypes=INTEGERS, placement=FOLLOWS)
def lower_invert(call: Call) -> str:
    """All ones minus x, which is -1 - x of a signed number."""
    return _inverted(call, call.input(0), call.dtype())


def _inverted(call: Call, value: str, dtype: DType) -> str:
    ones = call.scalar(_ones(dtype), dtype)
    return call.widened("Sub", ones, value, dtype=dtype)


def _ones(dtype: DType) -> int:
    return 2 ** _width(dtype) - 1 if dtype.name.startswith("u") else -1


def _width(dtype: DType) -> int:
    assert dtype.numpy is not None
    return 8 * dtype.numpy.itemsize


@lowers("LeftShift", dtypes=INTEGERS, placement=FOLLOWS)
def lower_left_shift(call: Call) -> str:
    return _shifted(call, call.input(0), "LEFT")


@lowers("RightShift", dtypes=INTEGERS, placement=FOLLOWS)
def lower_right_shift(call: Call) -> str:
    """Copies of the sign come in from the left: a negative x gives ~(~x >> n)."""
    value, dtype = call.input(0), call.dtype()
    if dtype.name.startswith("u"):
        return _shifted(call, value, "RIGHT")
    negative = call.widened("Less", value, call.scalar(0, dtype))
    positive = selected(call, negative, _inverted(call, value, dtype), value, dtype)
    shifted = _shifted(call, positive, "RIGHT")
    return selected(call, negative, _inverted(call, shifted, dtype), shifted, dtype)


def _shifted(call: Call, value: str, direction: str) -> str:
    """By 0 to width - 1 places, whatever is asked for: the others are clamped, as TensorFlow clamps them."""
    dtype = call.dtype()
    known = call.value(1)
    if known is not None:
        count = call.constant(known.clip(0, _width(dtype) - 1), call.node.inputs[1])
    else:
        count = call.widened("Max", call.input(1), call.scalar(0, dtype))
        count = call.widened("Min", count, call.scalar(_width(dtype) - 1, dtype))
    unsigned = DType.named(_UNSIGNED.get(dtype.name, dtype.name))
    result = call.emit("BitShift", call.cast(value, unsigned), call.cast(count, unsigned), direction=direction)
    return result if unsigned == dtype else call.cast(result, dtype)
