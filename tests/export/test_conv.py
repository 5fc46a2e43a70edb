"""Convolutions against TensorFlow: paddings, strides, dilations, groups, sizes known and not."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, check_file, inference_graph, op_types, random

from bnfold.errors import ExportError
from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

EXPLICIT = [[0, 0], [1, 2], [0, 3], [0, 0]]


def conv2d(kernel, strides=(1, 1), padding="SAME", dilations=(1, 1), data_format="NHWC"):
    def build(x):
        spread = (lambda pair: [1, 1, *pair]) if data_format == "NCHW" else (lambda pair: [1, *pair, 1])
        return tf.raw_ops.Conv2D(
            input=x,
            filter=kernel,
            strides=spread(strides),
            dilations=spread(dilations),
            padding="EXPLICIT" if isinstance(padding, list) else padding,
            explicit_paddings=list(itertools.chain(*padding)) if isinstance(padding, list) else [],
            data_format=data_format,
        )

    return build


@pytest.mark.parametrize("padding", ["SAME", "VALID", EXPLICIT], ids=str)
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("dynamic", [False, True])
def test_conv2d_is_the_same_when_strided(padding, strides, dynamic):
    build = conv2d(random(3, 2, 4, 5, seed=1), strides, padding)
    shapes = {"x": (None, None, None, 4)} if dynamic else None
    feeds = [{"x": random(2, 7, 6, 4)}]
    if dynamic:
        feeds += [{"x": random(1, height, width, 4, seed=height)} for height, width in ((6, 9), (8, 8), (9, 7))]
    assert_lowers(build, *feeds, shapes=shapes)


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 2, 1), (2, 3, 1), (1, 4, 1), (3, 2, 2), (3, 1, 2)])
def test_same_padding_is_the_same_when_size_is_not_known(size, kernel, stride, dilation):
    """Windows shorter than their stride, and dilated ones, where onnxruntime's automatic padding is no help."""
    build = conv2d(random(kernel, kernel, 2, 3, seed=1), (stride, stride), "SAME", (dilation, dilation))
    assert_lowers(build, {"x": random(1, size, size + 1, 2)}, shapes={"x": (None, None, None, 2)})


@pytest.mark.parametrize(("padding", "dilations"), [("SAME", (2, 3)), ("VALID", (2, 1)), (EXPLICIT, (1, 2))], ids=str)
def test_conv2d_is_the_same_when_dilated(padding, dilations):
    build = conv2d(random(3, 2, 4, 5, seed=1), (1, 1), padding, dilations)
    assert_lowers(build, {"x": random(2, 9, 8, 4)})
    assert_lowers(build, {"x": random(2, 9, 8, 4)}, {"x": random(1, 7, 10, 4)}, shapes={"x": (None, None, None, 4)})


def test_conv2d_is_the_same_when_grouped():
    build = conv2d(random(3, 3, 2, 6, seed=1))
    model = assert_lowers(build, {"x": random(2, 5, 7, 4)})
    assert op_types(model) == ["Transpose", "Conv", "Transpose"]


