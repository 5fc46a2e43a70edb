"""Bits, of every integer dtype."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def operands(dtype):
    limits = np.iinfo(dtype)
    x = random(6, 7, dtype=dtype, low=-120, high=120)
    x[0, :2] = limits.min, limits.max
    return x, random(6, 7, dtype=dtype, low=-9, high=80, seed=1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_are_the_same(dtype):
    x, y = operands(dtype)
    ops = ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]
    build = lambda x, y: [*(getattr(raw, op)(x=x, y=y) for op in ops), raw.Invert(x=x)]  # noqa: E731
    assert_lowers(build, {"x": x, "y": y}, opsets=(13, 18))
    assert_lowers(build, {"x": x, "y": y[2]}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_are_the_same_when_the_count_is_too_large_or_negative(dtype):
    x, y = operands(dtype)
    assert_lowers(
        lambda x, n: [raw.LeftShift(x=x, y=n), raw.RightShift(x=x, y=n)],
        {"x": x, "n": y},
        opsets=(13, 18),
        dynamic=True,
    )
    assert_lowers(lambda x: [raw.LeftShift(x=x, y=y), raw.RightShift(x=x, y=y)], {"x": x})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_are_counted(dtype):
    assert_lowers(lambda x: raw.PopulationCount(x=x), {"x": operands(dtype)[0]}, opsets=(13, 18), dynamic=True)
