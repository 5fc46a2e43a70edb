"""Normalisations by a sample's own moments."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import SPATIAL
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32

_LAYER_NORM_SINCE = 17


@lowers("LayerNorm", dtypes=("float32",), origin="gamma · (x - mean) / √(variance + ε) + beta, over the last axis")
def lower_layer_norm(call: Call) -> str:
    """One node since opset 17."""
    x, gamma, beta = call.inputs()
    if call.opset >= _LAYER_NORM_SINCE:
        return call.emit("LayerNormalization", x, gamma, beta, axis=-1, epsilon=float(call.attr("epsilon")))
    centred = call.emit("Sub", x, call.reduce("ReduceMean", x, [-1], keepdims=True))
    variance = call.reduce("ReduceMean", call.emit("Mul", centred, centred), [-1], keepdims=True)
    deviation = call.emit("Sqrt", call.emit("Add", variance, call.scalar(call.attr("epsilon"), FLOAT32)))
    return call.emit("Add", call.emit("Mul", call.emit("Div", centred, deviation), gamma), beta)


@lowers("InstanceNorm", dtypes=("float32",), placement=SPATIAL, origin="the same, over the pixels of each channel")
def lower_instance_norm(call: Call) -> str:
    x, gamma, beta = call.inputs()
    return call.emit("InstanceNormalization", x, gamma, beta, epsilon=float(call.attr("epsilon")))
