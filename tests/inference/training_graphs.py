"""Training graphs built in memory, beside the truth: the same network in inference mode, on the same variables."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bnfold.graph import Array, DType
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import InferenceGraph, SourceModel, Variable
from bnfold.graph.tensorflow import tensorflow

EXACT = 1e-5
"""Relative to the largest output: float32 in the same order of ops but for folded constants."""


@dataclass(frozen=True)
class Net:
    """What a network function returns: what to feed, what to compare, and what else to feed in inference mode."""

    x: Any
    y: Any
    feeds: Mapping[Any, Any] = field(default_factory=dict)


Network = Callable[[bool], Net]


def value_of(name: str, shape: tuple[int, ...]) -> Array:
    """No parameter is trivial: gamma is below 0 now and then, means and betas are away from 0."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if any(word in name for word in ("variance", "var", "std")):
        return rng.uniform(0.3, 2.0, shape).astype(np.float32)
    if "gamma" in name:
        return (rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)).astype(np.float32)
    return rng.normal(0.3, 0.5, shape).astype(np.float32)


def source_of(network: Network, *, values: Mapping[str, Any] | None = None, step: int | None = 5) -> SourceModel:
    """The graph of ``network(True)`` with its variables, as `load` would give it."""
    tf = tensorflow()
    with tf.Graph().as_default() as graph:
        network(True)
        stored = {v.op.name: _stored(v, values or {}) for v in tf.compat.v1.global_variables()}
        decoded = from_graph_def(graph.as_graph_def())
    variables = {
        name: Variable(name, None if value is None else name, DType.of_numpy(dtype), shape, lambda value=value: value)
        for name, (value, dtype, shape) in stored.items()
    }
    return SourceModel(None, "checkpoint", "test", decoded, variables, step=step)


def _stored(variable: Any, values: Mapping[str, Any]) -> tuple[Array | None, Any, tuple[int, ...]]:
    shape, dtype = tuple(variable.shape.as_list()), variable.dtype.base_dtype.as_numpy_dtype
    if variable.op.name in values:
        given = values[variable.op.name]
        return (None if given is None else np.asarray(given, dtype)), dtype, shape
    return np.asarray(value_of(variable.op.name, shape), dtype), dtype, shape


def truth(network: Network, sample: Array, values: Mapping[str, Any] | None = None) -> Array:
    """What ``network(False)`` gives for ``sample``."""
    tf = tensorflow()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        net = network(False)
        for variable in tf.compat.v1.global_variables():
            variable.load(_stored(variable, values or {})[0], session)
        result: Array = session.run(net.y, {net.x: sample, **net.feeds})
        return result


def sample_for(network: Network, seed: int = 0) -> Array:
    tf = tensorflow()
    with tf.Graph().as_default():
        shape = [3 if size is None else size for size in network(False).x.shape.as_list()]
    return np.random.default_rng(seed).normal(0.5, 1.5, shape).astype(np.float32)


def error_of(
    inference: InferenceGraph, sample: Array, expected: Array, feeds: Mapping[str, Any] | None = None
) -> float:
    """max |got − expected| / max |expected|."""
    feeds = {inference.inputs[0].tensor: sample, **(feeds or {})}
    [got] = run(inference.graph, [inference.outputs[0].tensor], feeds)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    return float(np.abs(got - expected).max() / np.abs(expected).max())


# Parts of networks


def image() -> Any:
    """No two of batch, height, width and channels are alike."""
    return tensorflow().compat.v1.placeholder("float32", [None, 6, 5, 4], name="image")


def variable(name: str, channels: int | list[int], **options: Any) -> Any:
    shape = channels if isinstance(channels, list) else [channels]
    tf = tensorflow()
    return tf.compat.v1.get_variable(name, shape, initializer=tf.compat.v1.zeros_initializer(), **options)


def moving(channels: int | list[int], mean: str = "moving_mean", variance: str = "moving_variance") -> tuple[Any, Any]:
    return variable(mean, channels, trainable=False), variable(variance, channels, trainable=False)


def scale_and_shift(channels: int | list[int]) -> tuple[Any, Any]:
    return variable("gamma", channels), variable("beta", channels)


def convolution(x: Any, name: str = "conv", channels: int = 7) -> Any:
    tf = tensorflow()
    with tf.compat.v1.variable_scope(name):
        return tf.nn.conv2d(x, variable("kernel", [3, 3, x.shape[-1], channels]), 1, "SAME")


def head(x: Any) -> Any:
    """ReLU, the mean over the image, and two logits with a loss on int labels."""
    tf = tensorflow()
    hidden = tf.nn.relu(x)
    if hidden.shape.rank == 4:
        hidden = tf.reduce_mean(hidden, [1, 2])
    with tf.compat.v1.variable_scope("head"):
        logits = tf.add(
            tf.matmul(hidden, variable("kernel", [hidden.shape[-1], 2])), variable("bias", 2), name="logits"
        )
    labels = tf.compat.v1.placeholder("int32", [None], name="labels")
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    tf.gradients(loss, tf.compat.v1.trainable_variables())
    return logits
