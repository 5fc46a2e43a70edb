"""Functions of one number, over dtypes and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

FLOATS = [np.float16, np.float32, np.float64]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
EDGES = np.array([0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, np.inf, -np.inf, np.nan])
WHOLE_LINE = ["Abs", "Neg", "Exp", "Square", "Sigmoid", "Tanh", "Floor", "Ceil", "Round", "Rint", "Sign", "Reciprocal"]
WHOLE_LINE += ["Inv", "Expm1"]


def apply(*ops):
    return lambda x: [getattr(raw, op)(x=x) for op in ops]


@pytest.mark.parametrize("dtype", FLOATS)
def test_function_is_the_same(dtype):
    ops = [op for op in WHOLE_LINE if op != "Rint" or dtype != np.float16]
    assert_lowers(apply(*ops), {"x": random(3, 5, dtype=dtype)}, opsets=(13, 18), dynamic=True)
    assert_lowers(apply("Sqrt", "Rsqrt", "Log", "Log1p"), {"x": random(40, dtype=dtype, low=0.01, high=9)})


@pytest.mark.parametrize("op", [*WHOLE_LINE, "Sqrt", "Rsqrt", "Log", "Log1p"])
def test_function_is_the_same_at_its_edges(op):
    assert_lowers(apply(op), {"x": EDGES.astype(np.float32)})


@pytest.mark.parametrize("op", ["Expm1", "Log1p"])
def test_function_near_zero_keeps_its_relative_precision(op):
    for dtype in (np.float32, np.float64):
        x = (np.float64(10) ** np.arange(-30, 1)).astype(dtype)
        assert_lowers(
            apply(op), {"x": np.concatenate([x, -x[:-1]])}, atol=0, rtol=1e-6 if dtype == np.float32 else 1e-14
        )


@pytest.mark.parametrize("dtype", SIGNED)
def test_function_of_integers_is_the_same(dtype):
    limits = np.iinfo(dtype)
    x = np.array([limits.min + 1, limits.max, 0, 3, -7, 20], dtype)
    assert_lowers(apply("Abs", "Neg", "Sign"), {"x": x}, opsets=(13, 18))
    if dtype in (np.int32, np.int64):
        assert_lowers(apply("Square"), {"x": x})


def test_functions_of_bfloat16_are_the_same():
    x = random(20, low=0.5, high=3).astype(tf.bfloat16.as_numpy_dtype)
    assert_lowers(apply("Abs", "Neg", "Square", "Sqrt", "Exp", "Log", "Tanh", "Floor", "Sign", "IsNan"), {"x": x})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["Erf", "Erfc"])
def test_error_function_is_the_same(op, dtype):
    edges = EDGES[~np.isinf(EDGES)]  # of infinities TensorFlow's float64 erf gives NaN
    x = np.concatenate([np.linspace(-9, 9, 181), 10.0 ** np.arange(-20, 0, 3), edges]).astype(dtype)
    assert_lowers(apply(op), {"x": x})
    if dtype == np.float64:
        assert_lowers(apply(op), {"x": np.linspace(0.1, 7.9, 79)}, atol=0)  # erfc keeps its relative precision


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sign_of_what_is_not_a_number_is_none(dtype):
    assert_lowers(tf.sign, {"x": np.array([np.nan, np.inf, -np.inf, 0, -2], dtype)})
