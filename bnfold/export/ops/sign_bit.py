"""The sign of floats, of zeros too."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32


@lowers(
    "SignBit", dtypes=("float32",), placement=FOLLOWS, origin="Bitcast, BitwiseAnd with the highest bit, Less than 0"
)
def lower_sign_bit(call: Call) -> str:
    """Below 0, or a zero of which the reciprocal is: -∞."""
    x, zero = call.input(0), call.scalar(0, FLOAT32)
    below = call.emit("Less", call.emit("Reciprocal", x), zero)
    return call.emit("Or", call.emit("Less", x, zero), call.emit("And", call.emit("Equal", x, zero), below))
