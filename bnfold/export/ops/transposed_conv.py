"""Transposed convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, input_ints, joined, run_time_shape, size_of
from bnfold.export.ops.conv import depthwise_kernel, permuted_kernel
from bnfold.export.ops.window import (
    Window,
    channels,
    is_channels_first,
    padding_attrs,
    spatial,
    window_attrs,
    window_of,
)
from bnfold.export.placement import Spatial
from bnfold.export.table import FLOATS, lowers


@lowers("Conv2DBackpropInput", "Conv3DBackpropInputV2", dtypes=FLOATS, placement=Spatial(data=(2,)))
def lower_transposed_conv(call: Call) -> str:
    """Inputs: size of the result, kernel (spatial…, O, I), image. The kernel becomes (I, O, spatial…).

    Fewer channels in the kernel than in the result make it a grouped convolution.
    """
    makes, result = call.known_shape(1)[-2], call.out_shape()
    gives = None if result is None else channels(call, result)
    return _lower(call, permuted_kernel(call, 1), gives // makes if gives and makes else 1)


@lowers("DepthwiseConv2dNativeBackpropInput", dtypes=FLOATS, placement=Spatial(data=(2,)))
def lower_transposed_depthwise_conv(call: Call) -> str:
    """The same of a kernel HWCM: each channel of the result comes from M of the image."""
    groups = call.known_shape(1)[-2]
    if groups is None:
        raise call.refusal("the number of its channels is not known")
    return _lower(call, depthwise_kernel(call), groups)


def _lower(call: Call, kernel: str, groups: int) -> str:
    """The result has the size asked for. Of the full result, ``stride · (size - 1) + reach`` long, the padding of the
    forward convolution is cut off; where more is asked for than that, zeros follow.
    """
    window = window_of(call, call.known_shape(1)[:-2], call.rank(1))
    attrs: dict[str, Any] = {**window_attrs(window), "dilations": list(window.dilations), "group": groups}
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
    sizes, reach = call.scope.sizes, window.known_reach
    given, asked = sizes.shape(call.node.inputs[2]), sizes.shape(call.node.output)
    if given is None or asked is None or reach is None:
        return None
    pairs = zip(spatial(call, given), spatial(call, asked), window.strides, reach, strict=True)
    found = [((size - 1) * stride + long - wanted).known for size, wanted, stride, long in pairs]
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
    wanted = _asked(call, count)
    size = _full_size(call, window) or run_time_shape(call, full).entries(2, 2 + count)
    before = Ints(call, [0] * count)
    if window.padding == "SAME":
        before = (size - wanted).at_least(0) // 2
    elif window.padding == "EXPLICIT":
        before = Ints(call, [pair[0] for pair in window.explicit])
    end = before + wanted
    pads = joined(call, [0] * (count + 4), (end - size).at_least(0))
    padded = moved(call, "Pad", [full, pads.name, call.scalar(0, call.dtype(2))], call.dtype(2), values=(0, 2))
    return call.emit("Slice", padded, before.name, end.name, call.ints(np.arange(2, 2 + count)))


def _full_size(call: Call, window: Window) -> Ints | None:
    """``stride · (size - 1) + reach``, where it is known."""
    sizes, reach = spatial(call, call.known_shape(2)), window.known_reach
    if reach is None or None in sizes:
        return None
    return Ints(call, [(size - 1) * s + long for size, s, long in zip(sizes, window.strides, reach, strict=True)])


def _asked(call: Call, count: int) -> Ints:
    """The spatial sizes that input 0 asks for: it has all sizes of the result, or these alone in newer TensorFlow."""
    others = size_of(call, 0, 0) - count
    first = others if is_channels_first(call) else others // 2
    return input_ints(call, 0).entries(first, first + count)
