"""The next number of a dtype, towards another."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import lowers


@lowers("NextAfter", dtypes=("float32", "float64"), placement=FOLLOWS)
def lower_next_after(call: Call) -> str:
    """x ± max(φ|x|, η), which rounds to the neighbour of x: φ is a little more than half the distance of 1 to its
    neighbour, η the smallest positive number (S. M. Rump et al., "Computing predecessor and successor in rounding to
    nearest"; within a factor of 4 of the smallest normal number it may be the next but one). From an infinity the way
    leads to the largest number.
    """
    dtype, (x, y) = call.dtype(), call.inputs()
    limits = ml_dtypes.finfo(dtype.numpy)
    unit = float(limits.eps) / 2
    size = call.emit("Min", call.emit("Abs", x), call.scalar(limits.max, dtype))
    distance = call.emit("Mul", size, call.scalar(unit * (1 + 2 * unit), dtype))
    distance = call.emit("Max", distance, call.scalar(limits.smallest_subnormal, dtype))
    rises = call.emit("Less", x, y)
    moved = selected(call, rises, call.emit("Add", x, distance), call.emit("Sub", x, distance), dtype)
    infinite = call.emit("Equal", call.emit("Abs", x), call.scalar(math.inf, dtype))
    limited = call.emit("Clip", x, call.scalar(limits.min, dtype), call.scalar(limits.max, dtype))
    moved = selected(call, infinite, limited, moved, dtype)
    unknown = call.emit("IsNaN", call.emit("Add", x, y))
    opposite = call.emit("And", infinite, call.emit("Equal", call.emit("Abs", y), call.scalar(math.inf, dtype)))
    unknown = call.emit("And", unknown, call.emit("Not", opposite))
    moved = selected(call, unknown, call.scalar(np.nan, dtype), moved, dtype)
    return selected(call, call.emit("Equal", x, y), y, moved, dtype)
