"""Simulated quantisation. Values on the edge between two steps are left out: there one rounding decides."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, inference_graph, op_types, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

RANGES = [(-2.1, 1.7), (0.0, 2.9), (-1.3, 0.0), (0.4, 2.5), (-2.7, -0.3)]
X = random(2, 5, 6, 3, low=-4, high=4)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", [2, 5, 8, 12])
def test_fake_quant_is_the_same(bits, narrow):
    given = {"num_bits": bits, "narrow_range": narrow}

    def build(x):
        fixed = [raw.FakeQuantWithMinMaxArgs(inputs=x, min=low, max=high, **given) for low, high in RANGES]
        constant = [raw.FakeQuantWithMinMaxVars(inputs=x, min=low, max=high, **given) for low, high in RANGES]
        return [*fixed, *constant]

    model = assert_lowers(build, {"x": X}, opsets=(13, 18), rtol=1e-5)
    assert ("QuantizeLinear" in op_types(model)) == (bits <= 8)
    computed = lambda x, low, high: raw.FakeQuantWithMinMaxVars(inputs=x, min=low, max=high, **given)  # noqa: E731
    feeds = [{"x": X, "low": np.float32(low), "high": np.float32(high)} for low, high in RANGES]
    assert_lowers(computed, *feeds, dynamic=True, rtol=1e-5)


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_fake_quant_is_the_same_when_each_channel_has_a_range(bits, narrow):
    low, high = np.float32([-2.1, 0.0, -1.3]), np.float32([1.7, 2.9, 0.4])
    given = {"num_bits": bits, "narrow_range": narrow}

    def build(x, low=low, high=high):
        return raw.FakeQuantWithMinMaxVarsPerChannel(inputs=x, min=low, max=high, **given)

    assert_lowers(build, {"x": X}, opsets=(13, 18), rtol=1e-5)
    assert_lowers(build, {"x": X[0, 0]}, rtol=1e-5)
    assert_lowers(build, {"x": X, "low": low, "high": high}, rtol=1e-5)


def test_fake_quant_is_zero_when_the_range_is_empty():
    assert_lowers(lambda x, a: raw.FakeQuantWithMinMaxVars(inputs=x, min=a, max=a), {"x": X, "a": np.float32(0)})
    assert_lowers(lambda x: raw.FakeQuantWithMinMaxVars(inputs=x, min=0.0, max=0.0), {"x": X})


def test_fake_quant_needs_no_transposes_when_between_convolutions():
    kernel = random(1, 1, 3, 3, seed=1)

    def build(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        y = raw.FakeQuantWithMinMaxVarsPerChannel(inputs=y, min=[-5.0, -4.0, -3.0], max=[5.0, 6.0, 7.0], num_bits=8)
        return tf.nn.conv2d(y, kernel, 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 5, 6, 3)}, rtol=1e-4, atol=1e-5)
    assert op_types(model).count("Transpose") == 2


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rounding", ["HALF_TO_EVEN", "HALF_UP"])
def test_rounding_to_steps_is_the_same(rounding, signed, narrow):
    """TensorFlow refuses a range with a part below zero when the steps are unsigned."""
    x = X if signed else np.abs(X)
    ranges = RANGES[:3] if signed else [(0.0, 2.9)]
    given = {"signed_input": signed, "narrow_range": narrow and signed}

    def build(x):
        found = [
            raw.QuantizeAndDequantizeV2(
                input=x, input_min=low, input_max=high, num_bits=bits, range_given=True, round_mode=rounding, **given
            )
            for low, high in ranges
            for bits in (4, 8)
        ]
        none = {"input_min": 0.0, "input_max": 0.0, "range_given": False}
        found.append(raw.QuantizeAndDequantizeV2(input=x, num_bits=8, round_mode=rounding, **none, **given))
        found.append(raw.QuantizeAndDequantizeV3(input=x, num_bits=6, **none, **given))
        found.append(raw.QuantizeAndDequantizeV4(input=x, num_bits=9, round_mode=rounding, **none, **given))
        return found

    assert_lowers(build, {"x": x}, opsets=(13, 18), rtol=1e-5)
    assert_lowers(build, {"x": x}, dynamic=True, rtol=1e-5)


@pytest.mark.parametrize("axis", [1, 3])
def test_rounding_to_steps_is_the_same_when_each_slice_has_a_range(axis):
    low = random(X.shape[axis], low=-3, high=-1)
    high = random(X.shape[axis], low=1, high=3, seed=1)

    def build(x):
        given = {"input_min": low, "input_max": high, "axis": axis}
        return [
            raw.QuantizeAndDequantizeV3(input=x, num_bits=8, range_given=True, **given),
            raw.QuantizeAndDequantizeV2(input=x, range_given=False, **given),
            raw.QuantizeAndDequantizeV3(input=x, num_bits=8, range_given=True, narrow_range=True, **given),
        ]

    assert_lowers(build, {"x": X}, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float64])
def test_rounding_to_steps_is_the_same_when_of_another_dtype(dtype):
    def build(x):
        low, high = tf.constant(-2.1, x.dtype), tf.constant(1.7, x.dtype)
        return raw.QuantizeAndDequantizeV2(input=x, input_min=low, input_max=high, range_given=True)

    assert_lowers(build, {"x": X.astype(dtype)}, rtol=1e-9)


@pytest.mark.parametrize("given", [True, False])
def test_rounding_to_steps_is_the_same_when_there_is_one_bit(given):
    """Of the two codes, 0 and -1, none is positive."""
    build = lambda x: tf.quantization.quantize_and_dequantize_v2(x, -1.0, 1.0, num_bits=1, range_given=given)  # noqa: E731
    assert_lowers(build, {"x": random(3, 4)})


def test_rounding_to_steps_is_zero_when_all_is_zero():
    build = lambda x: raw.QuantizeAndDequantizeV2(input=x, input_min=0.0, input_max=0.0)  # noqa: E731
    assert_lowers(build, {"x": np.zeros((2, 3), np.float32)})


def test_fake_quant_of_channels_is_the_same_when_not_even_the_rank_is_known():
    """ONNX' checker wants a shape of every input: onnxruntime alone judges."""
    low, high = np.float32([-3, -0.5, -2]), np.float32([2, 3, 4])

    def build(x, low=low, high=high):
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(x, low, high)

    for known in ({}, {"low": low, "high": high}):
        model = export(inference_graph(build, {"x": random(4, 3), **known}, shapes={"x": None}))
        runtime = onnxruntime.InferenceSession(model.SerializeToString())
        for x in (random(4, 3), random(2, 5, 6, 3, seed=1)):
            (got,) = runtime.run(None, {"x:0": x} | {f"{name}:0": value for name, value in known.items()})
            assert_same(got, build(x).numpy())
