"""The lines of an explanation: a reader with a calculator gets the same numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bnfold.diagnosis import explain
from bnfold.report.explanation import explanation_lines

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"


def test_formula_has_the_numbers_of_the_layer() -> None:
    found = explain(SAMPLES / "separable_segmenter", "conv1_1", channel=3, samples=2)
    text = "\n".join(explanation_lines(found))
    assert f"√({found.moving.variance:.9g} + 0.00100000005)" in text
    assert "none, so 1" in text
    row = found.rows[0]
    by_hand = (row.x - found.moving.mean) / math.sqrt(found.moving.variance + found.moving.epsilon) + found.moving.beta
    assert row.inference == pytest.approx(by_hand, rel=1e-12)
    assert row.graph == pytest.approx(by_hand, rel=1e-5)
    assert f"{row.inference:.9g}" in text
    assert row.saved == pytest.approx(row.training, rel=1e-4)
    assert "times smaller than epsilon" in text


def test_fresh_statistics_are_pointed_out_when_decay_was_1() -> None:
    found = explain(SAMPLES / "decay" / "one", "bn", channel=1, values=[223.139])
    x = float(np.float32(223.139))
    assert found.rows[0].inference == pytest.approx(x / math.sqrt(1.001) * found.moving.gamma + found.moving.beta)
    assert x / math.sqrt(1.001) == pytest.approx(223.03, abs=0.005)
    lines = explanation_lines(found)
    assert any(line.startswith("note: the moving statistics are those of a fresh layer") for line in lines)
    assert not any("+ -0" in line for line in lines)


def test_statistics_are_the_last_batchs_own_when_decay_was_0() -> None:
    found = explain(SAMPLES / "decay" / "zero", "bn")
    assert found.moving.mean != 0.0
    assert not any("fresh layer" in note for note in found.notes)
