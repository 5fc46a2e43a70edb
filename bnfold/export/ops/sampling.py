"""Where the pixels of a resized image lie in the original, as TensorFlow's image kernels compute it in float32."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints
from bnfold.export.reals import Reals, counted, input_reals
from bnfold.graph import Array
from bnfold.graph.dtypes import FLOAT32

_TABLE = 1024
"""TensorFlow's bicubic kernel looks its coefficients up in a table with this many steps between two pixels."""


def scale(call: Call, size: Ints, wanted: Ints) -> Reals:
    """Input pixels per output pixel along one axis, of ``size`` pixels before and ``wanted`` after."""
    before, after = Reals.of(size), Reals.of(wanted)
    plain = before / after
    if not call.attr("align_corners"):
        return plain
    inner = (before - 1.0) / (after - 1.0).at_least(1.0)
    return ((before > 1.0) & (after > 1.0)).where(inner, plain)


def positions(call: Call, size: Ints, wanted: Ints) -> Reals:
    """The place of each output pixel on the input's axis, on which pixel ``i`` is at ``i``."""
    steps, factor = counted(call, wanted), scale(call, size, wanted)
    if call.attr("half_pixel_centers"):
        return (steps + 0.5) * factor - 0.5
    return steps * factor


def nearest(call: Call, size: Ints, wanted: Ints) -> Ints:
    """The input pixel that each output pixel copies."""
    steps, factor = counted(call, wanted), scale(call, size, wanted)
    if call.attr("half_pixel_centers"):
        place = ((steps + 0.5) * factor).floor()
    elif call.attr("align_corners"):
        place = (steps * factor + 0.5).floor()
    else:
        place = (steps * factor).floor()
    return place.as_ints().at_most(size - 1)


def cubic_weights(call: Call, size: Ints, wanted: Ints) -> Reals:
    """How much of each input pixel (columns) is in each output pixel (rows), by bicubic interpolation.

    Keys' kernel with a = -0.5, cut off at the border and weighed anew, for half-pixel centres; else a = -0.75, the
    border pixel repeated.
    """
    place = positions(call, size, wanted)
    whole = place.floor()
    step = ((place - whole) * float(_TABLE)).rint().as_ints()
    pixels = counted(call, size).expanded(0)
    keys = bool(call.attr("half_pixel_centers"))
    near, far = _cubic_tables(-0.5 if keys else -0.75)
    last = Reals.of(size) - 1.0
    total: Reals | None = None
    for tap, table, at in ((-1, far, step), (0, near, step), (1, near, _TABLE - step), (2, far, _TABLE - step)):
        weight = Reals(call, table).entries(at)
        pixel = whole + float(tap)
        if not keys:
            pixel = pixel.at_least(0.0).at_most(last)
        share = pixel.expanded(1).equals(pixels).where(weight.expanded(1), 0.0)
        total = share if total is None else total + share
    assert total is not None
    return total / total.total(1) if keys else total


def _cubic_tables(a: float) -> tuple[Array, Array]:
    """The cubic convolution kernel at distances of 0 to 1, and of 1 to 2, in steps; TensorFlow's, of doubles.

    In float32 its terms, of which the largest is 12, would leave an error of a few millionths.
    """
    x = np.arange(_TABLE + 1, dtype=np.float32).astype(np.float64) / _TABLE
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    x = x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return near.astype(np.float32), far.astype(np.float32)


def _cubic(x: Reals, a: float) -> Reals:
    """The same kernel at any distance ``x``: (a+2)x³ - (a+3)x² + 1 up to 1, ax³ - 5ax² + 8ax - 4a up to 2."""
    near = ((x * (a + 2) - (a + 3)) * x) * x + 1.0
    far = ((x * a - 5 * a) * x + 8 * a) * x - 4 * a
    return (x <= 1.0).where(near, far)


def area_weights(call: Call, size: Ints, wanted: Ints) -> Reals:
    """How much of each input pixel (columns) lies under each output pixel (rows); what is beyond the border counts
    for the last pixel."""
    steps, factor = counted(call, wanted), scale(call, size, wanted)
    start, end = (steps * factor).expanded(1), ((steps + 1.0) * factor).expanded(1)
    pixels, last = counted(call, size), Reals.of(size) - 1.0
    until = (pixels >= last).where(float("inf"), pixels + 1.0).expanded(0)
    overlap = (end.at_most(until) - start.at_least(pixels.expanded(0))).at_least(0.0)
    return overlap / factor


def kernel_weights(call: Call, axis: int, size: Ints, wanted: Ints) -> Reals:
    """How much of each input pixel (columns) is in each output pixel (rows) of an image that is scaled and moved.

    A kernel lies around the place of each output pixel; with antialias it is as wide as the output pixel is.
    What lies outside of the image is 0.
    """
    factor, shift = (input_reals(call, index, FLOAT32).entry(axis) for index in (2, 3))
    inverse = 1.0 / factor
    place = ((counted(call, wanted) + 0.5) * inverse - inverse * shift).expanded(1)
    width = inverse.at_least(1.0) if call.attr("antialias") else Reals(call, 1.0)
    distance = ((counted(call, size).expanded(0) + 0.5 - place) / width).abs()
    weights = KERNELS[call.attr("kernel_type")](distance)
    total = weights.total(1)
    weights = weights / (total.abs() >= _TINY).where(total, 1.0)
    return ((place >= 0.0) & (place <= Reals.of(size))).where(weights, 0.0)


_TINY = 1000 * 1.17549435e-38


def _lanczos(radius: float) -> Callable[[Reals], Reals]:
    def kernel(x: Reals) -> Reals:
        angle = x.at_least(1e-3) * math.pi
        wave = (angle.same(np.sin, "Sin") * (angle / radius).same(np.sin, "Sin")) * radius / (angle * angle)
        return (x <= radius).where((x <= 1e-3).where(1.0, wave), 0.0)

    return kernel


def _gaussian(x: Reals) -> Reals:
    return (x < 1.5).where((x * x * -2.0).same(np.exp, "Exp"), 0.0)


def _box(x: Reals) -> Reals:
    return (x < 0.5).where(1.0, x.equals(0.5).where(0.5, 0.0))


def _triangle(x: Reals) -> Reals:
    return (1.0 - x).at_least(0.0)


def _keys(x: Reals) -> Reals:
    return (x < 2.0).where(_cubic(x, -0.5), 0.0)


def _mitchell(x: Reals) -> Reals:
    near = ((x * (7 / 6) - 2.0) * x) * x + 8 / 9
    far = ((x * (-7 / 18) + 2.0) * x - 10 / 3) * x + 16 / 9
    return (x < 2.0).where((x < 1.0).where(near, far), 0.0)


KERNELS: dict[str, Callable[[Reals], Reals]] = {
    "lanczos1": _lanczos(1),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": _gaussian,
    "box": _box,
    "triangle": _triangle,
    "keyscubic": _keys,
    "mitchellcubic": _mitchell,
}
