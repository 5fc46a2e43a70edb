"""Averaged weights: found by the ops that update them, used when asked for, never mixed silently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saved_graphs import dense, image, saved, tf, train, v1, variable

from bnfold.errors import InferenceError
from bnfold.graph.evaluate import run
from bnfold.graph.stages import SourceModel
from bnfold.inference import infer
from bnfold.inference.weights import choose_weights, find_shadows
from bnfold.load import load

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "averaged_weights"
WEIGHTS = {"a/kernel", "a/bias"}


def averaged(update: Callable[[list[Any]], object]) -> SourceModel:
    """A dense layer, its training, and what ``update`` adds for its variables."""

    def net() -> None:
        y = tf.identity(dense(image([None, 5]), 2, "a"), "y")
        train(tf.reduce_mean(tf.square(y - v1.placeholder(tf.float32, [None, 2]))))
        update(v1.trainable_variables())

    return saved(net)


def by_the_class(variables: list[Any]) -> None:
    v1.train.ExponentialMovingAverage(0.9).apply(variables)


def by_the_class_with_a_name(variables: list[Any]) -> None:
    v1.train.ExponentialMovingAverage(0.9, name="Slow").apply(variables)


def by_the_class_with_the_step(variables: list[Any]) -> None:
    step = v1.train.get_or_create_global_step()
    v1.train.ExponentialMovingAverage(0.9, num_updates=step).apply(variables)


def by_assignment(variables: list[Any]) -> None:
    for v in variables:
        slow = variable(f"slow/{v.op.name}", v.shape, trainable=False)
        v1.assign(slow, slow * 0.9 + v * (1 - 0.9))


def by_addition(variables: list[Any]) -> None:
    for v in variables:
        slow = variable(f"slow/{v.op.name}", v.shape, trainable=False, resource=True)
        v1.assign_add(slow, 0.1 * (v - slow))


@pytest.mark.parametrize(
    ("update", "name"),
    [
        (by_the_class, "{}/ExponentialMovingAverage"),
        (by_the_class_with_a_name, "{}/Slow"),
        (by_the_class_with_the_step, "{}/ExponentialMovingAverage"),
        (by_assignment, "slow/{}"),
        (by_addition, "slow/{}"),
    ],
    ids=["class", "class with name", "class with step", "assignment", "addition"],
)
def test_shadows_are_found_by_their_updates(update: Callable[[list[Any]], object], name: str) -> None:
    graph = averaged(update).graph
    assert find_shadows(graph, WEIGHTS) == {weight: [name.format(weight)] for weight in WEIGHTS}


def test_shadow_is_found_by_its_name_when_the_graph_does_not_update_it() -> None:
    def leave(variables: list[Any]) -> None:
        for v in variables:
            variable(f"{v.op.name}/ExponentialMovingAverage", v.shape, trainable=False)

    assert set(find_shadows(averaged(leave).graph, WEIGHTS)) == WEIGHTS


def nothing(_: list[Any]) -> None:
    pass


def copied(variables: list[Any]) -> None:
    for v in variables:
        v1.assign(variable(f"copy/{v.op.name}", v.shape, trainable=False), v)


def decayed(variables: list[Any]) -> None:
    for v in variables:
        v1.assign(v, v * 0.99)


def of_a_tensor(variables: list[Any]) -> None:
    """As a batch norm written by hand keeps its moments: the average of something computed."""
    v1.train.ExponentialMovingAverage(0.9).apply([tf.reduce_mean(variables[0] * 2.0, 0)])


def of_gradients(variables: list[Any]) -> None:
    gradients = tf.gradients(tf.reduce_sum(tf.square(variables[0])), variables[:1])
    momentum = variable("momentum", variables[0].shape, trainable=False)
    v1.assign(momentum, momentum * 0.9 + gradients[0] * 0.1)


@pytest.mark.parametrize("update", [nothing, copied, decayed, of_a_tensor, of_gradients])
def test_no_shadow_is_found_when_nothing_averages_a_variable(update: Callable[[list[Any]], object]) -> None:
    source = averaged(update)
    assert find_shadows(source.graph, WEIGHTS) == {}
    assert choose_weights(source, source.graph.pruned(["y:0"]), "auto") == ({}, ())
    with pytest.raises(InferenceError, match="there are no averaged weights") as caught:
        choose_weights(source, source.graph.pruned(["y:0"]), "ema")
    assert caught.value.hint


def test_trained_weights_are_read_and_the_averages_told_when_nothing_is_asked() -> None:
    source = averaged(by_the_class)
    instead, [note] = choose_weights(source, source.graph.pruned(["y:0"]), "auto")
    assert instead == {}
    assert (note.level, note.kind) == ("note", "ema-available")
    assert "2 of 2 variables" in note.message
    assert "--weights ema" in (note.hint or "")
    assert choose_weights(source, source.graph.pruned(["y:0"]), "trained") == ({}, ())


def test_variables_without_an_average_are_listed_when_averages_are_used() -> None:
    source = averaged(lambda variables: by_the_class(variables[:1]))
    instead, (used, partial) = choose_weights(source, source.graph.pruned(["y:0"]), "ema")
    assert instead == {"a/kernel": "a/kernel/ExponentialMovingAverage"}
    assert (used.kind, used.nodes) == ("ema-used", ("a/kernel",))
    assert (partial.kind, partial.nodes) == ("ema-partial", ("a/bias",))


def without(source: SourceModel, *names: str) -> SourceModel:
    """``source`` with a checkpoint that lacks the variables ``names``."""
    return replace(
        source,
        variables={
            name: replace(found, key=None) if name in names else found for name, found in source.variables.items()
        },
    )


def test_averages_are_refused_when_the_checkpoint_lacks_them() -> None:
    shadow = "a/bias/ExponentialMovingAverage"
    source = without(averaged(by_the_class), shadow)
    with pytest.raises(InferenceError, match=f"not in the checkpoint: {shadow}") as caught:
        choose_weights(source, source.graph.pruned(["y:0"]), "ema")
    assert caught.value.node == shadow


def test_averages_are_used_when_the_checkpoint_has_nothing_else() -> None:
    source = without(averaged(by_the_class), *WEIGHTS)
    instead, [note] = choose_weights(source, source.graph.pruned(["y:0"]), "auto")
    assert set(instead) == WEIGHTS
    assert note.kind == "ema-used"


def test_averages_are_refused_when_a_variable_has_two() -> None:
    def twice(variables: list[Any]) -> None:
        by_the_class(variables)
        by_the_class_with_a_name(variables)

    source = averaged(twice)
    with pytest.raises(InferenceError, match="variable a/bias has several averages"):
        choose_weights(source, source.graph.pruned(["y:0"]), "ema")


@pytest.mark.parametrize(("weights", "key"), [("auto", "output"), ("trained", "output"), ("ema", "ema")])
def test_output_is_that_of_the_weights_asked_for(weights: Any, key: str) -> None:
    expected = np.load(FIXTURE / "expected.npz")
    assert np.abs(expected["output"] - expected["ema"]).max() > 1e-3
    inference = infer(load(FIXTURE), weights=weights)
    [output] = run(inference.graph, [inference.outputs[0].tensor], {inference.inputs[0].tensor: expected["input"]})
    np.testing.assert_allclose(output, expected[key], rtol=0, atol=1e-6 * np.abs(expected[key]).max())
