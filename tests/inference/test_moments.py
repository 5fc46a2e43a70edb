"""Batch norms whose batch is not the first axis, or whose rank is not known; and moments that only look like theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_graphs import (
    EXACT,
    Net,
    Network,
    convolution,
    error_of,
    head,
    moving,
    sample_for,
    scale_and_shift,
    source_of,
    truth,
    variable,
)

from bnfold.errors import InferenceError
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer

tf = tensorflow()
v1 = tf.compat.v1


def by_samples(x: Any, axes: Any, training: bool, pop: Any) -> tuple[Any, Any]:
    """Mean and variance of ``x`` over ``axes`` and their averages, or the averages."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True)
    for average, moment in zip(pop, (mean, variance), strict=True):
        v1.assign_sub(average, 0.1 * (average - tf.reshape(moment, average.shape)))
    return pop if not training else (mean, variance)


def columns_for_samples(training: bool) -> Net:
    """``kernel @ x``: the features first, as some courses teach it."""
    x = v1.placeholder("float32", [4, None], name="x")
    with v1.variable_scope("bn"):
        gamma, beta = scale_and_shift([6, 1])
        hidden = tf.matmul(variable("kernel", [6, 4]), x)
        mean, variance = by_samples(hidden, [1], training, moving([6, 1], "pop_mean", "pop_var"))
        hidden = tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)
    return Net(x, head(tf.transpose(hidden)))


def one_norm_for_each_step(training: bool) -> Net:
    """A sequence with time first: statistics of their own for each step."""
    x = v1.placeholder("float32", [5, None, 4], name="x")
    with v1.variable_scope("bn"):
        hidden = tf.tanh(x)
        mean, variance = by_samples(hidden, [1], training, moving([5, 1, 4], "pop_mean", "pop_var"))
        hidden = (hidden - mean) * tf.math.rsqrt(variance + 1e-3)
    return Net(x, head(hidden[-1]))


def axes_counted_at_run_time(training: bool) -> Net:
    x = v1.placeholder("float32", None, name="x")
    with v1.variable_scope("bn"):
        gamma, beta = scale_and_shift(4)
        axes = tf.range(tf.rank(x) - 1)
        mean, variance = by_samples(x, axes, training, moving(4, "pop_mean", "pop_var"))
        hidden = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
    return Net(x, head(tf.reshape(hidden, [-1, 4])))


def axes_counted_from_the_last(training: bool) -> Net:
    x = v1.placeholder("float32", None, name="x")
    with v1.variable_scope("bn"):
        gamma, beta = scale_and_shift(4)
        mean, variance = by_samples(x, [-2], training, moving(4, "pop_mean", "pop_var"))
        hidden = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)
    return Net(x, head(tf.reshape(hidden, [-1, 4])))


def virtual_batches(training: bool) -> Net:
    """Moments of three samples at a time, their averages over all."""
    x = v1.placeholder("float32", [None, 6, 5, 4], name="x")
    with v1.variable_scope("bn"):
        gamma, beta = scale_and_shift(4)
        hidden = tf.reshape(tf.tanh(x), [-1, 3, 6, 5, 4]) if training else tf.tanh(x)
        pop = moving(4, "pop_mean", "pop_var")
        mean, variance = tf.nn.moments(hidden, [1, 2, 3], keepdims=True) if training else pop
        for average, moment in zip(pop if training else (), (mean, variance), strict=training):
            v1.assign_sub(average, 0.1 * (average - tf.reshape(tf.reduce_mean(moment, 0), [4])))
        hidden = tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)
    return Net(x, head(tf.reshape(hidden, [-1, 6, 5, 4])))


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (columns_for_samples, (4, 7)),
        (one_norm_for_each_step, (5, 6, 4)),
        (axes_counted_at_run_time, (3, 6, 5, 4)),
        (axes_counted_from_the_last, (3, 4)),
        (virtual_batches, (9, 6, 5, 4)),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_form_gives_the_truth(network: Network, shape: tuple[int, ...]) -> None:
    sample = np.random.default_rng(0).normal(0.5, 1.5, shape).astype(np.float32)
    inference = infer(source_of(network), inputs={"x": None}, outputs=["head/logits"])
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_moments_of_samples_stay_when_what_is_averaged_is_their_mean_over_the_batch() -> None:
    """An instance norm whose author also keeps the average of its means."""

    def network(training: bool) -> Net:
        x = v1.placeholder("float32", [3, 6, 5, 4], name="image")
        hidden = convolution(x)
        mean, variance = tf.nn.moments(hidden, [1, 2], keepdims=True)
        for average, moment in zip(moving(7), (mean, variance), strict=True):
            v1.assign_sub(average, 0.1 * (average - tf.reshape(tf.reduce_mean(moment, 0), [7])))
        return Net(x, head(tf.nn.batch_normalization(hidden, mean, variance, None, None, 1e-3)))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert inference.batch_norms == ()
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_batch_moments_are_refused_when_their_axes_are_counted_at_run_time() -> None:
    def network(training: bool) -> Net:
        x = v1.placeholder("float32", None, name="x")
        axes = tf.range(tf.rank(x) - 1)
        mean = tf.reduce_mean(x, axes)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes)
        hidden = tf.nn.batch_normalization(x, mean, variance, variable("beta", 4), variable("gamma", 4), 1e-3)
        return Net(x, head(tf.reshape(hidden, [-1, 4])))

    with pytest.raises(InferenceError, match="by the moments of the batch"):
        infer(source_of(network), inputs={"x": None}, outputs=["head/logits"])


def test_image_of_unknown_rank_is_left_alone_when_its_own_moments_standardise_it() -> None:
    """``(x − mean(x)) / std(x)`` over all axes of an image, before there is a batch."""

    def network(training: bool) -> Net:
        x = v1.placeholder("float32", None, name="x")
        mean = tf.reduce_mean(x)
        deviation = tf.sqrt(tf.reduce_mean(tf.math.squared_difference(x, mean)))
        hidden = (x - mean) / tf.maximum(deviation, 0.01)
        return Net(x, head(tf.reshape(hidden, [-1, 4])))

    sample = np.random.default_rng(0).normal(0.5, 1.5, (6, 5, 4)).astype(np.float32)
    inference = infer(source_of(network), inputs={"x": None}, outputs=["head/logits"])
    assert error_of(inference, sample, truth(network, sample)) < EXACT
