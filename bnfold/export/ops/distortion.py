"""Random crops that contain an object: all attempts are drawn at once, and the first that is good enough is taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints
from bnfold.export.reals import Reals, input_reals
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32


@dataclass(frozen=True)
class Crops:
    """Random crops of an image, one entry for each attempt; whole numbers of pixels.

    Attributes
    ----------
    top, left, height, width : Reals
    possible : Reals
        Bool: does it have the area that it should?
    """

    top: Reals
    left: Reals
    height: Reals
    width: Reals
    possible: Reals

    @property
    def area(self) -> Reals:
        return self.height * self.width


@lowers(
    "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2", dtypes=("int8", "int16", "int32", "int64", "uint8")
)
def lower_sample_distorted_bounding_box(call: Call) -> tuple[str, ...]:
    """Outputs: where the crop begins and its size, for Slice, and it as a box; all of the image where none is good."""
    size = Reals.of(input_ints(call, 0))
    image = size.entry(0), size.entry(1)
    crops = _draw(call, *image)
    good = (crops.possible & (crops.area >= 1.0) & _covers(call, crops, *image)).name
    counts = Reals(call, call.cast(good, FLOAT32))
    first = call.emit("ArgMax", counts.name, axis=0, keepdims=0)
    found = Reals(call, call.reduce("ReduceMax", counts.name, None)) > 0.0

    def taken(values: Reals, otherwise: Reals | float) -> Reals:
        return found.where(Reals(call, call.emit("Gather", values.name, first)), otherwise)

    top, left = taken(crops.top, 0.0), taken(crops.left, 0.0)
    height, width = taken(crops.height, image[0]), taken(crops.width, image[1])
    box = _joined(call, top / image[0], left / image[1], (top + height) / image[0], (left + width) / image[1])
    return (
        call.cast(_joined(call, top, left, Reals(call, 0.0)), call.out_dtype(0)),
        call.cast(_joined(call, height, width, Reals(call, -1.0)), call.out_dtype(1)),
        call.reshape(box, [1, 1, 4]),
    )


def _joined(call: Call, *scalars: Reals) -> str:
    return call.emit("Concat", *(scalar.reshaped([1]).name for scalar in scalars), axis=0)


def _draw(call: Call, height: Reals, width: Reals) -> Crops:
    """Crops whose height is uniform between the least and the largest that its area and proportions allow."""
    attempts = int(call.attr("max_attempts"))
    seed = call.attr("seed") or call.attr("seed2")
    drawn = call.emit("RandomUniform", shape=[4, attempts], dtype=FLOAT32, seed=float(seed) if seed else None)
    chance = [Reals(call, call.emit("Gather", drawn, call.constant(np.array(i, np.int64)))) for i in range(4)]
    narrow, broad = (float(limit) for limit in call.attr("aspect_ratio_range"))
    ratio = chance[0] * (broad - narrow) + narrow
    least, most = (height * width * float(share) for share in call.attr("area_range"))
    low, high = ((area / ratio).same(np.sqrt, "Sqrt").rint() for area in (least, most))
    fits = ((width + 0.5) / ratio).floor()
    fits = ((fits * ratio).rint() > width).where(fits - 1.0, fits)
    high = ((high * ratio).rint() > width).where(fits, high).at_most(height)
    low = low.at_most(high)
    tall = low + (chance[1] * (high - low + 1.0)).floor()
    tall = ((tall * ratio).rint() * tall < least).where(tall + 1.0, tall)  # rounding had made it too small
    tall = ((tall * ratio).rint() * tall > most).where(tall - 1.0, tall)
    wide = (tall * ratio).rint()
    area = tall * wide
    possible = (area >= least) & (area <= most) & (wide <= width) & (tall <= height) & (area > 0.0)
    top, left = (chance[2] * (height - tall)).floor(), (chance[3] * (width - wide)).floor()
    return Crops(top, left, tall, wide, possible)


def _covers(call: Call, crops: Crops, height: Reals, width: Reals) -> Reals:
    """Does a crop contain enough of any object? Without objects the image is one."""
    boxes = Reals(call, call.reshape(call.input(1), [-1, 4]))
    top, left, bottom, right = (
        (Reals(call, call.emit("Gather", boxes.name, call.constant(np.array([[side]], np.int64)), axis=1)) * size)
        .as_ints()
        .reshaped([-1, 1])
        for side, size in enumerate((height, width, height, width))
    )
    down = _overlap(crops.top, crops.height, Reals.of(top), Reals.of(bottom))
    across = _overlap(crops.left, crops.width, Reals.of(left), Reals.of(right))
    area = Reals.of((bottom - top) * (right - left))
    share = down * across / area.at_least(1.0)
    enough = Reals(call, float(call.attr("min_object_covered"))) if call.arity < 3 else input_reals(call, 2, FLOAT32)
    covered = ((share >= enough) & (area >= 1.0)).name
    some = call.reduce("ReduceSum", call.cast(covered, FLOAT32), [0])
    nothing = Ints(call, call.emit("Shape", boxes.name)).take([0]).equals(0)
    image = Reals(call, nothing.name) & (crops.area / (height * width) >= enough)
    return (Reals(call, some) > 0.0) | image


def _overlap(start: Reals, length: Reals, low: Reals, high: Reals) -> Reals:
    return ((start + length).at_most(high) - start.at_least(low)).at_least(0.0)
