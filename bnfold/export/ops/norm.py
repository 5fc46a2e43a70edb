"""Normalisations."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.placement import SPATIAL, Follows, Measures
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import FLOAT32


@lowers(*("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), dtypes=FLOATS, placement=Follows(data=(0,)))
def lower_batch_norm(call: Call) -> tuple[str, ...]:
    """``gamma · (x - mean) / sqrt(variance + epsilon) + beta`` along the channel axis, in float32 as TensorFlow does.

    With the moving statistics it is a BatchNormalization where channels are stored first, else a product and a sum.
    In training mode (what `infer` leaves so is no batch norm) the moments are those of the input.
    """
    axis = call.axis(1 if str(call.attr("data_format")).startswith("NC") else -1)
    value = call.cast(call.input(0), FLOAT32)
    if call.attr("is_training"):
        return _by_own_moments(call, value, axis)
    epsilon = float(call.attr("epsilon"))
    parameters = [array for index in (1, 2, 3, 4) if (array := call.value(index)) is not None]
    if axis == 1:
        inputs = [call.input(index) for index in (1, 2, 3, 4)]
        result = call.emit("BatchNormalization", value, *inputs, epsilon=epsilon)
    elif len(parameters) == 4:
        gamma, beta, mean, variance = (array.astype(np.float64) for array in parameters)
        scale = gamma / np.sqrt(variance + epsilon)
        result = _affine(call, value, axis, scale, beta - mean * scale)
    else:
        result = _normalised(call, value, axis, epsilon)
    # The statistics come back as they went in; the other outputs are for a gradient.
    return _as_input(call, result), call.input(3), call.input(4)


def _as_input(call: Call, value: str) -> str:
    return value if call.dtype() == FLOAT32 else call.cast(value, call.dtype())


def _normalised(call: Call, value: str, axis: int, epsilon: float) -> str:
    gamma, beta, mean, variance = (_along(call, call.input(index), axis) for index in (1, 2, 3, 4))
    deviation = call.emit("Sqrt", call.emit("Add", variance, call.scalar(epsilon, FLOAT32)))
    factor = call.emit("Div", gamma, deviation)
    return call.emit("Add", call.emit("Mul", call.emit("Sub", value, mean), factor), beta)


def _affine(call: Call, value: str, axis: int, scale: np.ndarray, shift: np.ndarray) -> str:
    shape = [-1 if position == axis else 1 for position in range(call.rank(0))]
    dtype = np.float64 if call.dtype().name == "float64" else np.float32
    factor = call.constant(scale.astype(dtype).reshape(shape), f"{call.node.name}/scale")
    term = call.constant(shift.astype(dtype).reshape(shape), f"{call.node.name}/shift")
    return call.emit("Add", call.emit("Mul", value, factor), term)


def _along(call: Call, vector: str, axis: int) -> str:
    return call.reshape(vector, [-1 if position == axis else 1 for position in range(call.rank(0))])


def _by_own_moments(call: Call, value: str, axis: int) -> tuple[str, ...]:
    """Outputs: the result, and the mean and the unbiased variance of the batch."""
    others = [position for position in range(call.rank(0)) if position != axis]
    mean = call.reduce("ReduceMean", value, others, keepdims=True)
    centred = call.emit("Sub", value, mean)
    variance = call.reduce("ReduceMean", call.emit("Mul", centred, centred), others, keepdims=True)
    deviation = call.emit("Sqrt", call.emit("Add", variance, call.scalar(float(call.attr("epsilon")), FLOAT32)))
    gamma, beta = (_along(call, call.input(index), axis) for index in (1, 2))
    result = call.emit("Add", call.emit("Mul", call.emit("Div", centred, deviation), gamma), beta)
    outputs = [_as_input(call, result), _averaged(call, call.reshape(mean, [-1]), 3)]
    if call.is_read(2):
        outputs.append(_averaged(call, _unbiased(call, value, variance, axis), 4))
    return tuple(outputs)


def _averaged(call: Call, moment: str, index: int) -> str:
    """``moment`` of the batch, or as the newer op can have it a mean of it and of the running one, input ``index``."""
    factor = float(call.attr("exponential_avg_factor", 1.0))
    if factor == 1:
        return moment
    ours = call.emit("Mul", moment, call.scalar(factor, FLOAT32))
    return call.emit("Add", ours, call.emit("Mul", call.input(index), call.scalar(1 - factor, FLOAT32)))


def _unbiased(call: Call, value: str, variance: str, axis: int) -> str:
    """``variance · n / (n - 1)``, n being what was averaged over."""
    sizes = call.cast(call.emit("Shape", value), FLOAT32)
    each = call.emit("Gather", sizes, call.ints([axis]))
    count = call.emit("Div", call.reduce("ReduceProd", sizes, [0], keepdims=True), each)
    less = call.emit("Max", call.emit("Sub", count, call.scalar(1, FLOAT32)), call.scalar(1, FLOAT32))
    return call.emit("Mul", call.reshape(variance, [-1]), call.emit("Div", count, less))


@lowers("LRN", dtypes=("float16", "bfloat16", "float32"), placement=SPATIAL)
def lower_local_response_normalisation(call: Call) -> str:
    """ONNX divides alpha by the window's size, TensorFlow does not; both look along the channels."""
    if min(call.attr("alpha"), call.attr("beta")) <= 0:
        return _by_local_means(call)
    size = 2 * call.attr("depth_radius") + 1
    attrs = {"alpha": call.attr("alpha") * size, "beta": call.attr("beta"), "bias": call.attr("bias"), "size": size}
    return call.widened("LRN", call.input(0), **attrs)


