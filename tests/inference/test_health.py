"""What is said of moving statistics, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnfold.errors import InferenceError
from bnfold.graph.stages import BatchNorm
from bnfold.inference.health import examine, refuse_poisoned

HEALTHY = BatchNorm(
    name="conv1/bn",
    form="unfused",
    flag="batch moments",
    x="x:0",
    y="y:0",
    nodes=("y",),
    channel_axis=3,
    gamma=np.array([0.5, -1.0, 2.0], np.float32),
    beta=np.array([0.0, 1.0, -1.0], np.float32),
    moving_mean=np.array([0.25, -3.0, 0.0], np.float32),
    moving_variance=np.array([1.0, 0.5, 4.0], np.float32),
    epsilon=1e-3,
    variables={"moving_mean": "conv1/bn/moving_mean", "moving_variance": "conv1/bn/moving_variance"},
)


def notes(*norms: BatchNorm, step: int | None = 7, frozen: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    return [(note.level, note.kind) for note in examine(norms, step=step, frozen_rates=frozen)]


def initial(**changes: Any) -> BatchNorm:
    untouched = {"moving_mean": np.zeros(3, np.float32), "moving_variance": np.ones(3, np.float32)}
    return replace(HEALTHY, **untouched, **changes)


def test_nothing_is_said_when_all_is_well() -> None:
    assert notes(HEALTHY) == []


@pytest.mark.parametrize(
    ("norm", "frozen", "words"),
    [
        (initial(flag="inference"), frozenset(), "what was trained is what is exported"),
        (initial(), frozenset(), "update ops were never run"),
        (initial(), frozenset({"conv1/bn/moving_variance"}), "decay 1"),
    ],
)
def test_cause_is_told_when_statistics_were_never_updated(norm: BatchNorm, frozen: frozenset[str], words: str) -> None:
    [note] = examine([norm], step=7, frozen_rates=frozen)
    assert (note.level, note.kind, note.nodes) == ("warning", "never-updated", ("conv1/bn",))
    assert words in note.message
    assert note.hint


def test_each_cause_is_told_once_when_many_layers_share_it() -> None:
    layers = [initial(name=f"conv{number}/bn") for number in range(7)]
    [note] = examine(layers, step=7, frozen_rates=frozenset())
    assert len(note.nodes) == 7
    assert "and 2 more have moving mean 0" in note.message


def test_statistics_are_not_called_initial_when_one_channel_moved() -> None:
    assert notes(replace(initial(), moving_mean=np.array([0, 0, 1e-6], np.float32))) == []


def test_checkpoint_is_called_untrained_when_its_step_is_zero() -> None:
    assert notes(HEALTHY, step=0) == [("warning", "untrained")]
    assert notes(HEALTHY, step=None) == []


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({"moving_variance": np.array([1.0, 1e-6, 4.0], np.float32)}, ["tiny-variance"]),
        ({"moving_variance": np.array([1.0, 0.0, 4.0], np.float32)}, ["tiny-variance", "dead-channels"]),
        ({"gamma": np.array([0.5, 0.0, 2.0], np.float32)}, ["dead-channels"]),
        ({"gamma": None}, []),
        ({"moving_mean": np.array([0.25, -900.0, 0.0], np.float32)}, ["mean-far-off"]),
    ],
)
def test_channels_are_noted_when_they_are_out_of_proportion(changes: dict[str, Any], kinds: list[str]) -> None:
    assert notes(replace(HEALTHY, **changes)) == [("note", kind) for kind in kinds]


@pytest.mark.parametrize(
    ("role", "value", "words"),
    [
        ("moving_mean", np.nan, "moving mean holds NaN"),
        ("moving_variance", np.inf, "moving variance holds NaN"),
        ("moving_variance", -1e-3, "negative in 1 of 3 channels"),
    ],
)
def test_statistics_are_refused_when_no_batch_has_them(role: str, value: float, words: str) -> None:
    values = {"moving_mean": HEALTHY.moving_mean.copy(), "moving_variance": HEALTHY.moving_variance.copy()}
    values[role][1] = value
    with pytest.raises(InferenceError, match=words) as caught:
        refuse_poisoned("conv1/bn", values)
    assert caught.value.node == "conv1/bn"
    assert caught.value.hint
