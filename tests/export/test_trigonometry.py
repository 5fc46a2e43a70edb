"""Angles and hyperbolic functions, in the precision of their dtype."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

FLOATS = [np.float16, np.float32, np.float64]
EDGES = np.array([0.0, -0.0, 1, -1, 2.5, -3, np.inf, -np.inf, np.nan, 1e-30, -1e30])
SMALL = 10.0 ** np.arange(-20, 0, 2)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh"])
def test_function_is_the_same(op, dtype):
    with np.errstate(over="ignore"):
        edges, small = EDGES.astype(dtype), SMALL.astype(dtype)
    x = np.concatenate([random(50, dtype=dtype, low=-0.999, high=0.999), random(50, dtype=dtype), edges])
    if op in ("Sin", "Cos", "Tan"):
        x = x[np.abs(x) < 10]
    if op == "Acosh":
        x = np.concatenate([np.abs(x) + dtype(1), np.array([1, 1e3, np.nan, np.inf], dtype)])
    assert_lowers(lambda x: getattr(raw, op)(x=x), {"x": x}, dynamic=True)
    if op not in ("Cos", "Acos", "Cosh", "Acosh") and dtype != np.float16:
        assert_lowers(lambda x: getattr(raw, op)(x=x), {"x": small}, atol=0)  # their relative precision near 0


@pytest.mark.parametrize("op", ["Sinh", "Cosh", "Asinh", "Acosh"])
def test_function_of_float64_is_the_same_when_its_parts_would_overflow(op):
    x = np.array([709.5, 710.4, 20, 1e8, 1e12, 1e200, 1.7e308])
    assert_lowers(lambda x: getattr(raw, op)(x=x), {"x": x[:3] if op in ("Sinh", "Cosh") else x})


@pytest.mark.parametrize("dtype", FLOATS)
def test_atan2_is_in_the_right_quadrant_when_parts_are_zero_or_infinite(dtype):
    with np.errstate(over="ignore"):
        y, x = np.meshgrid(EDGES.astype(dtype), EDGES.astype(dtype))
    assert_lowers(lambda y, x: tf.math.atan2(y, x), {"y": y, "x": x})
    assert_lowers(
        lambda y, x: tf.math.atan2(y, x),
        {"y": random(30, dtype=dtype), "x": random(4, 1, dtype=dtype, seed=1)},
        opsets=(13,),
    )
