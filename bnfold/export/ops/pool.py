"""Pools."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.kernels import widening
from bnfold.export.ops.window import (
    Window,
    channels,
    known_pads,
    lowest,
    padding_attrs,
    runtime_pads,
    slide,
    spatial,
    window_of,
)
from bnfold.export.placement import SPATIAL
from bnfold.export.table import FLOATS, INTEGERS, lowers
from bnfold.graph.dtypes import FLOAT32, INT64


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
    sizes, strides = (call.constant_value(i, w).tolist() for i, w in ((1, "window"), (2, "strides")))
    count = (1,) * (call.rank(0) - 2)
    window = Window(spatial(call, sizes), spatial(call, strides), count, call.attr("padding"))
    if sizes[0] != 1 or channels(call, sizes) != 1:
        raise call.refusal("its window reaches over the batch or the channels")
    return _max_pool(call, window)


def _max_pool(call: Call, window: Window) -> str:
    fill = lowest(widening("MaxPool", call.dtype()) or call.dtype())
    return slide(call, "MaxPool", window, [call.input(0)], fill)


def _max_over_channels(call: Call) -> str:
    """TensorFlow's depthwise max pool: windows of channels, side by side."""
    sizes, strides = call.attr("ksize"), call.attr("strides")
    width = channels(call, sizes)
    count = channels(call, call.known_shape(0))
    if max(spatial(call, sizes)) != 1 or channels(call, strides) != width or count is None or count % width:
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

    onnxruntime's is into N, C, H, W: it is taken apart and put together again.
    """
    window = _window(call)
    shape = call.known_shape(0)
    pads = known_pads(window, spatial(call, shape))
    if pads is None or None in shape[1:]:
        raise call.refusal("its index depends on sizes that are not known")
    if call.dtype().name not in ("float32", "float64", "int8", "uint8"):
        raise call.refusal(f"onnxruntime has no index for {call.dtype()}")
    _, height, width, depth = (int(size or 0) for size in shape)
    value, index = call.emit_many(
        "MaxPool",
        call.input(0),
        outputs=2,
        kernel_shape=list(window.kernel),
        strides=list(window.strides),
        **padding_attrs(pads),
    )
    if not call.is_read(1):
        return (value,)
    plane, image = call.scalar(height * width, INT64), call.scalar(height * width * depth, INT64)
    pixel = call.emit("Mod", index, plane)
    sample, channel = call.emit("Div", index, image), call.emit("Div", call.emit("Mod", index, image), plane)
    flat = call.emit("Add", call.emit("Mul", pixel, call.scalar(depth, INT64)), channel)
    if call.attr("include_batch_in_index"):
        flat = call.emit("Add", flat, call.emit("Mul", sample, image))
    return value, call.cast(flat, call.out_dtype(1))
