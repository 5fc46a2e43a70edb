"""Where the largest and the smallest values are."""

from __future__ import annotations

from bnfold.export.along import along_computed
from bnfold.export.call import Call
from bnfold.export.order import order_kept
from bnfold.export.placement import Drops
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph.dtypes import INT64


@lowers("ArgMax", dtypes=(*NUMBERS, "bool"), placement=Drops(axes=1))
@lowers("ArgMin", dtypes=(*NUMBERS, "bool"), placement=Drops(axes=1))
def lower_arg(call: Call) -> str:
    """The first of several equal ones, in both."""
    under = order_kept(call, call.op, call.input(0))
    axis = call.value(1)
    if axis is None:
        along = along_computed(call, under.value)
        found = along.without(call.emit(call.op, along.value, axis=1, keepdims=0))
    else:
        at = int(axis.item()) if call.shape() is None else call.axis(int(axis.item()))
        found = call.emit(call.op, under.value, axis=at, keepdims=0)
    return found if call.out_dtype() == INT64 else call.cast(found, call.out_dtype())
