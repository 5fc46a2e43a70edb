"""The error function's inverses, the gamma function's relatives, Bessel functions, and the next number of a dtype."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

DOUBLES = [np.float32, np.float64]
ROUNDED = {np.float16: 2e-3, np.float32: 3e-6, np.float64: 1e-11}
"""TensorFlow's own float32 series are off by some units in the last place."""


def apply(*ops):
    return lambda x: [getattr(raw, op)(x=x) for op in ops]


@pytest.mark.parametrize("dtype", DOUBLES)
def test_quantile_is_the_same_in_the_middle_and_in_both_tails(dtype):
    tails = 10.0 ** -np.arange(1, 30, 2)
    shares = np.concatenate([tails, np.linspace(0.02, 0.98, 49), 1 - tails[:3], [0, 1, -0.5, 2, np.nan]]).astype(dtype)
    assert_lowers(apply("Ndtri"), {"x": shares}, rtol=ROUNDED[dtype], opsets=(13, 18))
    x = np.concatenate([np.linspace(-0.99, 0.99, 33), tails, [0, 1, -1, 1.5]]).astype(dtype)
    assert_lowers(apply("Erfinv"), {"x": x}, {"x": x[:3]}, rtol=ROUNDED[dtype], atol=1e-16, dynamic=True)


def test_complement_of_the_error_function_keeps_its_tail():
    x = np.linspace(0, 9, 40).astype(np.float32)
    assert_lowers(apply("Erfc"), {"x": x}, atol=0, rtol=5e-6)
    assert_lowers(apply("Erfc"), {"x": np.linspace(0, 26, 60)}, atol=0, rtol=1e-11)


@pytest.mark.parametrize("dtype", [np.float16, *DOUBLES])
def test_log_gamma_and_digamma_are_the_same_on_both_sides_of_zero(dtype):
    x = np.concatenate([np.linspace(0.05, 12, 41), np.linspace(-5.3, -0.2, 18), [30, 500]]).astype(dtype)
    tolerance = 3e-5 if dtype == np.float32 else ROUNDED[dtype]  # TensorFlow's digamma in float32, left of 0
    assert_lowers(apply("Lgamma", "Digamma"), {"x": x}, rtol=tolerance, dynamic=True)


def test_log_gamma_and_digamma_are_the_same_at_their_poles():
    poles = np.float32([0, -0.0, -1, -2, -7, np.inf, np.nan, 1, 2])
    assert_lowers(apply("Lgamma"), {"x": np.append(poles, np.float32([-np.inf, 3]))}, atol=1e-14)
    assert_lowers(apply("Digamma"), {"x": poles[2:]})


@pytest.mark.parametrize("dtype", DOUBLES)
def test_zeta_and_polygamma_are_the_same(dtype):
    s, q = random(30, dtype=dtype, low=1.05, high=9), random(30, dtype=dtype, low=0.1, high=20, seed=1)
    assert_lowers(lambda s, q: raw.Zeta(x=s, q=q), {"s": s, "q": q}, rtol=3e-5 if dtype == np.float32 else 1e-11)
    n = (np.arange(30) % 5).astype(dtype)
    assert_lowers(lambda n, x: raw.Polygamma(a=n, x=x), {"n": n, "x": q}, rtol=3e-5 if dtype == np.float32 else 1e-11)
    edges = {"s": dtype([1, 2, 0.5, 3, 2.5, 4]), "q": dtype([2, -1, 2, 0, -0.5, 0])}
    assert_lowers(lambda s, q: raw.Zeta(x=s, q=q), edges)


@pytest.mark.parametrize("dtype", [np.float16, *DOUBLES])
def test_bessel_functions_are_the_same_near_and_far(dtype):
    x = np.concatenate([np.linspace(-9, 9, 37), [0, 19.9, 20.1, -35, 60]]).astype(dtype)
    assert_lowers(apply("BesselI0e", "BesselI1e"), {"x": x}, rtol=ROUNDED[dtype], opsets=(13, 18))
    if dtype != np.float16:
        assert_lowers(apply("BesselI0", "BesselI1"), {"x": x}, rtol=ROUNDED[dtype], atol=1e-30, dynamic=True)


@pytest.mark.parametrize("dtype", DOUBLES)
def test_next_number_is_the_same(dtype):
    limits = np.finfo(dtype)
    x = dtype([0, -0.0, 1, -1, 2, 0.1, limits.max, limits.min, 1e-30, np.inf, -np.inf, np.nan, 3, np.inf])
    for other in (np.inf, -np.inf, 0.0, 1.0, np.nan):
        feeds = {"x": x, "y": np.full(x.shape, other, dtype)}
        assert_lowers(lambda x, y: raw.NextAfter(x1=x, x2=y), feeds, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", DOUBLES)
def test_incomplete_gamma_function_is_the_same_on_both_sides_of_its_middle(dtype):
    def build(a, x):
        return [raw.Igamma(a=a, x=x), raw.Igammac(a=a, x=x)]

    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-13}
    a, x = (values.ravel().astype(dtype) for values in np.meshgrid([0.1, 0.7, 1, 2.5, 9, 40], [0, 0.01, 0.5, 3, 9, 50]))
    assert_lowers(build, {"a": a, "x": x}, dynamic=True, opsets=(13, 18), **tolerance)
    assert_lowers(build, {"a": dtype(2.5).reshape(()), "x": x[:6]}, **tolerance)
    assert_lowers(build, {"a": dtype([-1, 2, 3]), "x": dtype([2, -1, np.inf])})


@pytest.mark.parametrize("dtype", DOUBLES)
def test_incomplete_beta_function_is_the_same_on_both_sides_of_its_middle(dtype):
    def build(a, b, x):
        return raw.Betainc(a=a, b=b, x=x)

    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-13}
    shapes = np.meshgrid([0.2, 1, 3, 12], [0.5, 2, 20], [0, 0.05, 0.4, 0.8, 0.99, 1])
    a, b, x = (values.ravel().astype(dtype) for values in shapes)
    assert_lowers(build, {"a": a, "b": b, "x": x}, dynamic=True, opsets=(13, 18), **tolerance)
    outside = {"a": dtype([1, 2, -1]), "b": dtype([1, 2, 2]), "x": dtype([-0.5, 1.5, 0.5])}
    assert_lowers(build, outside)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_incomplete_functions_of_single_numbers_are_single_numbers(dtype):
    def build(a, b, x):
        return [tf.math.igamma(a, b), tf.math.igammac(a, b), tf.math.betainc(a, b, x)]

    assert_lowers(build, {"a": dtype(1.5), "b": dtype(0.7), "x": dtype(0.3)}, opsets=(13, 18))