def test_conv2d_is_the_same_when_its_kernel_is_computed():
    def build(x, kernel):
        return tf.nn.conv2d(x, kernel, 1, "SAME")

    feeds = {"x": random(2, 5, 7, 4), "kernel": random(3, 2, 4, 5, seed=3)}
    assert_lowers(build, feeds, shapes={"x": (None, None, None, 4)})


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_conv2d_keeps_its_dtype(dtype):
    """Products of 36 terms: float16 accumulates in float32 on both sides; float64 runs as float32 (rtol 1e-5)."""
    build = conv2d(random(3, 3, 4, 5, seed=1, dtype=dtype))
    tolerance = {np.float64: 2e-6, np.float16: 4e-3}.get(dtype, 2e-2)
    assert_lowers(build, {"x": random(2, 7, 6, 4, dtype=dtype)}, rtol=tolerance, atol=tolerance)
    assert_lowers(build, {"x": random(2, 7, 6, 4, dtype=dtype)}, dynamic=True, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("shape", [(2, 9, 4), (None, 9, 4), (None, None, 4)])
def test_conv1d_is_one_node_of_one_axis(padding, stride, dilation, shape):
    kernel = random(3, 4, 5, seed=1)

    def build(x):
        return tf.nn.conv1d(x, kernel, stride, padding, dilations=dilation) + random(5, seed=2)

    model = assert_lowers(build, {"x": random(2, 9, 4)}, shapes={"x": shape})
    assert op_types(model) == ["Transpose", "Conv", "Transpose"]


def test_conv1d_is_one_node_when_depthwise():
    kernel = random(1, 3, 4, 2, seed=1)

    def build(x):
        y = tf.nn.depthwise_conv2d(tf.expand_dims(x, 1), kernel, [1, 2, 2, 1], "SAME")
        return tf.squeeze(y, [1])

    assert op_types(assert_lowers(build, {"x": random(2, 9, 4)})) == ["Transpose", "Conv", "Transpose"]


def test_conv_has_two_axes_when_its_kernel_has():
    kernel = random(2, 3, 4, 5, seed=1)

    def build(x):
        return tf.squeeze(tf.nn.conv2d(tf.expand_dims(x, 1), kernel, 1, "SAME"), [1])

    assert "Squeeze" in op_types(assert_lowers(build, {"x": random(2, 9, 4)}))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv3d_is_the_same(padding, stride):
    kernel = random(2, 3, 2, 3, 4, seed=1)

    def build(x):
        return tf.nn.conv3d(x, kernel, [1, stride, stride, stride, 1], padding)

    assert_lowers(build, {"x": random(2, 5, 7, 6, 3)})
    assert_lowers(build, {"x": random(2, 5, 7, 6, 3)}, {"x": random(1, 6, 8, 5, 3)}, shapes={"x": (None,) * 4 + (3,)})


@pytest.mark.parametrize("shape", [(2, 6, 7, 8, 3), (None,) * 4 + (3,)], ids=str)
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("window", "strides"), [((1, 2, 1), (3, 4, 4)), ((2, 3, 2), (4, 1, 3))])
def test_conv3d_is_the_same_when_its_kernel_is_shorter_than_its_strides(window, strides, padding, shape):
    kernel = random(*window, 3, 4, seed=1)
    build = lambda x: tf.nn.conv3d(x, kernel, [1, *strides, 1], padding)  # noqa: E731
    assert_lowers(build, {"x": random(2, 6, 7, 8, 3)}, shapes={"x": shape}, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID", EXPLICIT], ids=str)
@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_conv_is_the_same(padding, multiplier, stride):
    kernel = random(3, 2, 4, multiplier, seed=1)

    def build(x):
        return tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding)

    assert_lowers(build, {"x": random(2, 7, 6, 4)})
    assert_lowers(build, {"x": random(2, 7, 6, 4)}, {"x": random(1, 8, 9, 4)}, shapes={"x": (None, None, None, 4)})


def test_depthwise_conv_is_the_same_when_its_kernel_is_computed():
    def build(x, kernel):
        return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")

    assert_lowers(build, {"x": random(2, 7, 6, 4), "kernel": random(3, 2, 4, 2, seed=2)})


@pytest.mark.parametrize("padding", ["SAME", "VALID", [[0, 0], [1, 0], [0, 1], [0, 0]]], ids=str)
@pytest.mark.parametrize(("kernel", "stride"), [((3, 2), 1), ((3, 4), 2), ((2, 1), 3), ((5, 3), 2)])
def test_transposed_conv2d_is_the_same(padding, kernel, stride):
    weights = random(*kernel, 5, 4, seed=1)
    x = random(2, 4, 6, 4)
    for extra in (0, 1):
        sizes = []
        for axis, (size, k) in enumerate(zip((4, 6), kernel, strict=True)):
            pads = 0 if isinstance(padding, str) else sum(padding[axis + 1])
            sizes.append(size * stride - extra if padding == "SAME" else (size - 1) * stride + k - pads + extra)
        if extra and stride == 1:
            continue
        shape = [2, *sizes, 5]

        def build(x, shape=shape):
            return tf.nn.conv2d_transpose(x, weights, shape, stride, padding)

        assert_lowers(build, {"x": x})

        def computed(x, sizes=sizes):
            batch = tf.shape(x)[0]
            return tf.nn.conv2d_transpose(x, weights, tf.stack([batch, *sizes, 5]), stride, padding)

        assert_lowers(computed, {"x": x}, shapes={"x": (None, None, None, 4)})


def test_transposed_conv2d_is_the_same_when_its_size_follows_the_input():
    weights = random(3, 3, 5, 4, seed=1)

    def build(x):
        size = tf.shape(x)
        return tf.nn.conv2d_transpose(x, weights, tf.stack([size[0], size[1] * 2, size[2] * 2, 5]), 2, "SAME")

    feeds = {"x": random(2, 4, 6, 4)}, {"x": random(1, 5, 3, 4)}
    model = assert_lowers(build, *feeds, shapes={"x": (None, None, None, 4)})
    assert op_types(model) == ["Transpose", "ConvTranspose", "Transpose"]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_transposed_conv3d_is_the_same(padding):
    weights = random(2, 3, 2, 5, 4, seed=1)
    shape = [2, 6, 8, 10, 5] if padding == "SAME" else [2, 6, 9, 10, 5]
    assert_lowers(lambda x: tf.nn.conv3d_transpose(x, weights, shape, 2, padding), {"x": random(2, 3, 4, 5, 4)})


