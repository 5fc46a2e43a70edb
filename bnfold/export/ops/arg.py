"""Where the largest and the smallest values are."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.kernels import widening
from bnfold.export.placement import Drops
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph.dtypes import INT64


@lowers("ArgMax", dtypes=(*NUMBERS, "bool"), placement=Drops(axes=1))
@lowers("ArgMin", dtypes=(*NUMBERS, "bool"), placement=Drops(axes=1))
def lower_arg(call: Call) -> str:
    """The first of several equal ones, in both."""
    wide = widening(call.op, call.dtype(), call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime has no {call.op} for {call.dtype()}")
    value, axis = call.cast(call.input(0), wide), call.constant_value(1, "axis")
    if call.shape() is None:
        found = call.emit(call.op, value, axis=int(axis), keepdims=0)
    else:
        found = call.emit(call.op, value, axis=call.axis(int(axis)), keepdims=0)
    return found if call.out_dtype() == INT64 else call.cast(found, call.out_dtype())
