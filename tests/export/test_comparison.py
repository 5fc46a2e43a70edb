"""Comparisons, logic, and clipping."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

NUMBERS = [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64]
NUMBERS += [np.uint8, np.uint16, np.uint32, np.uint64]
EDGES = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan], np.float32)
COMPARISONS = ["Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_comparison_is_the_same_when_it_broadcasts(dtype):
    feeds = {"x": random(4, 5, dtype=dtype), "y": random(5, dtype=dtype, seed=1)}
    assert_lowers(lambda x, y: [getattr(raw, op)(x=x, y=y) for op in COMPARISONS], feeds, opsets=(13, 18))


def test_comparison_is_the_same_when_operands_are_not_finite():
    x, y = np.meshgrid(EDGES, EDGES)
    assert_lowers(lambda x, y: [getattr(raw, op)(x=x, y=y) for op in COMPARISONS], {"x": x, "y": y})


def test_equality_is_the_same_when_operands_are_bool_or_strings():
    feeds = {"x": np.array([True, False, True]), "y": np.array([True, True, False])}
    assert_lowers(lambda x, y: [raw.Equal(x=x, y=y), raw.NotEqual(x=x, y=y)], feeds)
    words = {"x": np.array(["a", "b"], object), "y": np.array(["a", "c"], object)}
    assert_lowers(lambda x, y: [raw.Equal(x=x, y=y), raw.NotEqual(x=x, y=y)], words, opsets=(19,))


def test_equality_is_of_both_parts_when_operands_are_complex():
    def build(a, b):
        x, y = tf.complex(a, b), tf.complex(b, a)
        return [tf.equal(x, y), tf.not_equal(x, y), tf.equal(x, x)]

    assert_lowers(build, {"a": np.float32([1, 2, 3]), "b": np.float32([1, 3, 3])})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_approximate_equality_is_the_same(dtype):
    feeds = {"x": random(30, dtype=dtype), "y": random(30, dtype=dtype, seed=1)}
    assert_lowers(lambda x, y: raw.ApproximateEqual(x=x, y=y, tolerance=1.0), feeds)


def test_logic_is_the_same():
    x, y = np.meshgrid([True, False], [True, False])
    assert_lowers(
        lambda x, y: [tf.logical_and(x, y), tf.logical_or(x, y), tf.logical_not(x), tf.math.logical_xor(x, y)],
        {"x": x, "y": y},
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_kinds_of_floats_are_told_apart(dtype):
    x = EDGES.astype(dtype)
    assert_lowers(lambda x: [tf.math.is_nan(x), tf.math.is_inf(x), tf.math.is_finite(x)], {"x": x}, opsets=(13, 20))


@pytest.mark.parametrize("dtype", NUMBERS[:9])
def test_clip_is_the_same_when_bounds_are_known_or_computed(dtype):
    x = random(5, 6, dtype=dtype, low=-9, high=9)
    low, high = np.array(2, dtype), np.array(5, dtype)

    def clip(x, low, high):
        return raw.ClipByValue(t=x, clip_value_min=low, clip_value_max=high)

    assert_lowers(lambda x: [clip(x, low, high), clip(x, x + x, x), clip(x, high, low)], {"x": x})
    assert_lowers(clip, {"x": x, "low": low, "high": high}, {"x": x, "low": high, "high": low}, dynamic=True)


def test_clip_keeps_nan():
    assert_lowers(lambda x: raw.ClipByValue(t=x, clip_value_min=-1.0, clip_value_max=1.0), {"x": EDGES})


def test_extremes_are_the_same_when_int64_differ_in_their_lower_half_alone():
    """There onnxruntime's Max, Min and Clip compare as int32."""
    x = np.int64([-300, 300, 70000, -70000, 5, 2**32 - 1, 2**31, 2**32 + 7, -(2**31) - 5])

    def build(x, y):
        clipped = tf.clip_by_value(x, 7, 2**32 - 1)
        least = tf.clip_by_value(x, y, y + 9)
        return [tf.maximum(x, 2**32 - 1), tf.minimum(y, x), clipped, least, tf.nn.relu(x), tf.nn.relu6(x)]

    assert_lowers(build, {"x": x, "y": np.int64(2**31 + 1)}, opsets=(13, 18))
    assert_lowers(lambda x: tf.saturate_cast(x, tf.uint32), {"x": x}, dynamic=True)
