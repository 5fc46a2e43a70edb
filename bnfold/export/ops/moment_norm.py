"""Normalisations by a sample's own moments."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import SPATIAL, Follows
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32

_LAYER_NORM_SINCE = 17


@lowers(
    "LayerNorm",
    dtypes=("float32",),
    placement=Follows(data=(0,), detour=0.75),
    origin="gamma · (x - mean) / √(variance + ε) + beta, over the last axis",
)
def lower_layer_norm(call: Call) -> str:
    """One node since opset 17 where that axis is stored last; between convolutions it is not."""
    x, axis, last = call.input(0), call.axis(-1), call.rank(0) - 1
    if call.opset >= _LAYER_NORM_SINCE and axis == last:
        epsilon = float(call.attr("epsilon"))
        return call.emit("LayerNormalization", x, call.input(1), call.input(2), axis=-1, epsilon=epsilon)
    shape = [-1, *[1] * (last - axis)]
    gamma, beta = (call.constant(call.constant_value(i, "parameters").reshape(shape)) for i in (1, 2))
    centred = call.emit("Sub", x, call.reduce("ReduceMean", x, [axis], keepdims=True))
    variance = call.reduce("ReduceMean", call.emit("Mul", centred, centred), [axis], keepdims=True)
    deviation = call.emit("Sqrt", call.emit("Add", variance, call.scalar(call.attr("epsilon"), FLOAT32)))
    return call.emit("Add", call.emit("Mul", call.emit("Div", centred, deviation), gamma), beta)


@lowers("InstanceNorm", dtypes=("float32",), placement=SPATIAL, origin="the same, over the pixels of each channel")
def lower_instance_norm(call: Call) -> str:
    x, gamma, beta = call.inputs()
    return call.emit("InstanceNormalization", x, gamma, beta, epsilon=float(call.attr("epsilon")))
