"""Ops that give a value another shape."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.table import ALL, lowers
from bnfold.graph.dtypes import INT64


@lowers("Reshape", dtypes=ALL)
def lower_reshape(call: Call) -> str:
    """With at most one size unknown the shape is a constant, whatever computes it at run time."""
    shape = call.out_shape()
    if shape is not None and shape.count(None) <= 1 and not (None in shape and 0 in shape):
        return call.reshape(call.input(0), [-1 if size is None else size for size in shape])
    allowzero = 1 if call.opset >= 14 else None
    return call.emit("Reshape", call.input(0), call.cast(call.input(1), INT64), allowzero=allowzero)
