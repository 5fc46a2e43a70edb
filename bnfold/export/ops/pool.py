"""Pools."""

from __future__ import annotations

from typing import Any

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, sizes_of
from bnfold.export.kernels import widening
from bnfold.export.ops.patches import Windows
from bnfold.export.ops.window import (
    Window,
    channels,
    computed_pads,
    is_channels_first,
    known_pads,
    lowest,
    pad_at_run_time,
    padding_attrs,
    runtime_pads,
    slide,
    spatial,
    window_attrs,
    window_of,
)
from bnfold.export.placement import SPATIAL
from bnfold.export.table import FLOATS, INTEGERS, lowers
from bnfold.graph.dtypes import FLOAT32


def _window(call: Call) -> Window:
    """The window; one that reaches over the batch has no ONNX form."""
    sizes, strides = call.attr("ksize"), call.attr("strides")
    if sizes[0] != 1 or channels(call, sizes) != 1 or strides[0] != 1 or channels(call, strides) != 1:
        raise call.refusal("its window reaches over the batch or the channels")
    return window_of(call, spatial(call, sizes), call.rank(0))


@lowers("MaxPool", "MaxPool3D", dtypes=(*FLOATS, *INTEGERS), placement=SPATIAL)
def lower_max_pool(call: Call) -> str:
    if call.op == "MaxPool" and channels(call, call.attr("ksize")) != 1:
        return _max_over_channels(call)
    return _max_pool(call, _window(call))


@lowers("MaxPoolV2", dtypes=(*FLOATS, *INTEGERS), placement=SPATIAL)
def lower_max_pool_v2(call: Call) -> str:
    """As MaxPool, with sizes and strides as inputs."""
    if call.value(1) is None or call.value(2) is None:
        return _max_by_windows(call)
    sizes, strides = (call.constant_value(i, w).tolist() for i, w in ((1, "window"), (2, "strides")))
    count = (1,) * (call.rank(0) - 2)
    window = Window(spatial(call, sizes), spatial(call, strides), count, call.attr("padding"))
    if sizes[0] != 1 or channels(call, sizes) != 1:
        raise call.refusal("its window reaches over the batch or the channels")
    return _max_pool(call, window)


def _max_by_windows(call: Call) -> str:
    """The same where they are computed: all windows at once, and their largest values."""
    rank, first = call.rank(0), 2 if is_channels_first(call) else 1
    count, last = rank - 2, first + rank - 2
    sizes = sizes_of(call, 0, range(first, last))
    kernel, strides = (input_ints(call, index).entries(first, last) for index in (1, 2))
    places = Windows(sizes, kernel, strides, Ints(call, [1] * count), call.attr("padding"))
    wide = call.wide_dtype("ReduceMax", call.dtype())
    stored = call.axis(first)  # as TensorFlow has it where nothing is known of the result
    value = places.of(call, call.input(0), stored, fill=call.scalar(lowest(call.dtype()), call.dtype()))
    inside = range(stored + 1, stored + 1 + 2 * count, 2)
    largest = call.reduce("ReduceMax", call.cast(value, wide), inside)
    return call.cast(largest, call.dtype())


def _max_pool(call: Call, window: Window) -> str:
    fill = lowest(widening("MaxPool", call.dtype()) or call.dtype())
    return slide(call, "MaxPool", window, [call.input(0)], fill)


def _max_over_channels(call: Call) -> str:
    """TensorFlow's depthwise max pool: windows of channels, side by side."""
    sizes, strides = call.attr("ksize"), call.attr("strides")
    width = channels(call, sizes)
    if max(spatial(call, sizes)) != 1 or channels(call, strides) != width:
        raise call.refusal("its window reaches over channels and pixels at once")
    volume = call.unsqueeze(call.input(0), [1])  # channels as the first of three spatial axes
    pooled = call.widened("MaxPool", volume, kernel_shape=[width, 1, 1], strides=[width, 1, 1])
    return call.squeeze(pooled, [1])


@lowers("AvgPool", "AvgPool3D", dtypes=FLOATS, placement=SPATIAL)
def lower_average_pool(call: Call) -> str:
    """The mean of what is under the window, the padding not counted."""
    window = _window(call)
    sizes = spatial(call, call.known_shape(0))
    value = call.input(0)
    pads = known_pads(window, sizes)
    if pads is not None and window.kernel == sizes and not any(map(any, pads)):
        return call.widened("GlobalAveragePool", value)
    average = slide(call, "AveragePool", window, [value])
    if pads is not None or runtime_pads(window) is not None:
        return average
    # The padding is a node of its own, and was counted: divide by the part of each window that is image.
    ones = call.emit("Expand", call.scalar(1, FLOAT32), call.emit("Shape", value))
    share = slide(call, "AveragePool", window, [ones if call.dtype() == FLOAT32 else call.cast(ones, call.dtype())])
    return call.widened("Div", average, share)


@lowers("MaxPoolWithArgmax", dtypes=(*FLOATS, *INTEGERS), placement=SPATIAL)
def lower_max_pool_with_argmax(call: Call) -> tuple[str, ...]:
    """TensorFlow's index is into the flattened NHWC image, of the whole batch or of each sample.

    onnxruntime's is into N, C, H, W: it is taken apart and put together again. Where the padding is a node of its
    own, it is into the padded image.
    """
    window, dtype = _window(call), call.dtype()
    wide = FLOAT32 if dtype.name == "float16" else call.wide_dtype("MaxPool", dtype)  # float16 has no index
    value = call.cast(call.input(0), wide)
    size = sizes_of(call, 0, [1, 2])
    before, stored = Ints(call, [0, 0]), size
    attrs: dict[str, Any] = {}
    if (pads := known_pads(window, call.known_shape(0)[1:3])) is not None:
        attrs = padding_attrs(pads)
    elif (automatic := runtime_pads(window)) is not None:
        attrs = automatic
    else:
        before, after = computed_pads(call, value, window)
        stored = size + before + after
        value = pad_at_run_time(call, value, call.scalar(lowest(wide), wide), before, after)
    attrs |= window_attrs(window)
    largest, index = call.emit_many("MaxPool", value, outputs=2, **attrs)
    if not call.is_read(1):
        return (call.cast(largest, dtype),)
    flat = _index_in_tensorflow(call, Ints(call, index), size, stored, before)
    return call.cast(largest, dtype), call.cast(flat.name, call.out_dtype(1))


def _index_in_tensorflow(call: Call, index: Ints, size: Ints, stored: Ints, before: Ints) -> Ints:
    """``index`` into N, C, H, W with the sizes ``stored``, of which ``before`` come before the image's own ``size``."""
    depth = sizes_of(call, 0, [3])
    plane = stored.product()
    pixel = index % plane
    if before.known is None:
        row, column = pixel // stored[1] - before[0], pixel % stored[1] - before[1]
        pixel = row * size[1] + column
    flat = pixel * depth + index // plane % depth
    if call.attr("include_batch_in_index"):
        flat = flat + index // (plane * depth) * (size.product() * depth)
    return flat
