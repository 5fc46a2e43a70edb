"""Elementwise activations."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, NUMBERS, lowers


@lowers("Relu", dtypes=NUMBERS, placement=FOLLOWS, onnx="Relu")
@lowers("Softplus", dtypes=FLOATS, placement=FOLLOWS, onnx="Softplus")
@lowers("Softsign", dtypes=FLOATS, placement=FOLLOWS, onnx="Softsign")
def lower_activation(call: Call) -> str:
    return call.widened(call.fact("onnx"), call.input(0))


@lowers("Relu6", dtypes=NUMBERS, placement=FOLLOWS)
def lower_relu6(call: Call) -> str:
    dtype = call.dtype()
    return call.widened("Clip", call.input(0), call.scalar(0, dtype), call.scalar(6, dtype))
