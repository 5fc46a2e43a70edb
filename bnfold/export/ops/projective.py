"""Images seen through a projective transform."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import Ints, input_ints, size_of
from bnfold.export.ints import counted as counted_ints
from bnfold.export.ops.pixel_list import PixelList
from bnfold.export.reals import Reals, counted, input_reals
from bnfold.export.table import lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32

_DTYPES = ("uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64")


@lowers("ImageProjectiveTransformV2", "ImageProjectiveTransformV3", dtypes=_DTYPES)
def lower_projective_transform(call: Call) -> str:
    """A row of the transforms, a0 a1 a2 b0 b1 b2 c0 c1, says where pixel (x, y) of the result lies in the image:

    ((a0 x + a1 y + a2) / k, (b0 x + b1 y + b2) / k),    k = c0 x + c1 y + 1
    """
    dtype, bilinear = call.dtype(), call.attr("interpolation") == "BILINEAR"
    working = FLOAT32 if bilinear else dtype  # TensorFlow mixes in float32 whatever comes in
    images = PixelList(call, call.cast(call.input(0), working))
    (column, row), finite = _places(call, input_ints(call, 2))
    height, width = (Reals.of(images.sizes.take([axis])) for axis in (0, 1))
    beyond = _BEYOND[call.attr("fill_mode")]
    row, column = beyond(row, height), beyond(column, width)
    row, column = (place.at_least(-2.0).at_most(size + 1.0) for place, size in ((row, height), (column, width)))
    reader = _Reader(call, images, working)
    seen = (
        _mixed(reader, row, column).name if bilinear else reader.at(_rounded(row).as_ints(), _rounded(column).as_ints())
    )
    return call.cast(selected(call, finite.expanded(3).name, seen, reader.fill, working), dtype)


class _Reader:
    """Looks pixels up; beyond the border there is the fill value."""

    def __init__(self, call: Call, images: PixelList, dtype: DType) -> None:
        self.call = call
        self._images, self._dtype = images, dtype
        self._batch = counted_ints(call, 0, size_of(call, 0, 0).scalar()).reshaped([-1, 1, 1])
        self.fill = call.scalar(0, dtype)
        if call.arity > 3:
            self.fill = call.cast(call.cast(call.input(3), call.dtype()), dtype)

    def at(self, rows: Ints, columns: Ints) -> str:
        height, width = self._images.sizes[0], self._images.sizes[1]
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows, columns = rows.at_least(0).at_most(height - 1), columns.at_least(0).at_most(width - 1)
        seen = self._images.at(self._batch, rows, columns)
        return selected(self.call, inside.expanded(3).name, seen, self.fill, self._dtype)


def _places(call: Call, size: Ints) -> tuple[tuple[Reals, Reals], Reals]:
    """x and y in the image of every pixel of the results, and whether they are finite."""
    factors = input_reals(call, 1, FLOAT32)
    a0, a1, a2, b0, b1, b2, c0, c1 = (
        Reals(call, call.emit("Gather", factors.name, call.constant(np.array([i], np.int64)), axis=1)).expanded(2)
        for i in range(8)
    )
    y, x = counted(call, size[0]).expanded(1), counted(call, size[1]).expanded(0)
    scale = c0 * x + c1 * y + 1.0
    finite = Reals(call, call.emit("Not", scale.equals(0.0).name))
    safe = finite.where(scale, 1.0)
    return ((a0 * x + a1 * y + a2) / safe, (b0 * x + b1 * y + b2) / safe), finite


def _whole(quotient: Reals) -> Reals:
    """Cut towards zero, of what is not negative."""
    return quotient.floor()


def _rounded(place: Reals) -> Reals:
    """To the nearest, halves away from zero."""
    size = place.abs()
    floor = size.floor()
    near = (size - floor >= 0.5).where(floor + 1.0, floor)
    return (place < 0.0).where(near * -1.0, near)


def _mixed(reader: _Reader, row: Reals, column: Reals) -> Reals:
    """Of the four pixels around."""
    top, left = row.floor(), column.floor()
    down, across = (row - top).expanded(3), (column - left).expanded(3)
    y, x = top.as_ints(), left.as_ints()
    upper, lower = (
        _between(Reals(reader.call, reader.at(at, x)), Reals(reader.call, reader.at(at, x + 1)), across)
        for at in (y, y + 1)
    )
    return _between(upper, lower, down)


def _between(one: Reals, other: Reals, share: Reals) -> Reals:
    return one * (1.0 - share) + other * share


def _reflected(place: Reals, size: Reals) -> Reals:
    """dcba|abcd|dcba"""
    period = size * 2.0
    below = place + period * _whole(place.abs() / period)
    below = (below < size * -1.0).where(below + period, below * -1.0 - 1.0)
    above = place - period * _whole(place.abs() / period)
    above = (above >= size).where(period - above - 1.0, above)
    return _beyond(place, size, below, above)


def _wrapped(place: Reals, size: Reals) -> Reals:
    """abcd|abcd|abcd; between d and a there is nothing to mix."""
    steps = _whole(place.abs() / (size - 1.0).at_least(1.0))
    return _beyond(place, size, place + size * (steps + 1.0), place - size * steps)


def _nearest(place: Reals, size: Reals) -> Reals:
    return place.at_least(0.0).at_most(size - 1.0)


def _beyond(place: Reals, size: Reals, below: Reals, above: Reals) -> Reals:
    moved = (place < 0.0).where(below, (place > size - 1.0).where(above, place))
    return _nearest(moved, size)


_BEYOND: dict[str, Callable[[Reals, Reals], Reals]] = {
    "CONSTANT": lambda place, size: place,
    "REFLECT": _reflected,
    "WRAP": _wrapped,
    "NEAREST": _nearest,
}
"""Where what lies beyond the border is looked up."""
