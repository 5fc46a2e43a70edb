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


@lowers("HardSigmoid", dtypes=FLOATS, placement=FOLLOWS, origin="relu6(x + 3) / 6: HardSigmoid")
def lower_hard_sigmoid(call: Call) -> str:
    return call.widened("HardSigmoid", call.input(0), alpha=1 / 6, beta=0.5)


@lowers("Gelu", dtypes=FLOATS, placement=FOLLOWS, origin="0.5 · x · (1 + erf(x / √2)), and its tanh form: Gelu")
def lower_gelu(call: Call) -> str:
    """One node since opset 20; before, the formula that onnxruntime knows how to run as one."""
    dtype, x = call.dtype(), call.input(0)
    if call.opset >= 20 and dtype.name in ("float16", "float32"):
        return call.emit("Gelu", x, approximate=call.attr("approximate"))

    def number(value: float) -> str:
        return call.scalar(value, dtype)

    if call.attr("approximate") == "tanh":
        cube = call.widened("Mul", x, call.widened("Mul", x, x))
        total = call.widened("Add", x, call.widened("Mul", cube, number(0.044715)))
        inner = call.widened("Tanh", call.widened("Mul", total, number(0.7978845608028654)))
    else:
        inner = call.widened("Erf", call.widened("Div", x, number(1.4142135623730951)))
    whole = call.widened("Mul", x, call.widened("Add", inner, number(1)))
    return call.widened("Mul", whole, number(0.5))
