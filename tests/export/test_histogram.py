"""Values sorted into bins: those on a boundary, and those outside."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

DTYPES = [np.float32, np.float64, np.int32, np.int64]
VALUES = np.array([[-1, 0, 1, 2, 2.5], [3, 4.5, 5, 9, 100]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_buckets_are_the_same(dtype):
    for boundaries in ([0.0, 2.0, 4.5], [2.0], []):
        assert_lowers(
            lambda x, b=boundaries: raw.Bucketize(input=x, boundaries=b), {"x": VALUES.astype(dtype)}, opsets=(13, 18)
        )
    assert_lowers(lambda x: raw.Bucketize(input=x, boundaries=[0.0, 2.0]), {"x": VALUES.astype(dtype)}, dynamic=True)


def test_buckets_of_what_is_no_number_are_the_same():
    x = np.float32([np.nan, np.inf, -np.inf])
    assert_lowers(lambda x: raw.Bucketize(input=x, boundaries=[0.0, 2.0]), {"x": x})


@pytest.mark.parametrize("dtype", DTYPES)
def test_histogram_is_the_same(dtype):
    def build(x, span):
        return [raw.HistogramFixedWidth(values=x, value_range=span, nbins=n, dtype=t) for n in (1, 5) for t in OUTPUTS]

    assert_lowers(build, {"x": VALUES.astype(dtype), "span": np.array([0, 5], dtype)}, opsets=(13, 18))


OUTPUTS = [tf.int32, tf.int64]


def test_histogram_is_the_same_when_the_number_of_bins_is_computed():
    def build(x, span, n):
        return raw.HistogramFixedWidth(values=x, value_range=span, nbins=n)

    span = np.float32([-2, 2])
    feeds = [{"x": random(40, seed=n), "span": span, "n": np.array(n, np.int32)} for n in (3, 8)]
    assert_lowers(build, *feeds, dynamic=True)
