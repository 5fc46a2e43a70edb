"""Axes in another order, running totals, ranges, sets, parts."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


def test_reverse_is_the_same():
    x = random(2, 3, 4)
    for axes in ([0, -1], [1], []):
        assert_lowers(lambda x, axes=axes: tf.reverse(x, np.array(axes, np.int32)), {"x": x}, dynamic=True)
    feeds = {"x": x, "axes": np.int32([0, -1])}
    assert_lowers(lambda x, axes: tf.reverse(x, axes), feeds, {**feeds, "axes": np.int32([1])}, dynamic=True)
    flags = {"x": x, "flags": np.array([True, False, True])}
    assert_lowers(lambda x, flags: raw.Reverse(tensor=x, dims=flags), flags)
    assert_lowers(lambda x: raw.Reverse(tensor=x, dims=[False, True, False]), {"x": x})


@pytest.mark.parametrize(("batch", "time"), [(0, 1), (1, 0), (2, 0), (0, 2), (1, 2)])
def test_sequences_are_reversed_along_any_axes(batch, time):
    x = random(3, 4, 5)
    lengths = (np.arange(x.shape[batch]) % (x.shape[time] + 1)).astype(np.int32)
    build = lambda x, n: tf.reverse_sequence(x, n, time, batch)  # noqa: E731
    assert_lowers(build, {"x": x, "n": lengths}, dynamic=True)
    assert_lowers(build, {"x": x.astype(np.int64), "n": lengths.astype(np.int64)})


ROLLS = [(1, 0), (-1, -1), (7, 1), ([1, -2, 1], [0, -1, 0]), (0, 2)]


@pytest.mark.parametrize(("shift", "axis"), ROLLS)
def test_roll_is_the_same(shift, axis):
    x = random(3, 4, 5)
    assert_lowers(lambda x: tf.roll(x, shift, axis), {"x": x})
    assert_lowers(lambda x: tf.roll(x, shift, axis), {"x": x}, {"x": random(2, 2, 3)}, dynamic=True)
    assert_lowers(lambda x, s: tf.roll(x, s, axis), {"x": x, "s": np.int32(shift)})
    feeds = {"x": x, "s": np.int32(shift), "a": np.int32(axis)}
    assert_lowers(lambda x, s, a: tf.roll(x, s, a), feeds, dynamic=True)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("backward", [False, True])
def test_running_totals_are_the_same(exclusive, backward):
    def build(x):
        return [
            op(x, axis, exclusive, backward)
            for op in (tf.cumsum, tf.math.cumprod, tf.math.cumulative_logsumexp)
            for axis in (0, -2)
        ]

    assert_lowers(build, {"x": random(2, 3, 4)}, opsets=(13, 18))
    assert_lowers(build, {"x": random(2, 3, 4)}, {"x": random(3, 5, 2)}, dynamic=True)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int16", "int32", "int64", "uint8"])
def test_running_totals_keep_their_dtype(dtype):
    x = random(3, 4, dtype=dtype, low=-2, high=3)
    assert_lowers(lambda x: [tf.cumsum(x, 1), tf.math.cumprod(x, 0)], {"x": x}, opsets=(13, 18))


def test_running_sum_is_the_same_when_the_axis_is_computed():
    feeds = {"x": random(3, 4), "a": np.int32(-1)}
    assert_lowers(lambda x, a: tf.cumsum(x, a), feeds, {**feeds, "a": np.int32(0)}, dynamic=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.float16])
def test_range_is_the_same(dtype):
    feeds = {"a": np.array(1, dtype), "b": np.array(10, dtype), "c": np.array(3, dtype)}
    down = {"a": np.array(9, dtype), "b": np.array(-2, dtype), "c": np.array(-4, dtype)}
    assert_lowers(lambda a, b, c: raw.Range(start=a, limit=b, delta=c), feeds, down)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_space_is_the_same(dtype):
    feeds = {"a": np.array(1, dtype), "b": np.array(10, dtype), "n": np.int32(7)}
    assert_lowers(lambda a, b, n: raw.LinSpace(start=a, stop=b, num=n), feeds, {**feeds, "n": np.int32(1)})
    assert_lowers(lambda a, b: raw.LinSpace(start=a, stop=b, num=4), {"a": feeds["a"], "b": feeds["b"]})


def test_permutation_is_inverted():
    for dtype in (np.int32, np.int64):
        assert_lowers(lambda p: tf.math.invert_permutation(p), {"p": np.array([2, 0, 1, 3], dtype)}, dynamic=True)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.float32, np.float64, np.uint8])
def test_unique_values_come_in_the_order_of_the_input(dtype):
    x = np.array([3, 1, 1, 3, 0, 2], dtype)
    assert_lowers(lambda x: [*tf.unique(x), *tf.unique_with_counts(x, out_idx=tf.int64)], {"x": x})


def test_unique_rows_are_the_same():
    x = np.int64([[3, 1, 1, 3], [0, 2, 2, 0]])
    assert_lowers(lambda x: [*raw.UniqueV2(x=x, axis=[1]), *raw.UniqueWithCountsV2(x=x, axis=[0])], {"x": x})
    assert_lowers(lambda x: [*raw.UniqueV2(x=x, axis=np.zeros(0, np.int64))], {"x": x[0]})


def test_difference_of_sets_is_the_same():
    feeds = {"x": np.int32([3, 1, 1, 4, 0, 2]), "y": np.int32([1, 2, 9])}
    assert_lowers(lambda x, y: [*raw.ListDiff(x=x, y=y)], feeds, {"x": feeds["x"], "y": feeds["x"]}, dynamic=True)


def test_search_in_sorted_rows_is_the_same():
    feeds = {"x": np.sort(random(2, 6)), "y": random(2, 3, seed=3)}

    def build(x, y):
        return [tf.searchsorted(x, y, s, t) for s in ("left", "right") for t in (tf.int32, tf.int64)]

    assert_lowers(build, feeds)


def test_rows_are_dealt_out():
    vector = {"x": random(5, 2), "p": np.int32([2, 0, 0, 2, 0])}
    assert_lowers(lambda x, p: tf.dynamic_partition(x, p, 4), vector, dynamic=True)
    matrix = {"x": random(2, 2, 3), "p": np.int32([[1, 0], [0, 1]])}
    assert_lowers(lambda x, p: tf.dynamic_partition(x, p, 2), matrix)


def test_rows_are_stitched_together():
    def build(a, b, i, j):
        return [tf.dynamic_stitch([i, j], [a, b]), raw.ParallelDynamicStitch(indices=[i, j], data=[a, b])]

    feeds = {"a": random(3, 2), "b": random(2, 1, 2, seed=1), "i": np.int32([4, 0, 1]), "j": np.int32([[2], [3]])}
    assert_lowers(build, feeds, dynamic=True)
    twice = {"a": random(3), "b": random(2, seed=1), "i": np.int32([0, 1, 2]), "j": np.int32([1, 2])}
    assert_lowers(lambda a, b, i, j: tf.dynamic_stitch([i, j], [a, b]), twice)


def test_partition_and_stitch_give_the_input_back():
    def build(x):
        parts = tf.cast(x > 0, tf.int32)
        places = tf.dynamic_partition(tf.range(8), parts, 2)
        return tf.dynamic_stitch(places, [-p for p in tf.dynamic_partition(x, parts, 2)])

    assert_lowers(build, {"x": random(8)})


def test_bfloat16_is_moved_as_other_dtypes_are():
    x = random(3, 4).astype(tf.bfloat16.as_numpy_dtype)
    assert_lowers(lambda x: [tf.reverse_sequence(x, [1, 2, 3], 1, 0), *tf.dynamic_partition(x, [1, 0, 1], 2)], {"x": x})


def test_complex_sequences_are_reversed_along_any_axes():
    def build(x, y, lengths):
        reversed_ = tf.reverse_sequence(tf.complex(x, y), lengths, seq_axis=2, batch_axis=0)
        return tf.math.real(reversed_), tf.math.imag(reversed_)

    feeds = {"x": random(2, 3, 4), "y": random(2, 3, 4, seed=1), "lengths": np.int32([3, 0])}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, dynamic=True)