def test_bias_is_part_of_the_conv_when_nothing_else_reads_it():
    kernel, bias = random(3, 3, 4, 5, seed=1), random(5, seed=2)

    def build(x):
        return tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)

    model = assert_lowers(build, {"x": random(2, 5, 5, 4)})
    assert op_types(model) == ["Transpose", "Conv", "Relu", "Transpose"]


def test_bias_is_an_op_of_its_own_when_the_conv_is_read_by_others():
    kernel, bias = random(3, 3, 4, 5, seed=1), random(5, seed=2)

    def build(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tf.nn.bias_add(y, bias), tf.nn.relu(y)

    model = assert_lowers(build, {"x": random(2, 5, 5, 4)})
    assert "Add" in op_types(model)


def test_sum_is_an_op_of_its_own_when_the_vector_is_along_another_axis():
    """The width equals the number of channels, so that only the axis tells them apart."""
    kernel = random(3, 3, 4, 5, seed=1)

    def build(x):
        return tf.nn.conv2d(x, kernel, 1, "SAME") + random(5, 1, seed=2)

    model = assert_lowers(build, {"x": random(2, 6, 5, 4)})
    assert "Add" in op_types(model)


@pytest.mark.parametrize("padding", ["SAME", "VALID", EXPLICIT], ids=str)
@pytest.mark.parametrize(("strides", "dilations"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 1))])
def test_conv2d_is_the_same_when_no_size_of_its_kernel_is_known(padding, strides, dilations):
    """One kernel is for all channels of the image, the other for half of them: two groups."""

    def build(x, kernel):
        return conv2d(kernel, strides, padding, dilations)(x)

    feeds = [{"x": random(2, 9, 8, 4, seed=n), "kernel": random(3, 2, n, 6, seed=n + 1)} for n in (4, 2)]
    assert_lowers(build, *feeds, dynamic=True)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_conv2d_is_the_same_when_its_number_of_groups_is_not_known(data_format):
    """TensorFlow runs channels first on GPUs only: the result is compared with that of the other order."""
    kernel = random(3, 2, 2, 6, seed=1)
    first = data_format == "NCHW"
    feeds = [{"x": random(2, 9, 8, channels, seed=channels)} for channels in (2, 4, 6)]
    for feed in feeds:
        build = conv2d(kernel, (2, 1), "SAME", data_format=data_format)
        shapes = {"x": (None,) * 4}
        if not first:
            assert_lowers(build, feed, shapes=shapes)
            continue
        model = export(inference_graph(build, feed, shapes=shapes))
        runtime = onnxruntime.InferenceSession(model.SerializeToString())
        (got,) = runtime.run(None, {"x:0": feed["x"].transpose(0, 3, 1, 2)})
        wanted = conv2d(kernel, (2, 1), "SAME")(tf.constant(feed["x"])).numpy()
        assert_same(got.transpose(0, 2, 3, 1), wanted)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("known", ["x", "kernel", ""])
def test_depthwise_conv_is_the_same_when_its_channels_are_not_known(padding, known):
    def build(x, kernel):
        return tf.nn.depthwise_conv2d(x, kernel, [1, 2, 2, 1], padding)

    feeds = {"x": random(2, 9, 8, 4), "kernel": random(3, 2, 4, 3, seed=1)}
    assert_lowers(build, feeds, shapes={name: (None,) * 4 for name in feeds if name != known})


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_transposed_conv2d_is_the_same_when_no_size_is_known(padding):
    def build(x, kernel, size):
        return tf.nn.conv2d_transpose(x, kernel, size, [2, 3], padding)

    feeds = {"x": random(2, 5, 4, 3), "kernel": random(3, 2, 5, 3, seed=1)}
    for size in ([2, 10, 12, 5], [2, 9, 11, 5]) if padding == "SAME" else ([2, 11, 11, 5], [2, 12, 13, 5]):
        assert_lowers(build, feeds | {"size": np.array(size, np.int32)}, dynamic=True)


