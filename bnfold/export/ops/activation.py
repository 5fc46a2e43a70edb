"""Elementwise activations."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, NUMBERS, lowers


@lowers("Relu", dtypes=NUMBERS, placement=FOLLOWS, onnx="Relu")
@lowers("Softplus", dtypes=FLOATS, placement=FOLLOWS, onnx="Softplus")
@lowers("Elu", dtypes=FLOATS, placement=FOLLOWS, onnx="Elu")
@lowers("Softsign", dtypes=FLOATS, placement=FOLLOWS, onnx="Softsign")
def lower_activation(call: Call) -> str:
    return call.widened(call.fact("onnx"), call.input(0))


@lowers("Relu6", dtypes=NUMBERS, placement=FOLLOWS)
def lower_relu6(call: Call) -> str:
    dtype = call.dtype()
    return call.widened("Clip", call.input(0), call.scalar(0, dtype), call.scalar(6, dtype))


@lowers("LeakyRelu", dtypes=FLOATS, placement=FOLLOWS)
def lower_leaky_relu(call: Call) -> str:
    return call.widened("LeakyRelu", call.input(0), alpha=float(call.attr("alpha")))


@lowers("Selu", dtypes=FLOATS, placement=FOLLOWS)
def lower_selu(call: Call) -> str:
    """With TensorFlow's constants; ONNX' defaults are the same numbers rounded to float32."""
    return call.widened("Selu", call.input(0), alpha=1.6732632423543772, gamma=1.0507009873554805)


@lowers("Softmax", "LogSoftmax", dtypes=FLOATS, placement=FOLLOWS)
def lower_softmax(call: Call) -> str:
    return call.widened(call.op, call.input(0), axis=call.axis(-1))
