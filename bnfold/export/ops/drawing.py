"""Bounding boxes drawn on images."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import Ints, counted, sizes_of
from bnfold.export.ops.pixel_list import HEIGHT, WIDTH
from bnfold.export.reals import Reals
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32

_COLOURS = np.array(
    [
        *([1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0.5, 0, 0.5, 1]),
        *([0.5, 0.5, 0, 1], [0.5, 0, 0, 1], [0, 0, 0.5, 1], [0, 1, 1, 1], [1, 0, 1, 1]),
    ],
    np.float32,
)
"""RGBA: yellow, blue, red, lime, purple, olive, maroon, navy, aqua, fuchsia. On a grey image all are white."""


@lowers("DrawBoundingBoxes", "DrawBoundingBoxesV2", dtypes=("float16", "float32"))
def lower_draw_bounding_boxes(call: Call) -> str:
    """A pixel that lies on the outlines of several boxes has the colour of the last; boxes are y, x, y, x."""
    sizes = sizes_of(call, 0, [HEIGHT, WIDTH])
    low_row, low_column, high_row, high_column = (_pixels(call, side, sizes[side % 2]) for side in range(4))
    rows, columns = counted(call, 0, sizes[0]).expanded(1), counted(call, 0, sizes[1]).expanded(0)
    inside = (rows >= low_row) & (rows <= high_row) & (columns >= low_column) & (columns <= high_column)
    edge = rows.equals(low_row) | rows.equals(high_row) | columns.equals(low_column) | columns.equals(high_column)
    drawn = (inside & edge).as_int()  # images × boxes × height × width
    count = Ints(call, call.emit("Shape", call.input(1))).take([1])
    number = counted(call, 1, count.scalar() + 1).reshaped([-1, 1, 1])
    last = Ints(call, call.reduce("ReduceMax", (drawn * number).name, [1])).expanded(3)
    colours = _colours(call)
    choice = (last - 1).at_least(0) % Ints(call, call.emit("Shape", colours)).take([0])
    picture = call.emit("Gather", colours, call.squeeze(choice.name, [3]))
    return selected(call, (last > 0).name, call.cast(picture, call.dtype()), call.input(0), call.dtype())


def _pixels(call: Call, side: int, size: Ints) -> Ints:
    """The row or column of one side of each box: images × boxes × 1 × 1."""
    place = call.emit("Slice", call.input(1), call.ints([side]), call.ints([side + 1]), call.ints([2]))
    return (Reals(call, place) * Reals.of(size - 1)).as_ints().expanded(3)


def _colours(call: Call) -> str:
    """The colours in turn, with as many channels as the images."""
    depth = sizes_of(call, 0, [3])
    given = call.shape(2) if call.arity > 2 else (0, 4)
    if given is None or given[0] != 0:
        table = call.input(2)
    else:
        white = np.where(np.arange(4) == 0, np.float32(1), _COLOURS)
        grey = depth.equals(1)
        table = call.emit("Where", grey.name, call.constant(white), call.constant(_COLOURS))
    return call.emit("Slice", call.cast(table, FLOAT32), call.ints([0]), depth.name, call.ints([1]))
