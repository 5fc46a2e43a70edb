"""The arithmetic of one channel, on figures that people asked about in public, and against TensorFlow's moments."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bnfold.explanation import Channel, batch_moments, moved, slips

TRAINED = Channel(mean=-0.0013569, variance=4.48082483e-06, epsilon=0.001, beta=0.04061257)
FRESH = Channel(mean=0.0, variance=1.0, epsilon=0.001)


def test_trained_layer_gives_the_published_value() -> None:
    assert TRAINED(-0.03182551) == pytest.approx(-0.920738, abs=2e-6)


def test_fresh_layer_scales_by_the_root_of_one_plus_epsilon() -> None:
    assert FRESH(0.1) == pytest.approx(0.09995004, abs=5e-9)


def test_factor_applied_twice_is_recognised() -> None:
    twice = next(slip for slip in slips(0.1, FRESH) if "twice" in slip.name)
    assert twice.value == pytest.approx(0.0999001, abs=5e-8)


@pytest.mark.parametrize("axis", [3, -1])
def test_moments_over_the_last_axis_are_all_equal(axis: int) -> None:
    x = np.repeat(np.arange(1, 25), 5).reshape(2, 3, 4, 5)
    mean, variance = batch_moments(x, axis)
    np.testing.assert_array_equal(mean, [12.5] * 5)
    np.testing.assert_allclose(variance, [np.var(np.arange(1, 25))] * 5, rtol=1e-15)


def test_moments_over_axis_1_are_those_of_its_rows() -> None:
    x = np.repeat(np.arange(1, 25), 5).reshape(2, 3, 4, 5)
    mean, _ = batch_moments(x, 1)
    np.testing.assert_array_equal(mean, [8.5, 12.5, 16.5])


def test_statistic_is_the_last_batchs_own_when_decay_is_0_and_stays_when_it_is_1() -> None:
    assert moved(0.0, 223.139, decay=0.0) == 223.139
    assert moved(1.0, 5.5, decay=1.0) == 1.0
    never = Channel(mean=moved(0.0, 223.0, 1.0), variance=moved(1.0, 5.5, 1.0), epsilon=0.001)
    assert never(223.139) == pytest.approx(223.03, abs=0.005)


def test_scale_and_shift_are_the_formula() -> None:
    channel = Channel(mean=1.7, variance=0.02, epsilon=1e-3, gamma=-0.7, beta=3.0)
    assert channel.scale == pytest.approx(-0.7 / math.sqrt(0.021))
    assert channel(0.3) == pytest.approx(0.3 * channel.scale + channel.shift)


def test_slips_leave_out_what_changes_nothing() -> None:
    names = " ".join(slip.name for slip in slips(2.0, Channel(mean=0.0, variance=1.0, epsilon=0.001)))
    assert "never updated" not in names  # these are a fresh layer's statistics: the same number
    assert "no gamma" not in names
    assert all(math.isfinite(slip.value) for slip in slips(2.0, Channel(mean=-1.0, variance=0.5, epsilon=0.001)))
