"""Glimpses: a window of each image, with noise where it reaches over the border."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, counted, input_ints, size_of
from bnfold.export.ops.pixel_list import HEIGHT, WIDTH, PixelList
from bnfold.export.reals import Reals, input_reals
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32


@lowers("ExtractGlimpse", "ExtractGlimpseV2", dtypes=("float32",))
def lower_extract_glimpse(call: Call) -> str:
    images, size = PixelList(call, call.input(0)), input_ints(call, 1)
    starts = [_start(call, axis, images.sizes, size) for axis in (0, 1)]
    rows, columns = (starts[axis] + counted(call, 0, size[axis]) for axis in (0, 1))
    rows, columns = rows.expanded(2), columns.expanded(1)
    height, width = images.sizes[0], images.sizes[1]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    batch = counted(call, 0, size_of(call, 0, 0).scalar()).reshaped([-1, 1, 1])
    seen = images.at(batch, rows.at_least(0).at_most(height - 1), columns.at_least(0).at_most(width - 1))
    return call.emit("Where", inside.expanded(3).name, seen, _noise(call, seen).name)


def _start(call: Call, axis: int, sizes: Ints, window: Ints) -> Ints:
    """Where the window of each image begins, in pixels, cut towards zero: images × 1.

    The first version takes half a window off always, the second only where places are normalised and centred.
    """
    place = Reals(call, call.emit("Gather", call.input(2), call.constant(np.array([axis], np.int64)), axis=1))
    whole, half = Reals.of(sizes[axis]), Reals.of(window[axis]) / 2.0
    first, normalised, centred = call.op == "ExtractGlimpse", call.attr("normalized"), call.attr("centered")
    if normalised:
        place = place * whole
    if centred:
        place = (place / 2.0 if first or normalised else place) + whole / 2.0
    if first or (normalised and centred):
        place = place - half
    return place.as_ints()


def _noise(call: Call, like: str) -> Reals:
    """What is seen beyond the border: zeros, or random numbers of the range or the distribution of each image."""
    kind = call.attr("noise") or ("uniform" if call.attr("uniform_noise") else "gaussian")
    if kind == "zero":
        return Reals(call, 0.0)
    axes = [HEIGHT, WIDTH, 3] if kind == "uniform" else [HEIGHT, WIDTH]
    value = input_reals(call, 0, FLOAT32)
    least, most = (Reals(call, call.reduce(op, value.name, axes, keepdims=True)) for op in ("ReduceMin", "ReduceMax"))
    if kind == "uniform":
        return least + Reals(call, call.emit("RandomUniformLike", like, dtype=FLOAT32)) * (most - least)
    mean = Reals(call, call.reduce("ReduceMean", value.name, axes, keepdims=True))
    apart = value - mean
    spread = Reals(call, call.reduce("ReduceMean", (apart * apart).name, axes, keepdims=True)).same(np.sqrt, "Sqrt")
    noise = mean + Reals(call, call.emit("RandomNormalLike", like, dtype=FLOAT32)) * spread
    return noise.at_most(most).at_least(least)