def test_transposed_conv2d_is_the_same_when_grouped():
    """TensorFlow's kernel for CPUs takes no groups: the result is compared with that of each."""
    kernel, feeds = random(3, 2, 2, 6, seed=1), {"x": random(2, 4, 5, 6)}
    build = lambda x: tf.raw_ops.Conv2DBackpropInput(  # noqa: E731
        input_sizes=[2, 8, 15, 4], filter=kernel, out_backprop=x, strides=[1, 2, 3, 1], padding="SAME"
    )
    model = export(inference_graph(build, feeds))
    check_file(model)
    (got,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": feeds["x"]})
    parts = [
        tf.nn.conv2d_transpose(feeds["x"][..., half], kernel[..., half], [2, 8, 15, 2], [2, 3], "SAME").numpy()
        for half in (slice(3), slice(3, 6))
    ]
    assert_same(got, np.concatenate(parts, -1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_transposed_conv2d_keeps_its_dtype_when_no_size_is_known(dtype):
    """Sums of 18 products, which TensorFlow rounds now and then."""
    feeds = {"x": random(2, 5, 4, 3, dtype=dtype), "kernel": random(3, 2, 5, 3, seed=1, dtype=dtype)}
    build = lambda x, kernel, size: tf.nn.conv2d_transpose(x, kernel, size, [2, 3], "SAME")  # noqa: E731
    tolerance = 4 * float(ml_dtypes.finfo(dtype).eps)
    assert_lowers(build, feeds | {"size": np.int32([2, 9, 11, 5])}, dynamic=True, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (None, None, None, 6), (None,) * 4])
def test_transposed_depthwise_conv_is_the_same(padding, shape):
    size = [2, 9, 8, 3] if padding == "SAME" else [2, 11, 9, 3]

    def build(x):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=size, filter=random(3, 2, 3, 2, seed=1), out_backprop=x, strides=[1, 2, 2, 1], padding=padding
        )

    assert_lowers(build, {"x": random(2, 5, 4, 6)}, shapes={"x": shape})


def test_transposed_depthwise_conv_is_refused_when_its_channels_are_not_known():
    def build(x, kernel):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=[2, 9, 8, 3], filter=kernel, out_backprop=x, strides=[1, 2, 2, 1], padding="SAME"
        )

    with pytest.raises(ExportError, match="number of its channels is not known"):
        assert_lowers(build, {"x": random(2, 5, 4, 6), "kernel": random(3, 2, 3, 2)}, dynamic=True)


@pytest.mark.parametrize("shape", [(2, 7, 6, 4), (None, None, None, 4)])
def test_zeros_around_an_image_are_the_convs_padding(shape):
    def build(x):
        y = tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]), random(3, 3, 4, 4, seed=1), 2, "VALID")
        y = tf.pad(y, [[0, 0], [1, 1], [2, 1], [0, 0]])
        return tf.nn.depthwise_conv2d(y, random(3, 3, 4, 2, seed=2), [1, 1, 1, 1], "VALID")

    model = assert_lowers(build, {"x": random(2, 7, 6, 4)}, shapes={"x": shape})
    assert op_types(model) == ["Transpose", "Conv", "Conv", "Transpose"]


@pytest.mark.parametrize(
    ("pads", "fill", "padding"),
    [
        ([[0, 0], [1, 1], [1, 1], [0, 0]], 1.0, "VALID"),
        ([[0, 0], [1, 1], [1, 1], [0, 0]], 0.0, "SAME"),
        ([[0, 1], [1, 1], [1, 1], [0, 0]], 0.0, "VALID"),
        ([[0, 0], [1, 1], [1, 1], [1, 0]], 0.0, "VALID"),
    ],
)
def test_pad_stays_when_it_is_more_than_the_convs_padding(pads, fill, padding):
    channels = 4 + sum(pads[3])

    def build(x):
        return tf.nn.conv2d(tf.pad(x, pads, constant_values=fill), random(3, 3, channels, 5, seed=1), 1, padding)

    assert "Pad" in op_types(assert_lowers(build, {"x": random(2, 7, 6, 4)}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_value_has_a_shape_when_no_size_is_known(dtype):
    """ONNX' shape inference says nothing of a convolution whose kernel it does not know."""

    def network(x, kernel, size):
        y = tf.nn.conv2d(x, kernel, 2, "SAME", dilations=1)
        return y, tf.nn.conv2d_transpose(y, kernel, size, 2, "SAME")

    feeds = {
        "x": random(2, 7, 6, 3, dtype=dtype),
        "kernel": random(3, 2, 3, 5, dtype=dtype),
        "size": np.int32([2, 7, 6, 3]),
    }
    model = assert_lowers(network, feeds, dynamic=True, rtol=1e-5, atol=1e-5)
    shapeless = [info.name for info in model.graph.value_info if not info.type.tensor_type.HasField("shape")]
    assert shapeless == []
