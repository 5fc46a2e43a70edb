"""Grey-scale dilation."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("shape", [(2, 9, 8, 4), (None, None, None, 4)])
def test_dilation_is_the_same(padding, stride, rate, shape):
    weights = random(3, 2, 4, seed=1)

    def build(x):
        return tf.nn.dilation2d(x, weights, [1, stride, stride, 1], padding, "NHWC", [1, rate, rate, 1])

    assert_lowers(build, {"x": random(2, 9, 8, 4)}, shapes={"x": shape})


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16, np.int32, np.uint8])
def test_dilation_keeps_its_dtype(dtype):
    weights = random(2, 3, 4, seed=1, dtype=dtype)
    x = random(1, 5, 6, 4, dtype=dtype)
    build = lambda x: tf.nn.dilation2d(x, weights, [1, 2, 1, 1], "SAME", "NHWC", [1] * 4)  # noqa: E731
    assert_lowers(build, {"x": x}, shapes={"x": (None, None, None, 4)})
    assert_lowers(lambda x: tf.nn.dilation2d(x, weights, [1] * 4, "SAME", "NHWC", [1] * 4), {"x": x})
    assert_lowers(lambda x, w: tf.nn.dilation2d(x, w, [1] * 4, "SAME", "NHWC", [1] * 4), {"x": x, "w": weights})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_sums_wrap_when_they_are_too_large_for_the_dtype(dtype):
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max, (2, 5, 6, 3), dtype, endpoint=True)
    weights = np.random.default_rng(1).integers(info.min, info.max, (2, 3, 3), dtype, endpoint=True)
    assert_lowers(lambda x: tf.nn.dilation2d(x, weights, [1, 2, 1, 1], "SAME", "NHWC", [1, 1, 2, 1]), {"x": x})
    build = lambda x, w: tf.nn.dilation2d(x, w, [1] * 4, "SAME", "NHWC", [1] * 4)  # noqa: E731
    assert_lowers(build, {"x": x, "w": weights}, dynamic=True)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("stride", "rate"), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
def test_dilation_is_the_same_when_its_filter_has_no_known_size(padding, stride, rate, dtype):
    def build(x, weights):
        return tf.nn.dilation2d(x, weights, [1, stride, stride, 1], padding, "NHWC", [1, rate, rate, 1])

    feeds = {"x": random(2, 9, 8, 4, dtype=dtype, low=-60), "weights": random(3, 2, 4, dtype=dtype, seed=1)}
    assert_lowers(build, feeds, dynamic=True)
    assert_lowers(build, feeds, shapes={"weights": (None, None, 4)})


def test_erosion_is_the_same():
    def build(x, weights):
        return tf.nn.erosion2d(x, weights, [1, 2, 1, 1], "SAME", "NHWC", [1, 1, 2, 1])

    assert_lowers(build, {"x": random(2, 9, 8, 4), "weights": random(3, 2, 4, seed=1)})
