"""Elementwise activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles
from bnfold.export.exponentials import expm1, log1p
from bnfold.export.order import extreme
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, NUMBERS, lowers
from bnfold.graph.dtypes import FLOAT64, INT64


@lowers("Relu", dtypes=NUMBERS, placement=FOLLOWS, onnx="Relu")
@lowers("Elu", dtypes=FLOATS, placement=FOLLOWS, onnx="Elu")
@lowers("Softsign", dtypes=FLOATS, placement=FOLLOWS, onnx="Softsign")
def lower_activation(call: Call) -> str:
    if call.op == "Relu" and call.dtype().name.startswith("uint"):
        return call.input(0)
    if call.op == "Relu" and call.dtype() == INT64:
        return extreme(call, "Max", call.input(0), call.scalar(0, INT64))
    return _activation(call, call.fact("onnx"))


def _activation(call: Call, op: str, **attrs: Any) -> str:
    """ONNX' ``op``, which onnxruntime has for float32 alone; in float64 by its definition."""
    x = call.input(0)
    if call.dtype() == FLOAT64 and op in _IN_FLOAT64:
        return _IN_FLOAT64[op](Doubles(call), x, **attrs)
    return call.widened(op, x, **attrs)


def _softsign(f: Doubles, x: str) -> str:
    return f("Div", x, f("Add", f("Abs", x), 1.0))


def _elu(f: Doubles, x: str) -> str:
    return f.where(f("Less", x, 0.0), expm1(f.call, FLOAT64, x), x)


def _selu(f: Doubles, x: str, *, alpha: float, gamma: float) -> str:
    below = f("Mul", expm1(f.call, FLOAT64, x), alpha * gamma)
    return f.where(f("Less", x, 0.0), below, f("Mul", x, gamma))


def _leaky_relu(f: Doubles, x: str, *, alpha: float) -> str:
    return f.where(f("Less", x, 0.0), f("Mul", x, alpha), x)


def _hard_sigmoid(f: Doubles, x: str, *, alpha: float, beta: float) -> str:
    return f("Clip", f("Add", f("Mul", x, alpha), beta), 0.0, 1.0)


_IN_FLOAT64: dict[str, Callable[..., str]] = {
    "Softsign": _softsign,
    "Elu": _elu,
    "Selu": _selu,
    "LeakyRelu": _leaky_relu,
    "HardSigmoid": _hard_sigmoid,
}


@lowers("Softplus", dtypes=FLOATS, placement=FOLLOWS)
def lower_softplus(call: Call) -> str:
    """log(1 + eˣ); in float64, for which onnxruntime has no kernel, max(x, 0) + log(1 + e^-|x|)."""
    x = call.input(0)
    if call.dtype() != FLOAT64:
        return call.widened("Softplus", x)
    rest = log1p(call, FLOAT64, call.emit("Exp", call.emit("Neg", call.emit("Abs", x))))
    return call.emit("Add", call.emit("Max", x, call.scalar(0, FLOAT64)), rest)


@lowers("Relu6", dtypes=NUMBERS, placement=FOLLOWS)
def lower_relu6(call: Call) -> str:
    dtype = call.dtype()
    zero, six = call.scalar(0, dtype), call.scalar(6, dtype)
    if dtype == INT64:
        return extreme(call, "Min", extreme(call, "Max", call.input(0), zero), six)
    return call.widened("Clip", call.input(0), zero, six)


@lowers("LeakyRelu", dtypes=FLOATS, placement=FOLLOWS)
def lower_leaky_relu(call: Call) -> str:
    return _activation(call, "LeakyRelu", alpha=float(call.attr("alpha")))


@lowers("Selu", dtypes=FLOATS, placement=FOLLOWS)
def lower_selu(call: Call) -> str:
    """With TensorFlow's constants; ONNX' defaults are the same numbers rounded to float32."""
    return _activation(call, "Selu", alpha=1.6732632423543772, gamma=1.0507009873554805)


@lowers("Softmax", "LogSoftmax", dtypes=FLOATS, placement=FOLLOWS)
def lower_softmax(call: Call) -> str:
    axis = -1 if call.shape(0) is None else call.axis(-1)
    return call.widened(call.op, call.input(0), axis=axis)


@lowers("HardSigmoid", dtypes=FLOATS, placement=FOLLOWS, origin="relu6(x + 3) / 6: HardSigmoid")
def lower_hard_sigmoid(call: Call) -> str:
    return _activation(call, "HardSigmoid", alpha=1 / 6, beta=0.5)


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
