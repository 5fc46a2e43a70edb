"""Products, biases, and the layout around one convolution."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


def test_conv_is_the_same_when_channels_come_last():
    kernel = random(3, 3, 4, 5, seed=1)

    def build(x):
        y = tf.nn.conv2d(x, kernel, [1, 2, 1, 1], "SAME")
        return tf.nn.relu(tf.nn.bias_add(y, random(5, seed=2)))

    model = assert_lowers(build, {"x": random(2, 7, 6, 4)}, opsets=(13, 18))
    assert op_types(model).count("Conv") == 1
    assert_lowers(build, {"x": random(2, 7, 6, 4)}, {"x": random(3, 8, 9, 4)}, shapes={"x": (None, None, None, 4)})


@pytest.mark.parametrize(
    "same",
    [
        lambda x: tf.transpose(tf.transpose(x)),
        lambda x: tf.tile(x, [1, 1]),
        lambda x: tf.ensure_shape(x, (3, 5)),
    ],
    ids=["Transpose", "Tile", "EnsureShape"],
)
def test_bias_is_a_node_when_the_product_is_read_under_another_name(same):
    def build(x):
        product = tf.matmul(x, random(4, 5, seed=1))
        return same(product) + random(5, seed=2), tf.nn.relu(product)

    assert sorted(op_types(assert_lowers(build, {"x": random(3, 4)}))) == ["Add", "MatMul", "Relu"]


def test_bias_is_part_of_the_product_when_only_other_names_of_it_are_read():
    def build(x):
        product = tf.ensure_shape(tf.matmul(x, random(4, 5, seed=1)), (3, 5))
        return tf.nn.relu(product + random(5, seed=2))

    assert op_types(assert_lowers(build, {"x": random(3, 4)})) == ["Gemm", "Relu"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_matmul_is_the_same_when_transposed(dtype, transposed):
    a = random(*((4, 3) if transposed[0] else (3, 4)), dtype=dtype)
    b = random(*((5, 4) if transposed[1] else (4, 5)), dtype=dtype, seed=1)
    assert_lowers(lambda x: tf.matmul(x, b, *transposed), {"x": a})
    assert_lowers(lambda x, y: tf.matmul(x, y, *transposed), {"x": a, "y": b}, dynamic=True)


def test_reshape_is_a_constant_when_one_size_is_unknown():
    def build(x):
        return tf.reshape(x + 1.0, [-1, 12])

    model = assert_lowers(build, {"x": random(2, 3, 4)}, {"x": random(5, 3, 4)}, shapes={"x": (None, 3, 4)})
    assert op_types(model) == ["Add", "Reshape"]


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_bias_is_added_when_the_rank_is_not_known(data_format):
    def build(values, shape, bias):
        return tf.reshape(tf.raw_ops.BiasAdd(value=tf.reshape(values, shape), bias=bias, data_format=data_format), [-1])

    arrays = [random(2, 4, 4), random(2, 4, 3, 4)]
    feeds = [{"values": x.ravel(), "shape": np.int32(x.shape), "bias": random(4, seed=1)} for x in arrays]
    assert_lowers(build, *feeds, dynamic=True)


@pytest.mark.parametrize(("data_format", "shape"), [("NHWC", (2, 4, 3)), ("NCHW", (2, 3, 4, 2))])
def test_bias_is_added_when_it_is_complex(data_format, shape):
    def build(x, y, bias):
        z = tf.raw_ops.BiasAdd(value=tf.complex(x, y), bias=tf.complex(bias, 2 * bias), data_format=data_format)
        return tf.math.real(z), tf.math.imag(z)

    feeds = {"x": random(*shape), "y": random(*shape, seed=1), "bias": np.float32([1, -2, 3])}
    assert_lowers(build, feeds)
    assert_lowers(build, feeds, dynamic=True)
