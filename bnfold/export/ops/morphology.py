"""Grey-scale dilation."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, sizes_of
from bnfold.export.ops.patches import Windows
from bnfold.export.ops.window import Window, computed_pads, known_pads, pad_at_run_time
from bnfold.export.placement import SPATIAL
from bnfold.export.table import FLOATS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64

_NARROW = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
_FAR_BELOW = -(2**48)


@lowers("Dilation2D", dtypes=(*FLOATS, *_NARROW), placement=SPATIAL)
def lower_dilation(call: Call) -> str:
    """The largest, over the window, of image plus filter: one shifted sum for each place in the filter.

    Integers are widened, so that what stands for padding stays below all sums; these wrap first, as TensorFlow's do.
    """
    height, width, _ = call.known_shape(1)
    if height is None or width is None:
        return _by_windows(call)
    strides, rates = call.attr("strides")[1:3], call.attr("rates")[1:3]
    window = Window((height, width), tuple(strides), tuple(rates), call.attr("padding"))
    dtype, wide = call.dtype(), _wide(call)
    value = call.input(0) if wide == dtype else call.cast(call.input(0), wide)
    value = _padded(call, value, window, call.scalar(-np.inf if wide.is_floating else _FAR_BELOW, wide))
    sums = [
        _sum(call, _shifted(call, value, window, row, column), _weight(call, row, column))
        for row in range(height)
        for column in range(width)
    ]
    largest = sums[0] if len(sums) == 1 else call.widened("Max", *sums, dtype=wide)
    return largest if wide == dtype else call.cast(largest, dtype)


def _wide(call: Call) -> DType:
    """Where sums are compared: the rounding to a narrower float, if there is one, keeps their order."""
    return call.wide_dtype("Max", call.dtype()) if call.dtype().is_floating else INT64


def _sum(call: Call, value: str, weight: str) -> str:
    wide, filters = _wide(call), call.value(1)
    total = call.widened("Add", value, weight, dtype=wide)
    if wide != INT64 or (filters is not None and not filters.any()):
        return total
    wrapped = call.cast(call.cast(total, call.dtype()), wide)
    is_padding = call.emit("Less", value, call.scalar(_FAR_BELOW // 2, wide))
    return call.emit("Where", is_padding, value, wrapped)


def _by_windows(call: Call) -> str:
    """The same where the shape of the filter is not known: all windows at once, and their largest sums."""
    dtype, wide = call.dtype(), _wide(call)
    sizes, kernel = sizes_of(call, 0, [1, 2]), sizes_of(call, 1, [0, 1])
    strides, rates = (Ints(call, call.attr(name)[1:3]) for name in ("strides", "rates"))
    places = Windows(sizes, kernel, strides, rates, call.attr("padding"))
    fill = call.scalar(-np.inf if wide.is_floating else _FAR_BELOW, wide)
    value = places.of(call, call.cast(call.input(0), wide), 2, dtype=wide, fill=fill)
    weights = call.unsqueeze(call.transpose(call.cast(call.input(1), wide), [2, 0, 1]), [1, 3])
    sums = _sum(call, value, weights)
    return call.cast(call.reduce("ReduceMax", sums, [3, 5]), dtype)


def _padded(call: Call, value: str, window: Window, fill: str) -> str:
    pads = known_pads(window, call.known_shape(0)[1:3])
    if pads is None:
        return pad_at_run_time(call, value, fill, *computed_pads(call, value, window))
    if not any(map(any, pads)):
        return value
    amounts = [0, 0, *(before for before, _ in pads), 0, 0, *(after for _, after in pads)]
    return call.emit("Pad", value, call.ints(amounts), fill)


def _shifted(call: Call, value: str, window: Window, row: int, column: int) -> str:
    starts = [row * window.dilations[0], column * window.dilations[1]]
    ends = [start - reach + 1 or 2**62 for start, reach in zip(starts, window.known_reach or (), strict=True)]
    return call.emit("Slice", value, call.ints(starts), call.ints(ends), call.ints([2, 3]), call.ints(window.strides))


def _weight(call: Call, row: int, column: int) -> str:
    """The filter at one place, one number for each channel, along axis 1."""
    wide = _wide(call)
    array = call.value(1)
    if array is not None:
        return call.constant(array[row, column].astype(wide.numpy).reshape(-1, 1, 1))
    place = call.emit("Gather", call.input(1), call.scalar(row, INT64), axis=0)
    place = call.reshape(call.emit("Gather", place, call.scalar(column, INT64), axis=0), [-1, 1, 1])
    return place if call.dtype() == wide else call.cast(place, wide)