def _by_local_means(call: Call) -> str:
    """x / (bias + alpha · sum of squares)^beta, for numbers that onnxruntime refuses: its LRN wants them above 0."""
    dtype, radius = call.dtype(), call.attr("depth_radius")
    value, channels = call.cast(call.input(0), FLOAT32), call.axis(-1)
    volume = call.unsqueeze(call.emit("Mul", value, value), [1])  # all of its axes but the batch are spatial now
    size = [2 * radius + 1 if axis == channels else 1 for axis in range(1, call.rank(0))]
    pads = [radius if axis == channels else 0 for axis in range(1, call.rank(0))] * 2
    mean = call.squeeze(call.emit("AveragePool", volume, kernel_shape=size, pads=pads, count_include_pad=1), [1])
    scaled = call.emit("Mul", mean, call.scalar(call.attr("alpha") * (2 * radius + 1), FLOAT32))
    base = call.emit("Add", scaled, call.scalar(call.attr("bias"), FLOAT32))
    power = call.emit("Pow", base, call.scalar(call.attr("beta"), FLOAT32))
    return call.cast(call.emit("Div", value, power), dtype)


@lowers("L2Loss", dtypes=FLOATS, placement=Measures())
def lower_l2_loss(call: Call) -> str:
    """Half the sum of squares, of all elements in whatever order."""
    dtype = call.dtype()
    wide = call.wide_dtype("ReduceSumSquare", dtype)
    value = call.input(0) if wide == dtype else call.cast(call.input(0), wide)
    half = call.emit("Mul", call.reduce("ReduceSumSquare", value, None), call.scalar(0.5, wide))
    return half if wide == dtype else call.cast(half, dtype)


@lowers("BatchNormWithGlobalNormalization", dtypes=FLOATS[2:], placement=Follows(data=(0,)))
def lower_old_batch_norm(call: Call) -> str:
    """The op of TensorFlow's first graphs: x, mean, variance, beta, gamma; gamma counts only if the node says so."""
    axis, epsilon = call.axis(-1), float(call.attr("variance_epsilon"))
    known = [array.astype(np.float64) for index in (1, 2, 3, 4) if (array := call.value(index)) is not None]
    if len(known) == 4:
        mean, variance, beta, gamma = known
        scale = 1 / np.sqrt(variance + epsilon)
        if call.attr("scale_after_normalization"):
            scale = scale * gamma
        return _affine(call, call.input(0), axis, scale, beta - mean * scale)
    mean_now, variance_now, beta_now, gamma_now = (_along(call, call.input(index), axis) for index in (1, 2, 3, 4))
    deviation = call.emit("Sqrt", call.emit("Add", variance_now, call.scalar(epsilon, call.dtype())))
    scaled = call.emit("Div", call.emit("Sub", call.input(0), mean_now), deviation)
    if call.attr("scale_after_normalization"):
        scaled = call.emit("Mul", scaled, gamma_now)
    return call.emit("Add", scaled, beta_now)
