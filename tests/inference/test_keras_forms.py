"""Keras 3 layers and functions of TensorFlow 2, traced while they train, against the same in inference mode."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_graphs import EXACT, error_of

from bnfold.errors import InferenceError
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.load import load

tf = tensorflow()
keras = tf.keras
layers = keras.layers

Build = Callable[[Any], Any]

MODELS: dict[str, tuple[tuple[int, ...], Build, int]] = {
    "axis one": ((9, 7, 3), lambda x: layers.BatchNormalization(axis=1)(x), 1),
    "neither gamma nor beta": ((9, 7, 3), lambda x: layers.BatchNormalization(scale=False, center=False)(x), 1),
    "sequence": ((11, 4), lambda x: layers.BatchNormalization()(layers.Conv1D(5, 3)(x)), 1),
    "volume": ((4, 5, 6, 2), lambda x: layers.BatchNormalization()(layers.Conv3D(5, 2)(x)), 1),
    "grouped": ((9, 7, 3), lambda x: layers.BatchNormalization()(layers.Conv2D(6, 3, groups=3)(x)), 1),
    "after a Normalization": (
        (9, 7, 3),
        lambda x: layers.BatchNormalization()(layers.Normalization(mean=[1, 2, 3], variance=[1, 4, 9])(x)),
        1,
    ),
    "beside group, layer and RMS norm": (
        (9, 7, 4),
        lambda x: layers.BatchNormalization()(
            layers.RMSNormalization()(layers.LayerNormalization()(layers.GroupNormalization(2)(x)))
        ),
        1,
    ),
    "spectral norm": (
        (9, 7, 3),
        lambda x: layers.BatchNormalization()(layers.SpectralNormalization(layers.Conv2D(6, 3))(x)),
        1,
    ),
    "called at each step": ((3, 6), lambda x: layers.TimeDistributed(layers.BatchNormalization())(x), 3),
    "before a recurrent layer": ((6, 3), lambda x: layers.LSTM(4)(layers.BatchNormalization()(x)), 1),
    "dropout and noise": (
        (6, 8),
        lambda x: layers.BatchNormalization()(layers.GaussianNoise(0.3)(layers.Dropout(0.2)(x))),
        1,
    ),
}


def model_of(name: str) -> Any:
    """The model, no parameter of it trivial."""
    shape, build, _ = MODELS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    inputs = keras.Input(shape)
    model = keras.Model(inputs, build(inputs))
    for weight in model.weights:
        if "seed" in weight.name:
            continue
        positive = any(word in weight.name for word in ("variance", "gamma", "scale"))
        weight.assign(rng.uniform(0.3, 1.5, weight.shape) if positive else rng.normal(0.2, 0.4, weight.shape))
    return model


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_model_gives_the_truth(name: str, training: bool) -> None:
    model = model_of(name)
    shape, _, count = MODELS[name]
    sample = np.random.default_rng(1).normal(0.5, 1.5, (3, *shape)).astype(np.float32)
    signature = [tf.TensorSpec((None, *shape), "float32")]
    function = tf.function(lambda x: model(x, training=training), input_signature=signature, autograph=False)
    expected = model(sample, training=False).numpy()
    inference = infer(load(function))
    assert error_of(inference, sample, expected) < EXACT
    assert len(inference.batch_norms) == count
    for norm in inference.batch_norms:
        assert norm.flag == ("batch moments" if training else "inference")
        assert "moving_mean" in norm.variables["moving_mean"]
        assert "moving_variance" in norm.variables["moving_variance"]


class Fused(tf.Module):  # type: ignore[misc]
    """A convolution and a fused batch norm; in a loop, and behind a flag."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.kernel = tf.Variable(rng.normal(size=(3, 3, 4, 4)).astype(np.float32))
        self.gamma, self.beta, self.mean = (tf.Variable(rng.normal(size=4).astype(np.float32)) for _ in range(3))
        self.variance = tf.Variable(rng.uniform(0.5, 2, 4).astype(np.float32))

    def layer(self, x: Any, training: bool) -> Any:
        x = tf.nn.conv2d(x, self.kernel, 1, "SAME")
        inputs = {"x": x, "scale": self.gamma, "offset": self.beta, "mean": self.mean, "variance": self.variance}
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(**inputs, epsilon=1e-3, is_training=training)
        if training:
            self.mean.assign(self.mean * 0.9 + mean * 0.1)
            self.variance.assign(self.variance * 0.9 + variance * 0.1)
        return tf.nn.tanh(y)

    def behind_a_flag(self, x: Any, phase: Any) -> Any:
        return tf.cond(phase, lambda: self.layer(x, True), lambda: self.layer(x, False))

    def in_a_loop(self, x: Any, training: bool) -> Any:
        state = (tf.constant(0), x)
        return tf.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, self.layer(v, training)), state)[1]


SAMPLE = np.random.default_rng(2).normal(0.2, 1.0, (3, 6, 5, 4)).astype(np.float32)
IMAGE = tf.TensorSpec((None, 6, 5, 4), "float32", name="x")


def test_flag_is_settled_when_it_is_an_argument() -> None:
    module = Fused()
    phase = tf.TensorSpec((), "bool", name="phase")
    inference = infer(load(tf.function(module.behind_a_flag, input_signature=[IMAGE, phase], autograph=False)))
    assert error_of(inference, SAMPLE, module.layer(SAMPLE, False).numpy()) < EXACT
    [norm] = inference.batch_norms
    assert norm.flag == "placeholder phase"
    assert not inference.graph.functions


def test_update_and_wiring_agree_when_the_flag_is_baked_in() -> None:
    module = Fused()
    function = tf.function(lambda x: module.layer(x, True), input_signature=[IMAGE], autograph=False)
    inference = infer(load(function))
    assert error_of(inference, SAMPLE, module.layer(SAMPLE, False).numpy()) < EXACT
    [norm] = inference.batch_norms
    assert norm.evidence[0].startswith("update op")
    assert norm.evidence[0].endswith("already wired")


def test_batch_norm_of_a_loop_runs_when_it_is_in_inference_mode() -> None:
    module = Fused()
    function = tf.function(lambda x: module.in_a_loop(x, False), input_signature=[IMAGE], autograph=False)
    inference = infer(load(function))
    assert error_of(inference, SAMPLE, module.in_a_loop(SAMPLE, False).numpy()) < EXACT


def test_batch_norm_of_a_loop_is_refused_when_it_trains() -> None:
    module = Fused()
    function = tf.function(lambda x: module.in_a_loop(x, True), input_signature=[IMAGE], autograph=False)
    with pytest.raises(InferenceError, match="in a way that cannot be bound") as caught:
        infer(load(function))
    assert caught.value.hint
