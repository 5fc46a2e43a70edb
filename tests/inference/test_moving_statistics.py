"""Which tensor each variable keeps the moving average of, read off the op that updates it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from training_graphs import image, variable

from bnfold.graph import Graph
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference.moving_statistics import Update, find_updates

tf = tensorflow()
v1 = tf.compat.v1

Write = Callable[[Any, Any], Any]


def updates_of(write: Write, use_resource: bool = True) -> list[Update]:
    """The updates of ``average`` that ``write(average, batch)`` makes; ``batch`` is the op ``batch``."""
    with tf.Graph().as_default() as graph, v1.variable_scope("", use_resource=use_resource):
        batch = tf.reduce_mean(image(), [0, 1, 2], name="batch")
        write(variable("average", 4, trainable=False), batch)
        decoded: Graph = from_graph_def(graph.as_graph_def())
    return [
        update for update in find_updates(decoded) if update.variable == "average" and "batch:0" in update.statistics
    ]


AVERAGES: dict[str, tuple[Write, float | None]] = {
    "subtracts its distance": (lambda a, b: v1.assign_sub(a, (a - b) * 0.25), 0.25),
    "adds its distance": (lambda a, b: v1.assign_add(a, 0.25 * (b - a)), 0.25),
    "blends": (lambda a, b: v1.assign(a, a * 0.75 + b * 0.25), None),
    "blends, the batch first": (lambda a, b: v1.assign(a, 0.25 * b + 0.75 * a), None),
    "walks towards it": (lambda a, b: v1.assign(a, a - 0.25 * (a - b)), None),
    "blends by AddN": (lambda a, b: v1.assign(a, tf.add_n([a * 0.75, b * 0.25])), None),
    "has Bessel's correction": (lambda a, b: v1.assign_sub(a, (a - b * (90.0 / 89.0)) * 0.25), 0.25),
    "divides by a number": (lambda a, b: v1.assign_sub(a, (a - b) / 4.0), None),
    "reads it reshaped": (lambda a, b: v1.assign_sub(a, (a - tf.reshape(tf.expand_dims(b, 0), [4])) * 0.25), 0.25),
    "never moves": (lambda a, b: v1.assign_sub(a, (a - b) * (1.0 - tf.constant(1.0))), 0.0),
}


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("name", AVERAGES)
def test_average_is_found(name: str, use_resource: bool) -> None:
    write, rate = AVERAGES[name]
    [update] = updates_of(write, use_resource)
    assert update.is_average
    assert update.rate == (rate if rate is None else pytest.approx(rate))


def test_plain_assignment_is_no_average() -> None:
    [update] = updates_of(lambda a, b: v1.assign(a, b))
    assert not update.is_average


def blended_with_an_average(average: Any, batch: Any) -> Any:
    """The statistics of a target network follow those of the trained one, which follow the batch."""
    other = variable("other", 4, trainable=False)
    v1.assign_sub(other, (other - batch) * 0.25)
    return v1.assign(average, average * 0.75 + other * 0.25)


def blended_at_a_rate_that_is_fed(average: Any, batch: Any) -> Any:
    rate, other = v1.placeholder("float32", []), variable("other", 4, trainable=False)
    v1.assign_sub(other, (other - batch) * 0.25)
    return v1.assign(average, tf.multiply(rate, other) + tf.multiply(average, 1.0 - rate))


NEITHER: dict[str, Write] = {
    "counts": lambda a, b: v1.assign_add(a, tf.ones(4)),
    "accumulates": lambda a, b: v1.assign_add(a, b),
    "blends with an average": blended_with_an_average,
    "blends with an average at a rate that is fed": blended_at_a_rate_that_is_fed,
    "averages a variable": lambda a, b: v1.assign_sub(a, (a - variable("other", 4)) * 0.25),
    "is initialised": lambda a, b: a.initializer,
}


@pytest.mark.parametrize("name", NEITHER)
def test_statistic_is_none_when_the_variable(name: str) -> None:
    assert updates_of(NEITHER[name]) == []


def test_accumulator_is_passed_when_the_average_is_debiased() -> None:
    """``average = biased / (1 − decay^step)``, the accumulator updated first."""

    def write(average: Any, batch: Any) -> Any:
        biased = variable("biased", 4, trainable=False)
        updated = v1.assign_sub(biased, (biased - batch) * 0.25)
        return v1.assign(average, updated / (1 - tf.pow(0.75, 3.0)))

    [update] = updates_of(write, use_resource=False)
    assert update.accumulators == {"biased"}


def test_average_of_the_deviation_is_undone_when_it_is_squared_again() -> None:
    """``variance = relu(average(sqrt(batch + ε))² − ε)``: batch renormalisation of contrib."""

    def write(average: Any, batch: Any) -> Any:
        deviation = variable("deviation", 4, trainable=False)
        updated = v1.assign_sub(deviation, (deviation - tf.sqrt(batch + 1e-3)) * 0.25)
        return v1.assign(average, tf.nn.relu(updated * updated - 1e-3))

    [update] = updates_of(write, use_resource=False)
    assert update.accumulators == {"deviation"}


def test_deviation_is_not_the_variance_when_only_a_root_was_taken() -> None:
    assert updates_of(lambda a, b: v1.assign_sub(a, (a - tf.sqrt(b + 1e-3)) * 0.25)) == []
