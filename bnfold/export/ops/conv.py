"""Convolutions and transposed convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ops.window import (
    Window,
    channels,
    padding_attrs,
    slide,
    spatial,
    window_of,
)
from bnfold.export.placement import SPATIAL, Spatial
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import INT64


@lowers("Conv2D", "Conv3D", dtypes=FLOATS, placement=SPATIAL)
@lowers("Conv1D", dtypes=FLOATS, placement=SPATIAL, origin="ExpandDims, Conv2D, Squeeze: a Conv of one axis")
def lower_conv(call: Call) -> str:
    """Kernel HWIO → OIHW; fewer input channels in the kernel than in the image make it a grouped convolution."""
    shape, rank = call.known_shape(1), call.rank(1)
    inputs = channels(call, call.known_shape(0))
    groups = 1 if inputs is None or not shape[-2] else inputs // shape[-2]
    kernel = _permuted_kernel(call, 1, (rank - 1, rank - 2, *range(rank - 2)))
    return _convolve(call, kernel, shape[:-2], groups)


@lowers("DepthwiseConv2dNative", dtypes=FLOATS, placement=SPATIAL)
@lowers(
    "DepthwiseConv1d",
    dtypes=FLOATS,
    placement=SPATIAL,
    origin="ExpandDims, DepthwiseConv2dNative, Squeeze: a grouped Conv of one axis",
)
def lower_depthwise_conv(call: Call) -> str:
    """Kernel HWCM → (C·M)1HW, one group for each channel."""
    *sizes, inputs, multiplier = call.known_shape(1)
    if inputs is None or multiplier is None:
        raise call.refusal("the shape of its kernel is not known")
    count = len(sizes)
    order = (count, count + 1, *range(count))
    target = (inputs * multiplier, 1, *_known(call, sizes))
    array = call.value(1)
    if array is not None:
        kernel = call.constant(array.transpose(order).reshape(target), call.node.inputs[1])
    else:
        kernel = call.reshape(call.transpose(call.input(1), order), target)
    return _convolve(call, kernel, sizes, inputs)


def _permuted_kernel(call: Call, index: int, permutation: Sequence[int]) -> str:
    array = call.value(index)
    if array is not None:
        return call.constant(array.transpose(permutation), call.node.inputs[index])
    return call.transpose(call.input(index), permutation)


def _convolve(call: Call, kernel: str, kernel_shape: Sequence[int | None], groups: int) -> str:
    window = window_of(call, _known(call, kernel_shape), call.rank(0))
    return slide(call, "Conv", window, [call.input(0), kernel], group=groups)


def _known(call: Call, shape: Sequence[int | None]) -> tuple[int, ...]:
    if None in shape:
        raise call.refusal("the shape of its kernel is not known")
    return tuple(size for size in shape if size is not None)


@lowers("Conv2DBackpropInput", "Conv3DBackpropInputV2", dtypes=FLOATS, placement=Spatial(data=(2,)))
def lower_transposed_conv(call: Call) -> str:
    """Inputs: size of the result, kernel (spatial…, O, I), image. The kernel becomes (I, O, spatial…).

    The result has the size asked for. Of the full result, ``stride · (size - 1) + reach`` long, the padding of the
    forward convolution is cut off; where more is asked for than that, zeros follow.
    """
    shape, rank = call.known_shape(1), call.rank(1)
    kernel = _permuted_kernel(call, 1, (rank - 1, rank - 2, *range(rank - 2)))
    window = window_of(call, _known(call, shape[:-2]), rank)
    inputs = channels(call, call.known_shape(2))
    attrs: dict[str, Any] = {
        "kernel_shape": list(window.kernel),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "group": 1 if inputs is None or not shape[-1] else inputs // shape[-1],
    }
    excess = _excess(call, window)
    if excess is None:
        full = call.widened("ConvTranspose", call.input(2), kernel, dtype=call.dtype(2), **attrs)
        return _cut_at_run_time(call, full, window)
    cut = [_cut(window, axis, more) for axis, more in enumerate(excess)]
    attrs.update(padding_attrs([pads for pads, _ in cut]))
    extra = [more for _, more in cut]
    if any(more >= max(s, d) for more, s, d in zip(extra, window.strides, window.dilations, strict=True)):
        raise call.refusal("the size asked for is not that of any forward convolution")
    attrs["output_padding"] = extra if any(extra) else None
    return call.widened("ConvTranspose", call.input(2), kernel, dtype=call.dtype(2), **attrs)


def _excess(call: Call, window: Window) -> list[int] | None:
    """By how much the full result is longer than what is asked for, if that does not depend on the size."""
    sizes = call.scope.sizes
    given, asked = sizes.shape(call.node.inputs[2]), sizes.shape(call.node.output)
    if given is None or asked is None:
        return None
    pairs = zip(spatial(call, given), spatial(call, asked), window.strides, window.reach, strict=True)
    found = [((size - 1) * stride + reach - wanted).known for size, wanted, stride, reach in pairs]
    known = [excess for excess in found if excess is not None]
    return known if len(known) == len(found) else None


def _cut(window: Window, axis: int, excess: int) -> tuple[tuple[int, int], int]:
    """What to cut before and after one axis of the full result, and what to add at its end."""
    if window.padding == "EXPLICIT":
        before, after = window.explicit[axis]
        return (before, after), before + after - excess
    total = max(excess, 0) if window.padding == "SAME" else 0
    return (total // 2, total - total // 2), max(-excess, 0)


def _cut_at_run_time(call: Call, full: str, window: Window) -> str:
    count = len(window.kernel)
    asked = call.cast(call.input(0), INT64)
    first = 2 if call.attr("data_format", "").startswith("NC") else 1
    if call.shape(0) == (count,):  # the spatial sizes alone, as newer TensorFlow allows
        first = 0
    wanted = call.emit("Slice", asked, call.ints([first]), call.ints([first + count]))
    zeros = call.ints([0] * count)
    size = call.emit("Slice", call.emit("Shape", full), call.ints([2]), call.ints([2 + count]))
    before = zeros
    if window.padding == "SAME":
        total = call.emit("Max", call.emit("Sub", size, wanted), zeros)
        before = call.emit("Div", total, call.ints([2] * count))
    elif window.padding == "EXPLICIT":
        before = call.ints([pair[0] for pair in window.explicit])
    end = call.emit("Add", before, wanted)
    missing = call.emit("Max", call.emit("Sub", end, size), zeros)
    none = call.ints([0, 0])
    pads = call.emit("Concat", none, zeros, none, missing, axis=0)
    padded = call.emit("Pad", full, pads, call.scalar(0, call.dtype(2)))
    return call.emit("Slice", padded, before, end, call.ints(np.arange(2, 2 + count)))
