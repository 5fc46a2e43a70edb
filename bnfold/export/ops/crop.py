"""Parts of images: crops resized to one size."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, sizes_of
from bnfold.export.ops.resize import as_float32
from bnfold.export.reals import Reals, counted
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph.dtypes import INT64

HEIGHT, WIDTH = 1, 2


@lowers("CropAndResize", dtypes=NUMBERS)
def lower_crop_and_resize(call: Call) -> str:
    """Every pixel of every crop is looked up, or mixed from the four around it, in the list of all pixels."""
    sizes, wanted = sizes_of(call, 0, [HEIGHT, WIDTH]), input_ints(call, 3)
    rows, columns = (_places(call, axis, sizes[axis], wanted[axis]) for axis in (0, 1))
    height, width = Reals.of(sizes[0]), Reals.of(sizes[1])
    inside = (_within(rows, height).expanded(2) & _within(columns, width).expanded(1)).expanded(3)
    crops = _Crops(call, sizes)
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
    """The images as one list of pixels, N · height · width by channels."""

    def __init__(self, call: Call, sizes: Ints) -> None:
        self.call = call
        self.sizes = sizes
        depth = call.known_shape(0)[3]
        image = as_float32(call)
        channels = call.ints([depth]) if depth is not None else call.emit(
            "Slice", call.emit("Shape", image), call.ints([3]), call.ints([4])
        )  # fmt: skip
        self.list = call.emit("Reshape", image, call.emit("Concat", call.ints([-1]), channels, axis=0))
        index = call.cast(call.input(2), INT64)
        self.first_row = Ints(call, call.unsqueeze(index, [1])) * sizes[0]

    def pixels(self, rows: Reals, columns: Reals) -> Reals:
        """The pixels at whole ``rows`` and ``columns``: boxes × height × width × channels."""
        starts = (self.first_row + rows.as_ints()) * self.sizes[1]
        across = self.call.unsqueeze(columns.as_ints().name, [1])
        places = Ints(self.call, self.call.unsqueeze(starts.name, [2])) + Ints(self.call, across)
        return Reals(self.call, self.call.emit("Gather", self.list, places.name))


def _mixed(crops: _Crops, rows: Reals, columns: Reals) -> Reals:
    top, left = rows.floor(), columns.floor()
    bottom, right = rows.ceil(), columns.ceil()
    down, across = (rows - top).expanded(2).expanded(3), (columns - left).expanded(1).expanded(3)
    upper, lower = (_between(crops.pixels(y, left), crops.pixels(y, right), across) for y in (top, bottom))
    return _between(upper, lower, down)


def _between(one: Reals, other: Reals, share: Reals) -> Reals:
    return one + (other - one) * share
