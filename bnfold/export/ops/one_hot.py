"""One position of an axis set."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import counted, input_ints
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ALL, COMPLEX, lowers


@lowers("OneHot", dtypes=(*ALL, *COMPLEX))
def lower_one_hot(call: Call) -> str:
    """Positions outside the depth, negative ones too, set nothing; ONNX' own OneHot would count them from the end."""
    rank, axis = call.rank(), call.attr("axis") % (call.rank() + 1)
    depth = input_ints(call, 1)
    places = counted(call, 0, depth).reshaped([-1] + [1] * (rank - axis))
    hot = input_ints(call, 0).expanded(axis).equals(places)
    if is_complex(call, 2):
        hot = hot.expanded(rank + 1)
    on, off, dtype = call.value(2), call.value(3), call.dtype(2)
    plain = dtype.name != "string" and not is_complex(call, 2)
    if plain and on is not None and off is not None and on == 1 and off == 0:
        return call.cast(hot.name, dtype) if dtype.name != "bool" else hot.name
    return selected(call, hot.name, call.input(2), call.input(3), dtype)
