"""Pools against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

POOLS = {"average": tf.nn.avg_pool, "max": tf.nn.max_pool}


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "stride"), [((2, 3), 1), ((3, 3), 2), ((2, 2), 3), ((1, 1), 2), ((1, 3), 2)])
def test_pool_is_the_same(pool, padding, size, stride):
    def build(x):
        return POOLS[pool](x, size, stride, padding)

    x = random(2, 7, 6, 3, low=-3, high=-1)  # below 0: padding with zeros would win a maximum
    assert_lowers(build, {"x": x})
    assert_lowers(build, {"x": x}, {"x": random(1, 8, 9, 3)}, shapes={"x": (None, None, None, 3)})


@pytest.mark.parametrize("pool", ["AvgPool3D", "MaxPool3D"])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_pool3d_is_the_same(pool, padding, dynamic):
    op = getattr(tf.raw_ops, pool)
    assert_lowers(
        lambda x: op(input=x, ksize=[1, 2, 3, 2, 1], strides=[1, 2, 1, 2, 1], padding=padding),
        {"x": random(2, 5, 6, 7, 3)},
        shapes={"x": (None, None, None, None, 3)} if dynamic else None,
    )


@pytest.mark.parametrize("pool", [tf.nn.max_pool3d, tf.nn.avg_pool3d])
@pytest.mark.parametrize("shape", [(2, 6, 7, 8, 3), (None,) * 5], ids=str)
@pytest.mark.parametrize(("window", "strides"), [((1, 2, 1), (3, 4, 4)), ((2, 3, 2), (4, 1, 3))])
def test_pool3d_is_the_same_when_its_window_is_shorter_than_its_strides(pool, window, strides, shape):
    assert_lowers(lambda x: pool(x, window, strides, "SAME"), {"x": random(2, 6, 7, 8, 3)}, shapes={"x": shape})


def test_pool_is_global_when_its_window_is_the_image():
    model = assert_lowers(lambda x: tf.nn.avg_pool(x, (5, 7), 2, "VALID"), {"x": random(2, 5, 7, 3)})
    assert "GlobalAveragePool" in op_types(model)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16, np.int32, np.int64, np.uint8, np.int8])
def test_max_pool_keeps_its_dtype(dtype):
    x = random(2, 6, 7, 3, dtype=dtype, low=-100, high=100)
    assert_lowers(lambda x: tf.nn.max_pool(x, 3, 2, "SAME"), {"x": x})
    assert_lowers(lambda x: tf.nn.max_pool(x, 2, 3, "SAME"), {"x": x}, shapes={"x": (None, None, None, 3)})


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_average_pool_keeps_its_dtype(dtype):
    """float64 runs as float32: nothing better in onnxruntime."""
    tolerance = 1e-6 if dtype == np.float64 else 2e-3
    x = random(2, 6, 7, 3, dtype=dtype)
    assert_lowers(lambda x: tf.nn.avg_pool(x, 3, 2, "SAME"), {"x": x}, rtol=tolerance, atol=tolerance)


def test_max_pool_v2_is_the_same():
    def build(x):
        return tf.raw_ops.MaxPoolV2(input=x, ksize=[1, 2, 3, 1], strides=[1, 2, 1, 1], padding="SAME")

    assert_lowers(build, {"x": random(2, 6, 7, 3)})


def test_max_pool_over_channels_is_the_same():
    def build(x):
        return tf.raw_ops.MaxPool(input=x, ksize=[1, 1, 1, 3], strides=[1, 1, 1, 3], padding="VALID")

    assert_lowers(build, {"x": random(2, 4, 5, 6)}, shapes={"x": (None, None, None, 6)})


@pytest.mark.parametrize("batch_in_index", [False, True])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_max_pool_with_argmax_is_the_same(batch_in_index, padding):
    def build(x):
        values, index = tf.nn.max_pool_with_argmax(x, 3, 2, padding, include_batch_in_index=batch_in_index)
        return values, index

    assert_lowers(build, {"x": random(3, 7, 6, 4)}, shapes={"x": (None, 7, 6, 4)})


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 3), (1, 2)])
@pytest.mark.parametrize("batch_in_index", [False, True])
def test_max_pool_with_argmax_is_the_same_when_no_size_is_known(padding, size, stride, batch_in_index):
    """All values are below 0, so that padding with anything but the least value is found out."""

    def build(x):
        return tf.nn.max_pool_with_argmax(x, size, stride, padding, include_batch_in_index=batch_in_index)

    feeds = [{"x": random(*shape, low=-9, high=-1)} for shape in ((3, 7, 6, 4), (1, 6, 8, 3))]
    assert_lowers(build, *feeds, dynamic=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64])
def test_max_pool_with_argmax_keeps_its_dtype(dtype):
    x = random(2, 6, 7, 3, dtype=dtype, low=-90, high=90)
    assert_lowers(lambda x: tf.nn.max_pool_with_argmax(x, 3, 2, "SAME", output_dtype=tf.int32), {"x": x})


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
@pytest.mark.parametrize("dynamic", [False, True])
def test_max_pool_is_the_same_when_its_window_is_computed(padding, dtype, dynamic):
    def build(x, window, strides):
        return tf.raw_ops.MaxPoolV2(input=x, ksize=window, strides=strides, padding=padding)

    x = random(2, 9, 8, 3, dtype=dtype, low=-90, high=-1)
    feeds = [
        {"x": x, "window": np.array([1, h, w, 1], np.int32), "strides": np.array([1, dy, dx, 1], np.int32)}
        for h, w, dy, dx in ((3, 2, 2, 1), (2, 3, 3, 2))
    ]
    assert_lowers(build, *feeds, dynamic=dynamic)
