"""Quantised tensors, there and back."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, inference_graph, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
quantize, dequantize = tf.quantization.quantize, tf.quantization.dequantize

DTYPES = [tf.qint8, tf.quint8, tf.qint16, tf.quint16]
EXACT = {"rtol": 2e-6, "atol": 2e-6}
"""What the codes stand for is a product and a sum of float32s; a code that differs by one would be 1.5e-5 at least."""


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("mode", ["MIN_COMBINED", "MIN_FIRST", "SCALED"])
def test_codes_stand_for_the_same(dtype, mode):
    """The range is as given, or it is widened: it must have zero in it, and not be too narrow."""

    def build(x, low, high):
        codes, low, high = quantize(x, low, high, dtype, mode=mode)
        return dequantize(codes, low, high, mode=mode), low, high

    feeds = [
        {"x": random(4, 5), "low": np.float32(low), "high": np.float32(high)}
        for low, high in ((-2.7, 2.2), (0.5, 2.5), (-1.5, -0.2), (-0.001, 0.001))
        if high > 0 or mode != "SCALED"  # then codes without a sign stand for nothing at all
    ]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18), **EXACT)
    assert_lowers(lambda x: build(x, -2.7, 2.2)[0], {"x": random(4, 5)}, **EXACT)


@pytest.mark.parametrize("rounding", ["HALF_AWAY_FROM_ZERO", "HALF_TO_EVEN"])
@pytest.mark.parametrize("narrow", [True, False])
def test_codes_stand_for_the_same_when_halves_are_rounded(rounding, narrow):
    """With this range a code is one unit, so that the halves are met."""
    top = 127.0
    x = np.array([-200, -128, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.5, 300], np.float32)

    def build(x):
        codes, low, high = quantize(x, -top, top, tf.qint8, mode="SCALED", round_mode=rounding, narrow_range=narrow)
        return dequantize(codes, low, high, mode="SCALED", narrow_range=narrow)

    assert_lowers(build, {"x": x}, **EXACT)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("mode", ["MIN_COMBINED", "SCALED"])
def test_codes_stand_for_the_same_when_each_slice_has_a_range(dtype, mode):
    low, high = np.float32([-2.7, -1, -2, -0.5, -4]), np.float32([2.2, 1, 1, 3, 0.1])

    def build(x):
        codes, lows, highs = quantize(x, low, high, dtype, mode=mode, axis=1)
        return dequantize(codes, lows, highs, mode=mode, axis=1)

    assert_lowers(build, {"x": random(4, 5, 3)}, **EXACT)
    assert_lowers(build, {"x": random(4, 5, 3)}, dynamic=True, **EXACT)


def test_codes_are_integers_when_they_leave_the_model():
    def build(x):
        return quantize(x, -1.5, 2.0, tf.qint8)[0]

    x = random(4, 5)
    model = export(inference_graph(build, {"x": x}))
    (got,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": x})
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, tf.bitcast(build(tf.constant(x)), tf.int8).numpy())
