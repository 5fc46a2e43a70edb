"""One position of an axis set."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ANY, lowers


@lowers("OneHot", dtypes=ANY)
def lower_one_hot(call: Call) -> str:
    """Positions outside the depth, negative ones too, set nothing; ONNX' own OneHot would count them from the end."""
    axis, depth, indices = call.attr("axis"), input_ints(call, 1), input_ints(call, 0)
    shape = call.shape()
    if shape is not None:
        axis %= len(shape) + 1
        places = counted(call, 0, depth).reshaped([-1] + [1] * (len(shape) - axis))
        hot = indices.expanded(axis).equals(places)
    elif axis == -1:
        hot = indices.expanded(axis).equals(counted(call, 0, depth))
    else:
        hot = _inserted(call, indices, axis, depth)
    if is_complex(call, 2):
        hot = hot.expanded(-1)
    on, off, dtype = call.value(2), call.value(3), call.dtype(2)
    plain = dtype.name != "string" and not is_complex(call, 2)
    if plain and on is not None and off is not None and on == 1 and off == 0:
        return call.cast(hot.name, dtype) if dtype.name != "bool" else hot.name
    return selected(call, hot.name, call.input(2), call.input(3), dtype)


def _inserted(call: Call, indices: Ints, axis: int, depth: Ints) -> Ints:
    """Where ``indices`` of unknown rank are hot, along a new ``axis``: seen as (before, 1, after)."""
    shape = run_time_shape(call, indices.name)
    before, after = shape.entries(0, axis), shape.entries(axis)
    flat = joined(call, before.product().vector(), [1], after.product().vector())
    seen = Ints(call, call.emit("Reshape", indices.name, flat.name))
    hot = seen.equals(counted(call, 0, depth).reshaped([-1, 1]))
    return Ints(call, call.emit("Reshape", hot.name, joined(call, before, depth.vector(), after).name))
