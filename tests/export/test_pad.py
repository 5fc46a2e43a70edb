"""Padding in its modes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
PADDINGS = [[[1, 0], [2, 1], [0, 2]], [[1, 1], [0, 0], [0, 1]], [[0, 0], [0, 0], [0, 0]], [[0, 1], [2, 2], [3, 3]]]


@pytest.mark.parametrize("mode", ["CONSTANT", "REFLECT", "SYMMETRIC"])
def test_padding_is_the_same(mode):
    def build(x):
        return [tf.pad(x, paddings, mode) for paddings in PADDINGS]

    assert_lowers(build, {"x": random(2, 3, 4)}, opsets=(13, 18))
    assert_lowers(build, {"x": random(2, 3, 4)}, {"x": random(3, 5, 6)}, dynamic=True)
    for paddings in PADDINGS:
        feeds = {"x": random(2, 3, 4), "p": np.int32(paddings)}
        assert_lowers(lambda x, p: tf.pad(x, p, mode), feeds, shapes={"x": (None, 3, None), "p": (3, 2)})


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool"])
def test_padding_is_the_same_whatever_the_dtype(dtype):
    x = random(3, 4, low=0, high=3).astype(dtype)
    assert_lowers(lambda x: tf.pad(x, [[1, 2], [0, 1]]), {"x": x})
    if dtype != "bool":
        build = lambda x, c: tf.pad(x, [[1, 2], [0, 1]], constant_values=c)  # noqa: E731
        assert_lowers(build, {"x": x, "c": np.array(5, dtype)})
        assert_lowers(lambda x: tf.pad(x, [[1, 1], [2, 1]], "SYMMETRIC"), {"x": x})


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize("amount", [1, 2])
def test_padding_mirrors_complex_numbers(mode, amount):
    def build(x, y):
        padded = tf.pad(tf.complex(x, y), [[0, amount], [amount, 1]], mode)
        return tf.math.real(padded), tf.math.imag(padded)

    assert_lowers(build, {"x": random(3, 4), "y": random(3, 4, seed=1)})
    assert_lowers(build, {"x": random(3, 4), "y": random(3, 4, seed=1)}, dynamic=True)


def test_padding_of_an_image_needs_no_transpose():
    def build(x):
        y = tf.nn.conv2d(x, random(1, 1, 4, 4), 1, "SAME")
        y = tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 1]])
        y = tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT")
        y = tf.pad(y, [[0, 0], [2, 2], [3, 3], [0, 0]], "SYMMETRIC")
        return tf.nn.conv2d(y, random(1, 1, 5, 3), 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 6, 7, 4)})
    assert op_types(model).count("Transpose") <= 2


@pytest.mark.parametrize("opset", [13, 18])
def test_zeros_around_a_max_pool_stay_zeros_when_all_values_are_negative(opset):
    """onnxruntime's Pad_Fusion would make them the pool's own padding, which is minus infinity."""
    tf = tensorflow()
    paddings = [[0, 0], [1, 1], [1, 1], [0, 0]]
    assert_lowers(
        lambda x: tf.nn.max_pool2d(tf.pad(x, paddings), 3, 2, "VALID"),
        {"x": -1 - np.abs(random(2, 6, 8, 3))},
        opsets=(opset,),
    )


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int32", "uint8"])
def test_zeros_around_a_max_pool_stay_zeros_whatever_the_dtype(dtype):
    def build(x):
        return tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")

    assert_lowers(build, {"x": random(2, 6, 8, 3, low=-9, high=-2).astype(dtype)})


@pytest.mark.parametrize("fill", [0.0, -2.0])
@pytest.mark.parametrize("between", [lambda x: x, lambda x: tf.ensure_shape(x, (2, 8, 10, 3))], ids=["", "EnsureShape"])
def test_numbers_around_a_max_pool_stay_when_they_are_written_out(fill, between):
    def build(x):
        padded = tf.raw_ops.PadV2(input=x, paddings=[[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=fill)
        plain = tf.pad(x - 1.0, [[0, 0], [1, 1], [1, 1], [0, 0]])
        return [tf.nn.max_pool2d(between(each), 3, 2, "VALID") for each in (padded, plain)]

    assert_lowers(build, {"x": random(2, 6, 8, 3, low=-9, high=-4)})


@pytest.mark.parametrize("positive", [tf.nn.relu, lambda x: tf.concat([tf.nn.relu6(x), tf.square(x)], -1)])
def test_zeros_around_a_max_pool_are_its_own_when_no_value_is_negative(positive):
    def build(x):
        padded = tf.pad(positive(x), [[0, 0], [1, 2], [2, 0], [0, 0]])
        return tf.nn.max_pool(padded, (3, 4), (2, 3), "VALID")

    model = assert_lowers(build, {"x": random(2, 9, 8, 3, low=-9, high=1)})
    assert "Pad" not in op_types(model)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.nn.max_pool(tf.pad(tf.nn.relu(x), [[0, 0], [3, 0], [0, 0], [0, 0]]), 3, 1, "VALID"),
        lambda x: tf.nn.max_pool(tf.pad(tf.nn.elu(x), [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID"),
        lambda x: tf.nn.max_pool(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID"),
        lambda x: tf.nn.max_pool(
            tf.pad(
                tf.concat([tf.nn.relu(x), np.full((2, 9, 8, 1), -5, np.float32)], -1), [[0, 0], [1, 1], [1, 1], [0, 0]]
            ),
            3,
            2,
            "VALID",
        ),
    ],
)
def test_zeros_around_a_max_pool_stay_when_they_may_win(build):
    assert_lowers(build, {"x": random(2, 9, 8, 3, low=-9, high=-1)})


def test_padding_of_complex_numbers_is_another_than_zero_when_it_is_asked_for():
    def build(x, y, fill):
        padded = tf.raw_ops.PadV2(
            input=tf.complex(x, y), paddings=[[1, 0], [2, 1]], constant_values=tf.complex(fill, 2.0)
        )
        return tf.math.real(padded), tf.math.imag(padded)

    feeds = {"x": random(2, 3), "y": random(2, 3, seed=1), "fill": np.float32(-1.5)}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, dynamic=True)


def test_padding_is_the_same_when_it_is_of_texts():
    def build(x, paddings):
        shown = [tf.pad(x, paddings), tf.pad(x, paddings, constant_values="q")]
        return [*shown, tf.pad(x, paddings, "REFLECT"), tf.pad(x, paddings, "SYMMETRIC")]

    x, paddings = np.array([["a", "b", "c"], ["d", "e", "f"]], object), np.int32([[0, 1], [2, 1]])
    assert_lowers(build, {"x": x, "paddings": paddings}, opsets=(13, 18))
    assert_lowers(lambda x: build(x, paddings), {"x": x}, dynamic=True)
    assert_lowers(lambda x: tf.pad(x, [[1, 0], [0, 1]], "SYMMETRIC"), {"x": x})
