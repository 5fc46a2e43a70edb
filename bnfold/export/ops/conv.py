"""Convolutions."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import SPATIAL
from bnfold.export.table import FLOATS, lowers


@lowers("Conv2D", dtypes=FLOATS, placement=SPATIAL)
def lower_conv(call: Call) -> str:
    first = 2 if str(call.attr("data_format")).startswith("NC") else 1
    count = call.rank(0) - 2
    kernel = call.constant_value(1, "kernel")
    strides = call.attr("strides")[first : first + count]
    dilations = call.attr("dilations")[first : first + count]
    oihw = call.constant(kernel.transpose(count + 1, count, *range(count)), call.node.inputs[1])
    auto_pad = {"SAME": "SAME_UPPER", "VALID": "VALID"}.get(call.attr("padding"))
    if auto_pad is None:
        raise call.refusal("its padding is explicit")
    return call.widened("Conv", call.input(0), oihw, auto_pad=auto_pad, strides=strides, dilations=dilations)
