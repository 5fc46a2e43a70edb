"""The same bits as another dtype: by ONNX' own op, and by arithmetic before opset 26."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

EDGES = np.float32([[0, -0.0, 1, -1.5], [np.inf, -np.inf, 1e-42, -3.4e38], [2**-126, -(2**-149), np.pi, 2**127]])
OPSETS = (13, 18, 26)


def bits(dtype, *shape, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("int32", "uint32"),
        ("uint8", "int8"),
        ("int64", "uint64"),
        ("uint32", "uint8"),
        ("int64", "int32"),
        ("int16", "uint8"),
        ("uint64", "int16"),
        ("uint8", "int32"),
        ("int16", "int64"),
        ("uint32", "uint64"),
    ],
)
def test_bits_of_integers_are_the_same(source, target):
    count = np.dtype(target).itemsize // np.dtype(source).itemsize
    shape = (2, 3, count) if count > 1 else (2, 3)
    build = lambda x: tf.bitcast(x, target)  # noqa: E731
    assert_lowers(build, {"x": bits(source, *shape)}, dynamic=True, opsets=OPSETS)


def test_bits_of_floats_are_the_same():
    feeds = {"x": EDGES}
    build = lambda x: [tf.bitcast(x, tf.int32), tf.bitcast(x, tf.uint32), tf.bitcast(x, tf.uint8)]  # noqa: E731
    assert_lowers(build, feeds, {"x": bits("int32", 40, 50).view(np.float32)[:3, :4]}, dynamic=True, opsets=OPSETS)


def test_floats_of_bits_are_the_same():
    some = bits("int32", 100, seed=1)
    some = some[np.isfinite(some.view(np.float32))]
    feeds = {"x": np.concatenate([EDGES.view(np.int32).ravel(), some])}
    assert_lowers(lambda x: tf.bitcast(x, tf.float32), feeds, rtol=0, atol=0, opsets=OPSETS)


def test_all_halves_have_their_bits():
    every = np.arange(-(2**15), 2**15).astype(np.int16)
    every = every[~np.isnan(every.view(np.float16))]
    assert_lowers(lambda x: tf.bitcast(x, tf.float16), {"x": every}, rtol=0, atol=0, opsets=(13, 26))
    assert_lowers(lambda x: tf.bitcast(x, tf.int16), {"x": every.view(np.float16)}, opsets=(13, 26))


def test_nan_has_the_bits_of_a_nan():
    feeds = {"x": np.float32([np.nan, 1])}
    assert_lowers(lambda x: tf.bitcast(x, tf.int32), feeds, opsets=OPSETS)
    feeds = {"x": np.int32([0x7FC00000, -0x400000, 0x7F800001])}
    assert_lowers(lambda x: tf.bitcast(x, tf.float32), feeds, opsets=OPSETS)


def test_bits_of_doubles_are_refused_before_opset_26():
    feeds = {"x": np.float64([1, -0.0, 1e-310])}
    assert_lowers(lambda x: tf.bitcast(x, tf.int64), feeds, opsets=(26,))
    with pytest.raises(ExportError, match="no bits of float64 before opset 26"):
        assert_lowers(lambda x: tf.bitcast(x, tf.int64), feeds)


def test_parts_of_complex_numbers_are_their_bits():
    def build(x, y):
        return [tf.bitcast(tf.complex(x, y), tf.float32), tf.math.imag(tf.bitcast(tf.stack([x, y], -1), tf.complex64))]

    assert_lowers(build, {"x": np.float32([1, 2]), "y": np.float32([3, -4])}, dynamic=True)
