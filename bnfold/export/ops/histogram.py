"""Values sorted into bins."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import input_ints
from bnfold.export.ops.segment import counted_values
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32, FLOAT64, INT32, INT64

_TYPES = ("float32", "float64", "int32", "int64")


@lowers("Bucketize", dtypes=_TYPES)
def lower_bucketize(call: Call) -> str:
    """How many of the boundaries, which ascend, are not above the value; of NaN none is."""
    wide = FLOAT64 if call.dtype() == FLOAT64 else FLOAT32
    boundaries = np.array(call.attr("boundaries"), np.float32).astype(wide.numpy)
    if not boundaries.size:
        shape = call.emit("Shape", call.input(0))
        return call.emit("ConstantOfShape", shape, value=np.zeros(1, np.int32))
    value = call.unsqueeze(call.cast(call.input(0), wide), [-1])
    below = call.emit("Not", call.emit("Less", value, call.constant(boundaries)))
    return call.reduce("ReduceSum", call.cast(below, INT32), [-1])


@lowers("HistogramFixedWidth", dtypes=_TYPES)
def lower_histogram(call: Call) -> str:
    """Counts of the bins; what lies outside of the range is counted in the first and in the last one.

    bin = min((max(x, low) - low) / step, bins - 1)        step = (high - low) / bins, in float64
    """
    bins = input_ints(call, 2).scalar()
    low, high = (call.emit("Gather", call.input(1), call.scalar(at, INT64), axis=0) for at in (0, 1))
    count = call.cast(bins.name, FLOAT64)
    step = call.emit("Div", call.cast(call.widened("Sub", high, low), FLOAT64), count)
    above = call.widened("Sub", call.widened("Max", call.input(0), low), low)
    place = call.emit("Div", call.cast(above, FLOAT64), step)
    place = call.emit("Min", place, call.emit("Sub", count, call.scalar(1, FLOAT64)))
    return counted_values(call, call.cast(place, INT64), bins, call.out_dtype())
