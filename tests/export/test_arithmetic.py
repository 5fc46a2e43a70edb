"""Sums, products, quotients and remainders, their dtypes and their edges."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

FLOATS = [np.float16, np.float32, np.float64]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
INTEGERS = [*SIGNED, np.uint8, np.uint16, np.uint32, np.uint64]
EDGES = np.array([0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan], np.float32)


def pairs(values):
    """Every value against every other."""
    x, y = np.meshgrid(values, values)
    return {"x": x, "y": y}


def binary(*ops):
    return lambda x, y: [getattr(raw, op)(x=x, y=y) for op in ops]


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_arithmetic_is_the_same_when_it_broadcasts(dtype):
    feeds = {"x": random(2, 3, 4, dtype=dtype, low=-90, high=90), "y": random(3, 1, dtype=dtype, seed=1)}
    ops = ["AddV2", "Sub", "Mul", "Maximum", "Minimum"]
    if dtype in (*FLOATS, np.int32, np.int64):
        ops.append("SquaredDifference")
    assert_lowers(binary(*ops), feeds, opsets=(13, 18))
    assert_lowers(binary(*ops), feeds, dynamic=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_quotient_is_the_same_when_signs_differ(dtype):
    feeds = {"x": random(40, dtype=dtype, low=-9, high=9), "y": random(40, dtype=dtype, seed=1)}
    assert_lowers(binary("RealDiv", "FloorDiv", "FloorMod", "TruncateDiv"), feeds, opsets=(13, 18))
    if dtype != np.float16:
        assert_lowers(binary("TruncateMod", "Mod"), feeds, opsets=(13, 18))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_quotient_is_the_same_when_signs_differ(dtype):
    limits = np.iinfo(dtype)
    x = np.array([limits.min, limits.max, 0, 1, 7, *([] if limits.min == 0 else [-7, -1, -100])], dtype)
    y = np.array([1, 2, 3, 7, 100, *([] if limits.min == 0 else [-2, -3, -7])], dtype)
    grid = dict(zip("xy", np.meshgrid(x, y), strict=True))
    assert_lowers(binary("Div", "FloorDiv", "FloorMod", "TruncateDiv"), grid, opsets=(13, 18))
    assert_lowers(lambda x: [x // np.array(3, dtype), x // np.array(limits.max, dtype)], {"x": x})
    if dtype in (np.int32, np.int64):
        assert_lowers(binary("TruncateMod", "Mod"), grid, opsets=(13, 18))


def test_integer_arithmetic_wraps_when_it_overflows():
    for dtype in (np.int8, np.uint8, np.int16, np.int32, np.int64):
        limits = np.iinfo(dtype)
        x = np.array([limits.min, limits.max, limits.max - 1], dtype)
        assert_lowers(binary("AddV2", "Sub", "Mul"), {"x": x, "y": x[::-1].copy()})


def test_float_arithmetic_is_the_same_when_operands_are_not_finite():
    ops = ["AddV2", "Sub", "Mul", "RealDiv", "FloorMod", "DivNoNan", "MulNoNan", "Xdivy", "Maximum", "Minimum"]
    for op in ops:
        assert_lowers(binary(op), pairs(EDGES))


@pytest.mark.parametrize("dtype", FLOATS)
def test_zero_first_ops_are_the_same_when_an_operand_is_zero(dtype):
    feeds = {"x": np.array([[0, 1, -2, 0]], dtype), "y": np.array([[0, 0, 3, 2], [1, 0.5, 0, 0]], dtype)}
    assert_lowers(binary("DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py"), feeds, opsets=(13, 18))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_power_is_the_same_when_the_exponent_is_a_tensor_or_known(dtype):
    feeds = {"x": np.abs(random(3, 4, dtype=dtype)), "y": np.abs(random(4, dtype=dtype, seed=1))}
    assert_lowers(binary("Pow"), feeds)
    assert_lowers(lambda x: [tf.pow(x, np.array(n, dtype)) for n in (0, 1, 2, 3)], {"x": random(3, 4, dtype=dtype)})


def test_power_is_a_product_or_a_root_when_the_exponent_is_2_or_a_half():
    model = assert_lowers(lambda x: tf.pow(tf.pow(x, 2.0), 0.5), {"x": random(3)})
    assert op_types(model) == ["Mul", "Sqrt"]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_arithmetic_is_the_same(dtype):
    x, y = random(2, 3, 2, seed=3).view(np.complex64)[..., 0], random(3, 2, seed=4).view(np.complex64)[..., 0]
    kind = np.float32 if dtype == np.complex64 else np.float64

    def build(a, b, c, d):
        x, y = tf.complex(a, b), tf.complex(c, d)
        return [
            part(z)
            for z in (x + y, x - y, x * y, x / y, tf.math.squared_difference(x, y), tf.add_n([x, x * y]))
            for part in (tf.math.real, tf.math.imag)
        ]

    feeds = {"a": x.real, "b": x.imag, "c": y.real, "d": y.imag}
    assert_lowers(
        build, {name: part.astype(kind) for name, part in feeds.items()}, rtol=1e-5 if kind == np.float32 else None
    )


def test_add_n_is_the_same_when_there_are_many_or_one():
    feeds = {"x": random(3), "y": random(3, seed=1)}
    assert_lowers(lambda x, y: [tf.add_n([x, y, x]), tf.add_n([y])], feeds)
    assert_lowers(lambda x, y: tf.raw_ops.AccumulateNV2(inputs=[x, y, x], shape=[3]), feeds)


def test_strings_are_joined_when_the_opset_can():
    x = np.array(["a", "b c"], object)
    assert_lowers(lambda x, y: tf.add(x, y), {"x": x, "y": x[::-1].copy()}, opsets=(20,))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_powers_of_integers_are_exact_and_wrap(dtype):
    bases = np.array([10, 3, -2, -3, 2, 7, -1, 0], dtype)
    exponents = np.array([18, 39, 63, 5, 62, 22, 127, 0], dtype)

    def build(x, y):
        powers = [tf.pow(x, tf.constant(n, x.dtype)) for n in (0, 1, 2, 3, 9)]
        return [tf.pow(x, y), tf.pow(x, y[3]), tf.pow(x[1], y), *powers]

    assert_lowers(build, {"x": bases, "y": exponents}, opsets=(13, 18))
    assert_lowers(build, {"x": bases, "y": exponents}, dynamic=True)


def test_products_with_complex_zeros_are_zero():
    def build(a, b):
        x, y = tf.complex(a, b), tf.complex(b, a + 1.0)
        results = [op(x * scale, y) for op in (tf.math.xdivy, tf.math.xlogy, tf.math.xlog1py) for scale in (1.0, 0.0)]
        return [part(z) for z in results for part in (tf.math.real, tf.math.imag)]

    assert_lowers(build, {"a": random(2, 3), "b": random(2, 3, seed=1)}, rtol=1e-4, atol=1e-5)
