"""Rows combined by segment, and counts."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

OPSETS = (13, 16, 18)
IDS = np.int32([0, 0, 1, 3, 3, 3])
UNSORTED = np.int32([4, 0, 1, 0, -1, 1])
KINDS = ["Sum", "Prod", "Max", "Min"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_segments_are_the_same_when_one_is_empty(dtype):
    def build(x, ids):
        return [getattr(raw, f"Segment{kind}")(data=x, segment_ids=ids) for kind in [*KINDS, "Mean"]]

    feeds = {"x": random(6, 3, dtype=dtype), "ids": IDS}
    assert_lowers(build, feeds, opsets=OPSETS)
    assert_lowers(build, feeds, {"x": random(2, 4, dtype=dtype), "ids": np.int32([0, 2])}, dynamic=True, opsets=OPSETS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_unsorted_segments_are_the_same_when_ids_are_negative_or_missing(dtype):
    def build(x, ids, n):
        ops = [getattr(raw, f"UnsortedSegment{kind}") for kind in KINDS]
        return [op(data=x, segment_ids=ids, num_segments=n) for op in ops]

    vector = {"x": random(6, 3, dtype=dtype), "ids": UNSORTED, "n": np.int32(5)}
    matrix = {"x": random(2, 3, 4, dtype=dtype), "ids": UNSORTED.reshape(2, 3), "n": np.int32(6)}
    assert_lowers(build, vector, opsets=OPSETS, dynamic=True)
    assert_lowers(build, matrix, opsets=OPSETS)
    assert_lowers(lambda x, ids: build(x, ids, 5), {k: vector[k] for k in ("x", "ids")}, opsets=OPSETS)


@pytest.mark.parametrize("kind", ["Sum", "Mean", "SqrtN"])
def test_sparse_segments_are_the_same(kind):
    def build(x, indices, ids):
        given = getattr(raw, f"SparseSegment{kind}WithNumSegments")
        return [
            getattr(raw, f"SparseSegment{kind}")(data=x, indices=indices, segment_ids=ids),
            given(data=x, indices=indices, segment_ids=ids, num_segments=6),
        ]

    feeds = {"x": random(7, 3), "indices": np.int32([5, 0, 1, 0, 2, 1]), "ids": IDS}
    assert_lowers(build, feeds, opsets=OPSETS, dynamic=True)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_counts_are_the_same_when_values_are_too_large(dtype):
    values, none = np.int32([1, 2, 2, 7, 0, 2]), np.zeros(0, dtype)
    weights = random(6, dtype=dtype)
    assert_lowers(lambda x: raw.Bincount(arr=x, size=4, weights=none), {"x": values}, opsets=OPSETS)
    build = lambda x, n, w: raw.Bincount(arr=x, size=n, weights=w)  # noqa: E731
    assert_lowers(build, {"x": values, "n": np.int32(4), "w": weights}, opsets=OPSETS)
    for binary in (True, False):

        def dense(x, n, binary=binary):
            return [raw.DenseBincount(input=v, size=n, weights=none, binary_output=binary) for v in (x, x[0])]

        assert_lowers(dense, {"x": values.reshape(2, 3), "n": np.int32(5)}, dynamic=True, opsets=OPSETS)
    feeds = {"x": values.reshape(2, 3), "w": weights.reshape(2, 3)}
    assert_lowers(lambda x, w: raw.DenseBincount(input=x, size=4, weights=w), feeds)


def test_bincount_of_the_api_is_the_same():
    assert_lowers(
        lambda x: raw.DenseBincount(input=x, size=8, weights=np.zeros(0, np.int32)), {"x": np.int32([1, 7, 1])}
    )


def reshaped(build):
    """``build`` of a tensor whose rank the graph does not know, its results as vectors."""

    def flat(values, shape, *others):
        results = build(tf.reshape(values, shape), *others)
        return [tf.reshape(result, [-1]) for result in (results if isinstance(results, list) else [results])]

    return flat


def of_any_rank(*arrays):
    """Feeds of `reshaped`, one for each array."""
    return [{"values": array.ravel(), "shape": np.int32(array.shape)} for array in arrays]


@pytest.mark.parametrize("op", ["SegmentSum", "SegmentMean", "SegmentMax", "SegmentProd"])
def test_rows_are_combined_when_their_rank_is_not_known(op):
    build = lambda x: getattr(tf.raw_ops, op)(data=x, segment_ids=[0, 0, 2, 2])  # noqa: E731
    feeds = of_any_rank(random(4, 3), random(4, 2, 5), random(4))
    assert_lowers(reshaped(build), *feeds, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("op", ["Sum", "Mean", "SqrtN"])
def test_picked_rows_are_combined_when_their_rank_is_not_known(op):
    def build(x):
        picked = {"data": x, "indices": [1, 3, 0], "segment_ids": [0, 0, 2]}
        plain = getattr(tf.raw_ops, f"SparseSegment{op}")(**picked)
        return [plain, getattr(tf.raw_ops, f"SparseSegment{op}WithNumSegments")(**picked, num_segments=5)]

    assert_lowers(reshaped(build), *of_any_rank(random(4, 3), random(4, 2, 5)), dynamic=True)


@pytest.mark.parametrize("how", ["Sum", "Prod", "Max", "Min"])
def test_rows_are_combined_when_not_even_the_rank_of_the_segments_is_known(how):
    def build(x, ids, shape):
        segments = tf.reshape(ids, shape)
        return getattr(tf.raw_ops, f"UnsortedSegment{how}")(data=x, segment_ids=segments, num_segments=4)

    ids = np.int32([2, 0, -1, 0, 2, 1])
    feeds = [of_any_rank(random(2, 3, 2))[0] | {"ids": ids, "rows": np.int32(rows)} for rows in ([2, 3],)]
    feeds += [of_any_rank(random(6, 2))[0] | {"ids": ids, "rows": np.int32([6])}]
    assert_lowers(reshaped(build), *feeds, dynamic=True)


@pytest.mark.parametrize("dynamic", [False, True])
def test_complex_rows_are_added_by_segment(dynamic):
    def build(x, y):
        z, ids = tf.complex(x, y), [0, 0, 2, 2]
        sums = [
            tf.math.segment_sum(z, ids),
            tf.math.segment_mean(z, ids),
            tf.math.unsorted_segment_sum(z, ids[::-1], 4),
        ]
        return [part(total) for total in sums for part in (tf.math.real, tf.math.imag)]

    assert_lowers(build, {"x": random(4, 3), "y": random(4, 3, seed=1)}, dynamic=dynamic, opsets=(13, 18))


@pytest.mark.parametrize("opset", [13, 18])
def test_extremes_of_segments_are_the_same_when_numbers_need_all_bits_of_uint64(opset):
    x = np.array([[2**64 - 1, 3], [2**63, 5], [7, 2**63 + 9]], np.uint64)

    def build(x):
        ids = [1, 1, 3]
        most = [tf.math.unsorted_segment_max(x, ids, 4), tf.math.unsorted_segment_min(x, ids, 4)]
        return [*most, tf.tensor_scatter_nd_max(x, [[0], [0]], x[1:]), tf.tensor_scatter_nd_min(x, [[0], [0]], x[1:])]

    assert_lowers(build, {"x": x}, opsets=(opset,))
