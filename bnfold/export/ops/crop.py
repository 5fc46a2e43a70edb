"""Parts of images: crops resized to one size."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, sizes_of
from bnfold.export.ops.pixel_list import HEIGHT, WIDTH, PixelList
from bnfold.export.ops.resize import as_float32
from bnfold.export.reals import Reals, counted
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph.dtypes import INT64


@lowers("CropAndResize", dtypes=NUMBERS)
def lower_crop_and_resize(call: Call) -> str:
    """Every pixel of every crop is looked up, or mixed from the four around it, in the list of all pixels."""
    sizes, wanted = sizes_of(call, 0, [HEIGHT, WIDTH]), input_ints(call, 3)
    rows, columns = (_places(call, axis, sizes[axis], wanted[axis]) for axis in (0, 1))
    height, width = Reals.of(sizes[0]), Reals.of(sizes[1])
    inside = (_within(rows, height).expanded(2) & _within(columns, width).expanded(1)).expanded(3)
    crops = _Crops(call)
    rows, columns = rows.at_least(0.0).at_most(height - 1.0), columns.at_least(0.0).at_most(width - 1.0)
    if call.attr("method") == "nearest":
        result = crops.pixels((rows + 0.5).floor(), (columns + 0.5).floor())
    else:
        result = _mixed(crops, rows, columns)
    return inside.where(result, float(call.attr("extrapolation_value"))).name


def _places(call: Call, axis: int, size: Ints, wanted: Ints) -> Reals:
    """Where the pixels of each crop lie on an axis of the image: boxes × pixels."""
    start, end = (
        Reals(call, call.emit("Slice", call.input(1), call.ints([at]), call.ints([at + 1]), call.ints([1])))
        for at in (axis, axis + 2)
    )
    last = Reals.of(size) - 1.0
    middle = (start + end) * 0.5 * last
    if wanted.number() == 1:
        return middle
    step = (end - start) * last / (Reals.of(wanted) - 1.0).at_least(1.0)
    spread = start * last + counted(call, wanted).expanded(0) * step
    return spread if wanted.known is not None else (Reals.of(wanted) > 1.0).where(spread, middle)


def _within(places: Reals, size: Reals) -> Reals:
    return (places >= 0.0) & (places <= size - 1.0)


class _Crops:
    """The pixels of the image that each box is of."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self._list = PixelList(call, as_float32(call))
        self._image = Ints(call, call.unsqueeze(call.cast(call.input(2), INT64), [1, 2]))

    def pixels(self, rows: Reals, columns: Reals) -> Reals:
        """The pixels at whole ``rows`` and ``columns``: boxes × height × width × channels."""
        places = self._list.at(self._image, rows.as_ints().expanded(2), columns.as_ints().expanded(1))
        return Reals(self.call, places)


def _mixed(crops: _Crops, rows: Reals, columns: Reals) -> Reals:
    top, left = rows.floor(), columns.floor()
    bottom, right = rows.ceil(), columns.ceil()
    down, across = (rows - top).expanded(2).expanded(3), (columns - left).expanded(1).expanded(3)
    upper, lower = (_between(crops.pixels(y, left), crops.pixels(y, right), across) for y in (top, bottom))
    return _between(upper, lower, down)


def _between(one: Reals, other: Reals, share: Reals) -> Reals:
    return one + (other - one) * share
