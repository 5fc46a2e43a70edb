"""The figures: distances, scales, and what they mean under a tolerance."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bnfold.verify.compare import OutputFigures, chaotic, distances, has_nan, parts_of, scales
from bnfold.verify.report import Match, Tolerance

INF, NAN = math.inf, math.nan
QUICK = Tolerance(1e-5, 0.0, 4.0, 5e-7, False, "test")
EXACT = Tolerance(1e-5, 0.0, 4.0, 5e-7, True, "test")
GIVEN = Tolerance(1e-3, 1e-2, None, 0.0, False, "given")


@pytest.mark.parametrize(
    ("expected", "found", "distance"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([INF, -INF], [INF, -INF], 0.0),
        ([INF, 1.0], [-INF, 1.0], INF),
        ([1.0, 1.0], [INF, 1.0], INF),
        ([1.0, 1.0], [NAN, 1.0], INF),
        ([NAN, 1.0], [NAN, 1.0], INF),  # two NaN are not equal
    ],
)
def test_distance_is_the_largest_gap(expected: list[float], found: list[float], distance: float) -> None:
    assert distances(np.float32(expected), np.float32(found), 1) == [distance]


def test_distance_of_integers_counts_the_elements_that_differ() -> None:
    assert distances(np.array([[1, 2, 3], [4, 5, 6]]), np.array([[1, 2, 9], [4, 8, 9]]), 2) == [1.0, 2.0]
    words = np.array(["a", "b"], object)
    assert distances(words, np.array(["a", "c"], object), 1) == [1.0]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, np.complex64])
def test_every_inexact_type_is_measured(dtype: Any) -> None:
    a = np.array([1.0, -3.0], dtype)
    b = np.array([1.0, -3.5], dtype)
    assert distances(a, b, 1) == [0.5]
    assert scales(a, 1) == [3.0]
    assert has_nan(np.array([1.0, NAN], dtype), 1) == [True]


def test_scale_is_the_largest_finite_magnitude_of_each_sample() -> None:
    assert scales(np.float32([[1, -7], [INF, 2]]), 2) == [7.0, 2.0]
    assert scales(np.zeros((0, 3), np.float32), 1) == [0.0]


def test_parts_are_the_samples_only_where_the_first_axis_is_the_batch() -> None:
    assert parts_of(np.zeros((4, 2)), 4) == 4
    assert parts_of(np.zeros((2, 4)), 4) == 1
    assert parts_of(np.zeros(()), 4) == 1


def test_output_is_equal_when_one_rounding_of_the_inputs_moves_the_truth_as_far() -> None:
    """TensorFlow may be lucky on one sample; asked for exactness, its luck is what counts."""
    truth = np.float64([[100.0], [100.0]])
    expected, found = np.float32([[100.001], [100.001]]), np.float32([[100.02], [100.001]])
    for shaken, tolerance, equal in ((0.0, QUICK, False), (0.01, QUICK, True), (0.001, QUICK, False)):
        figures = OutputFigures(Match("y:0", "y", "same name"))
        labels = ("random 0", "random 1")
        figures.add(labels, expected, {"off": found, "on": found}, truth, [False, False], truth + shaken)
        assert figures.check(tolerance).equal is equal


def test_own_rounding_decides_when_one_rounding_of_the_inputs_decides_what_a_sample_gives() -> None:
    """An image of one colour, normalised by its own variance: what its rounding does there is no measure."""
    truth, shaken = np.float64([[1.0]]), np.float64([[2.5]])
    expected = np.float32([[1.0001]])
    for found, equal in ((1.0003, True), (1.0005, False), (1.5, False)):
        figures = OutputFigures(Match("y:0", "y", "same name"))
        figures.add(("random 0",), expected, {"off": np.float32([[found]])}, truth, [False], shaken)
        assert figures.check(QUICK).equal is equal


def test_sample_is_chaotic_when_one_rounding_moves_it_by_a_hundredth() -> None:
    truth = np.float64([[1.0, -4.0], [2.0, 2.0], [0.0, 0.0]])
    shaken = truth + np.float64([[0.03, 0.0], [0.0, 0.03], [0.0, 0.0]])
    assert chaotic(truth, shaken, 3) == [1]
    assert chaotic(truth, shaken, 2) == []
    assert chaotic(np.array([1, 2]), np.array([1, 9]), 2) == []


def _figures(expected: Any, found: Any, truth: Any = None) -> OutputFigures:
    figures = OutputFigures(Match("y:0", "y", "same name"))
    labels = tuple(f"random {i}" for i in range(len(expected)))
    figures.add(labels, expected, {"off": found, "on": found}, truth, [False] * len(labels))
    return figures


def test_output_is_equal_within_the_quick_bound_alone() -> None:
    expected = np.float32([[1.0, 100.0], [2.0, 80.0]])
    assert _figures(expected, expected + np.float32(5e-4)).check(QUICK).equal
    check = _figures(expected, expected + np.float32(5e-3)).check(QUICK)
    assert not check.equal
    assert "2 of 2 samples differ" in check.reason


def test_float64_decides_beyond_the_quick_bound() -> None:
    truth = np.array([[1.0, 100.0], [2.0, 80.0]])
    rounded = (truth + 2e-3).astype(np.float32)  # TensorFlow itself is that far off
    assert _figures(rounded, (truth - 6e-3).astype(np.float32), truth).check(QUICK).equal
    assert not _figures(rounded, (truth - 2e-2).astype(np.float32), truth).check(QUICK).equal


def test_exact_asks_for_the_float64_rule_even_within_the_quick_bound() -> None:
    truth = np.array([[1.0, 100.0]])
    near = (truth + 5e-4).astype(np.float32)
    assert _figures(truth.astype(np.float32), near, truth).check(QUICK).equal
    assert not _figures(truth.astype(np.float32), near, truth).check(EXACT).equal


def test_reference_that_is_off_by_more_than_a_percent_proves_nothing() -> None:
    truth = np.array([[1.0, 100.0]])
    wild = (truth * 1.05).astype(np.float32)
    assert not _figures(wild, (truth * 1.1).astype(np.float32), truth).check(QUICK).equal


def test_given_tolerances_are_applied_as_they_are() -> None:
    expected = np.float32([[10.0, 1.0]])
    assert _figures(expected, expected + np.float32(0.019)).check(GIVEN).equal
    assert not _figures(expected, expected + np.float32(0.021)).check(GIVEN).equal


def test_quiet_sample_is_judged_by_what_the_output_usually_is() -> None:
    expected = np.float32([[100.0], [90.0], [0.01]])
    found = expected + np.float32([[0], [0], [5e-4]])  # 5 % of the quiet sample, 5e-6 of the usual output
    assert _figures(expected, found).check(QUICK).equal
    assert not _figures(expected[2:], found[2:]).check(QUICK).equal


def test_nothing_compared_is_not_equal() -> None:
    check = OutputFigures(Match("y:0", "y", "same name")).check(QUICK)
    assert not check.equal
    assert check.reason == "no sample was compared"


def test_one_integer_in_ten_thousand_may_fall_the_other_way() -> None:
    expected = np.zeros((1, 30_000), np.int64)
    found = expected.copy()
    found[0, :3] = 1
    assert _figures(expected, found).check(QUICK).equal
    found[0, 3] = 1
    assert not _figures(expected, found).check(QUICK).equal
    assert not _figures(expected[:, :9999], found[:, :9999]).check(QUICK).equal
