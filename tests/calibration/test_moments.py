"""Streaming moments: the same whatever the parts, and exact where squares would cancel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnfold.calibration import Moments


@given(
    parts=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    offset=st.sampled_from([0.0, -3.5, 1e6]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_moments_are_those_of_the_whole_when_it_comes_in_parts(parts: list[int], offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = rng.normal(offset, 2.0, (sum(parts), 3, 5)).astype(np.float32)
    moments = Moments()
    for part in np.split(whole, np.cumsum(parts)[:-1]):
        moments.add(part, -1)
    wide = whole.astype(np.float64)
    assert moments.count == whole.size // 5
    assert moments.mean is not None
    np.testing.assert_allclose(moments.mean, wide.mean((0, 1)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.variance, wide.var((0, 1)), rtol=1e-9, atol=1e-12)


def test_variance_keeps_its_digits_when_the_mean_is_large() -> None:
    """The difference of squares, E[x²] − E[x]², loses all digits here; the merge of parts does not."""
    rng = np.random.default_rng(0)
    parts = [1e8 + rng.normal(0, 1e-3, (1000, 2)) for _ in range(20)]
    moments = Moments()
    for part in parts:
        moments.add(part, 1)
    exact = np.var(np.concatenate(parts) - 1e8, axis=0)
    np.testing.assert_allclose(moments.variance, exact, rtol=1e-4)
    whole = np.concatenate(parts)
    naive = (whole**2).mean(0) - whole.mean(0) ** 2
    assert abs(naive / exact - 1).max() > 1


def test_channels_may_come_first() -> None:
    x = np.random.default_rng(1).normal(size=(4, 3, 5, 6))
    moments = Moments()
    moments.add(x, 1)
    np.testing.assert_allclose(moments.variance, x.var((0, 2, 3)), rtol=1e-12)


def test_variance_is_refused_when_nothing_was_added() -> None:
    with pytest.raises(ValueError, match="no values"):
        _ = Moments().variance
