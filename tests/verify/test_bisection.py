"""Bisection over folds: one wrong fold, several, an interaction, and none."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bnfold.verify import find_faulty_folds

NAMES = [f"bn{i}" for i in range(53)]


@pytest.mark.parametrize("culprit", [0, 17, 52])
def test_fold_is_named_when_it_alone_is_wrong(culprit: int) -> None:
    found = find_faulty_folds(NAMES, lambda names: NAMES[culprit] in names)
    assert found.names == (NAMES[culprit],)
    assert found.tries <= 2 * math.ceil(math.log2(len(NAMES))) + 1
    assert found.sentence == f"the fold of {NAMES[culprit]} is at fault"


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda names: bool({"bn3", "bn40"} & names), ("bn3", "bn40")),
        (lambda names: {"bn20", "bn30"} <= names, ("bn20", "bn30")),
        (lambda names: {"bn30", "bn31", "bn52"} <= names, ("bn30", "bn31", "bn52")),
    ],
)
def test_folds_are_named_when_several_are_wrong(
    wrong: Callable[[frozenset[str]], bool], names: tuple[str, ...]
) -> None:
    found = find_faulty_folds(NAMES, wrong)
    assert found.names == names
    assert "folds of" in found.sentence


def test_no_fold_is_named_when_the_outputs_are_wrong_without_any() -> None:
    found = find_faulty_folds(NAMES, lambda names: True)
    assert (found.names, found.tries) == ((), 1)
    assert "not in a fold" in found.sentence
