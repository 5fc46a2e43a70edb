"""Ops that give a value another shape."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import Drops, Expands, Permutes, Reshapes
from bnfold.export.table import ALL, lowers
from bnfold.graph.dtypes import INT64


@lowers("Reshape", dtypes=ALL, placement=Reshapes())
def lower_reshape(call: Call) -> str:
    """With at most one size unknown the shape is a constant, whatever computes it at run time."""
    shape = call.out_shape()
    if shape is not None and shape.count(None) <= 1 and not (None in shape and 0 in shape):
        if shape == call.shape(0) and call.per_axis(shape) == call.per_out_axis(shape):
            return call.input(0)
        return call.reshape(call.input(0), [-1 if size is None else size for size in call.per_out_axis(shape)])
    allowzero = 1 if call.opset >= 14 else None
    return call.emit("Reshape", call.input(0), call.cast(call.input(1), INT64), allowzero=allowzero)


@lowers("Transpose", dtypes=ALL, placement=Permutes())
def lower_transpose(call: Call) -> str:
    """The input seen otherwise; whoever wants another order than it is stored in gets a Transpose node."""
    call.constant_value(1, "permutation")
    return call.input(0)


@lowers("Squeeze", dtypes=ALL, placement=Drops(axes="squeeze_dims"))
def lower_squeeze(call: Call) -> str:
    axes = call.attr("squeeze_dims") or [axis for axis, size in enumerate(call.known_shape(0)) if size == 1]
    return call.squeeze(call.input(0), sorted(call.axis(axis) for axis in axes))


@lowers("ExpandDims", dtypes=ALL, placement=Expands())
def lower_expand_dims(call: Call) -> str:
    axis = call.value(1)
    if axis is not None:
        return call.unsqueeze(call.input(0), [call.out_axis(int(axis.flat[0]))])
    return call.emit("Unsqueeze", call.input(0), call.reshape(call.cast(call.input(1), INT64), [1]))
