"""Reductions: axes known and computed, kept and dropped; what comes of nothing."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

OPS = ["Sum", "Mean", "Prod", "Max", "Min"]
AXES = [[0], [-1], [0, 2], [1, 0], [0, 1, 2], [], -2]


def reduce(op, axis, keep):
    return lambda x: getattr(raw, op)(input=x, axis=axis, keep_dims=keep)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("op", [*OPS, "EuclideanNorm"])
def test_reduction_is_the_same_over_known_axes(op, keep):
    for axes in AXES:
        axes = np.array(axes, np.int32)
        assert_lowers(reduce(op, axes, keep), {"x": random(2, 3, 4)}, opsets=(13, 18))
        assert_lowers(reduce(op, axes, keep), {"x": random(2, 3, 4)}, {"x": random(5, 2, 3)}, dynamic=True)


@pytest.mark.parametrize("op", OPS)
def test_reduction_is_the_same_over_computed_axes(op):
    def build(x, axes):
        kept = getattr(raw, op)(input=x, axis=axes, keep_dims=True)
        return kept, tf.reshape(getattr(raw, op)(input=x, axis=axes), [-1])

    x = random(2, 3, 4)
    assert_lowers(build, {"x": x, "axes": np.int32([0, 2])}, {"x": x, "axes": np.int32([1])}, dynamic=True)
    assert_lowers(build, {"x": x, "axes": np.int64(-1)})


@pytest.mark.parametrize("op", [*OPS, "EuclideanNorm", "All", "Any"])
def test_reduction_is_the_same_over_computed_axes_when_the_opset_has_them_as_attributes(op):
    def build(x, axes):
        kept = getattr(raw, op)(input=x, axis=axes, keep_dims=True)
        return kept, tf.reshape(getattr(raw, op)(input=x, axis=axes), [-1])

    x = random(2, 3, 4) > 0 if op in ("All", "Any") else random(2, 3, 4)
    feeds = [{"x": x, "axes": np.int32(axes)} for axes in ([0, 2], [-2, -1], [1])]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 17))
    none = lambda x, axes: getattr(raw, op)(input=x, axis=axes, keep_dims=True)  # noqa: E731
    assert_lowers(none, {"x": x, "axes": np.int32([])}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_norm_and_reductions_of_integers_are_the_same(dtype):
    x = random(3, 5, dtype=dtype, low=-9, high=9)
    assert_lowers(lambda x: [reduce(op, [1], False)(x) for op in ("Sum", "Prod", "EuclideanNorm")], {"x": x})
    x[0, :2] = np.iinfo(dtype).max, np.iinfo(dtype).min
    assert_lowers(lambda x: [reduce(op, [1], False)(x) for op in ("Max", "Min")], {"x": x})


@pytest.mark.parametrize("axes", [[0], [-1], [0, 1]])
def test_norm_of_complex_numbers_is_the_same(axes):
    def build(a, b):
        norm = raw.EuclideanNorm(input=tf.complex(a, b), axis=axes)
        return tf.math.real(norm), tf.math.imag(norm)

    assert_lowers(build, {"a": random(3, 4), "b": random(3, 4, seed=1)})


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
def test_place_is_the_same_along_a_computed_axis(op):
    def build(x, axis):
        places = [getattr(raw, op)(input=x, dimension=axis, output_type=t) for t in (tf.int32, tf.int64)]
        return [tf.reshape(p, [-1]) for p in places]

    x = random(2, 3, 4)
    assert_lowers(build, *({"x": x, "axis": np.int32(axis)} for axis in (0, 1, 2, -1, -2)), dynamic=True)


@pytest.mark.parametrize("op", ["Cumsum", "Cumprod", "CumulativeLogsumexp"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_running_total_is_the_same_along_a_computed_axis(op, exclusive):
    def build(x, axis):
        return getattr(raw, op)(x=x, axis=axis, exclusive=exclusive, reverse=exclusive)

    x = random(2, 3, 4)
    assert_lowers(build, *({"x": x, "axis": np.int32(axis)} for axis in (0, 1, -1, -2)), dynamic=True)


def test_running_product_of_nothing_is_nothing():
    assert_lowers(
        lambda x: [tf.math.cumprod(x, 1), tf.math.cumulative_logsumexp(x, 1)], {"x": np.zeros((2, 0, 3), "f")}
    )


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_places_of_large_unsigned_numbers_are_the_same(dtype):
    top = np.iinfo(dtype).max
    x = np.array([[top - 1, 0, top], [1, top // 2, top // 2 + 1]], dtype)
    assert_lowers(lambda x: [tf.argmax(x, 1), tf.argmin(x, 1), tf.cumsum(x, 1)], {"x": x})


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
)
def test_reduction_keeps_its_dtype(dtype):
    x = random(3, 5, dtype=dtype, low=-2, high=2)
    ops = [op for op in OPS if op != "Mean" or dtype not in ("int8", "uint8", "int16", "uint16", "uint32")]
    assert_lowers(lambda x: [reduce(op, [1], False)(x) for op in ops], {"x": x}, opsets=(13, 18))


def test_sum_wraps_when_it_overflows():
    x = np.full((2, 5), 100, np.int8)
    assert_lowers(lambda x: [tf.reduce_sum(x, 1), tf.reduce_sum(x, 0)], {"x": x})


@pytest.mark.parametrize("op", ["Sum", "Prod", "Max", "Min"])
def test_reduction_of_nothing_is_the_same(op):
    assert_lowers(reduce(op, [1], False), {"x": np.zeros((2, 0), np.float32)})


@pytest.mark.parametrize("op", ["Sum", "Mean"])
def test_reduction_is_the_same_when_values_are_not_finite(op):
    x = np.float32([[1, np.nan, 2], [np.inf, 1, 2], [-np.inf, np.inf, 0], [np.nan, np.inf, 1]])
    assert_lowers(reduce(op, [1], False), {"x": x})


@pytest.mark.parametrize("op", ["All", "Any"])
def test_logical_reduction_is_the_same(op):
    x = np.random.default_rng(0).random((3, 4, 5)) > (0.2 if op == "All" else 0.8)
    for axes in AXES:
        assert_lowers(reduce(op, np.array(axes, np.int32), False), {"x": x}, opsets=(13, 18))
    assert_lowers(reduce(op, [1], True), {"x": np.zeros((2, 0), bool)})
    assert_lowers(lambda x, a: getattr(raw, op)(input=x, axis=a, keep_dims=True), {"x": x, "a": np.int32([0, 1])})


def test_reduction_over_pixels_needs_no_transpose():
    kernel = random(3, 3, 4, 5, seed=1)

    def build(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        return tf.reduce_mean(y, [1, 2]), tf.reduce_max(y, [1, 2], keepdims=True) * y, tf.reduce_sum(y, [1, 2, 3])

    model = assert_lowers(lambda x: build(x)[0], {"x": random(2, 6, 7, 4)})
    assert op_types(model).count("Transpose") == 1
    assert_lowers(build, {"x": random(2, 6, 7, 4)})
    assert_lowers(build, {"x": random(2, 6, 7, 4)}, shapes={"x": (None, None, None, 4)})


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16"]
)
def test_position_of_the_extreme_is_the_first(op, dtype):
    x = random(4, 5, 3, dtype=dtype, low=-2, high=3)
    for axis in (0, -1, 1):
        build = lambda x: [getattr(raw, op)(input=x, dimension=axis, output_type=t) for t in (tf.int32, tf.int64)]  # noqa: E731, B023
        assert_lowers(build, {"x": x}, opsets=(13, 18))


def test_argmax_over_channels_needs_one_transpose():
    kernel = random(3, 3, 4, 5, seed=1)
    model = assert_lowers(lambda x: tf.argmax(tf.nn.conv2d(x, kernel, 1, "SAME"), -1), {"x": random(2, 6, 7, 4)})
    assert op_types(model).count("Transpose") == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_of_nothing_is_not_a_number(dtype):
    def build(x):
        means = [tf.reduce_mean(x, axis) for axis in (0, 1, None)]
        return [*means, tf.reduce_mean(x, [-2], keepdims=True)]

    assert_lowers(build, {"x": np.zeros((2, 0, 3), dtype)}, opsets=(13, 18))


@pytest.mark.parametrize("op", ["Mean", "Max", "Prod", "EuclideanNorm"])
def test_nothing_is_dropped_when_the_axes_that_are_computed_are_none(op):
    def build(x, axes):
        result = getattr(tf.raw_ops, op)(input=x, axis=axes)
        return tf.shape(result), tf.reshape(result, [-1])

    x = random(2, 1, 4)
    feeds = [{"x": x, "axes": np.array(axes, np.int32)} for axes in ([], [0], [1, -1])]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("op", [*OPS, "EuclideanNorm"])
def test_reduction_is_the_same_when_another_axis_is_empty(op):
    """onnxruntime leaves what is empty whole along an axis that is counted from the end."""

    def build(x, axis):
        kept = getattr(raw, op)(input=x, axis=axis, keep_dims=True)
        return tf.ensure_shape(kept, [None] * 3), tf.reshape(getattr(raw, op)(input=x, axis=axis), [-1])

    feeds = {"x": np.zeros((0, 3, 4), np.float32), "axis": np.int32([-1])}
    assert_lowers(build, feeds, {"x": random(2, 3, 4), "axis": np.int32([-2])}, dynamic=True, opsets=(15, 18))


def test_complex_functions_give_nothing_when_there_is_nothing():
    def build(x, y):
        z = tf.complex(x, y)
        distance = tf.math.squared_difference(z, tf.math.conj(z))
        return [tf.abs(z), tf.math.real(tf.math.log(z)), tf.math.imag(distance)]

    feeds = {"x": np.zeros((0, 3), np.float32), "y": np.zeros((0, 3), np.float32)}
    assert_lowers(build, feeds, {"x": random(2, 2), "y": random(2, 2, seed=1)}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.uint64])
def test_extreme_is_the_least_number_of_its_dtype_when_there_is_none(dtype):
    build = lambda x: [tf.reduce_max(x, 1), tf.reduce_min(x, 1)]  # noqa: E731
    feeds = {"x": np.zeros((2, 0), dtype)}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, {"x": random(2, 3, dtype=dtype)}, dynamic=True)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.float32])
def test_mean_is_that_of_all_when_several_computed_axes_are_reduced(dtype):
    """The mean of rounded means would be less."""
    x = np.array([[[3, 9], [2, 5]], [[4, 4], [0, 3]]], dtype)
    feeds = {"x": x, "axes": np.int64([0, 2, 1])}
    for keep in (False, True):
        build = lambda x, axes, keep=keep: tf.reshape(raw.Mean(input=x, axis=axes, keep_dims=keep), [-1])  # noqa: E731
        assert_lowers(build, feeds, opsets=(13, 15, 18))
