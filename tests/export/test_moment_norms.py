"""Layer norms and instance norms, written as TensorFlow's own functions and Keras' layers write them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

GAMMA = random(5, seed=1, low=-2, high=2)
BETA = random(5, seed=2, low=-3, high=3)
X = random(2, 7, 6, 5, low=-4, high=9)


def by_formula(axes, gamma=GAMMA, beta=BETA):
    def build(x):
        return tf.nn.batch_normalization(x, *tf.nn.moments(x, axes, keepdims=True), beta, gamma, 1e-3)

    return build


def as_keras(axes, gamma=GAMMA, beta=BETA):
    """``x · factor + (-mean · factor + beta)``"""

    def build(x):
        mean = tf.reduce_mean(x, axes, keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, tf.stop_gradient(mean)), axes, keepdims=True)
        factor = tf.math.rsqrt(variance + 1e-3)
        factor = factor if gamma is None else factor * np.reshape(gamma, (1,) * (len(x.shape) - 1) + (-1,))
        shift = -mean * factor
        return x * factor + (shift if beta is None else shift + beta)

    return build


@pytest.mark.parametrize("write", [by_formula, as_keras])
@pytest.mark.parametrize("parameters", [(GAMMA, BETA), (None, BETA), (GAMMA, None), (None, None)], ids=str)
@pytest.mark.parametrize(("x", "shape"), [(X, X.shape), (X, (None, None, None, 5)), (X[0, 0], (None, 5))], ids=str)
def test_layer_norm_is_one_node(write, parameters, x, shape):
    build = write([-1], *parameters)
    model = assert_lowers(build, {"x": x}, shapes={"x": shape}, opsets=(13, 17, 18), rtol=1e-5, atol=1e-5)
    if write is as_keras or parameters[1] is not None:
        assert op_types(model) == ["LayerNormalization"]


def test_layer_norm_between_convolutions_needs_no_transpose():
    def build(x):
        y = tf.nn.conv2d(x, random(3, 3, 5, 5, seed=3, low=-1, high=1), 1, "SAME")
        return tf.nn.conv2d(as_keras([-1])(y), random(3, 3, 5, 4, seed=4, low=-1, high=1), 2, "SAME")

    model = assert_lowers(build, {"x": X}, rtol=2e-5, atol=2e-5)
    assert op_types(model).count("Transpose") == 2


@pytest.mark.parametrize("write", [by_formula, as_keras])
def test_instance_norm_is_one_node_between_transposes(write):
    model = assert_lowers(write([1, 2]), {"x": X}, opsets=(13, 18), rtol=1e-5, atol=1e-5)
    assert op_types(model) == ["Transpose", "InstanceNormalization", "Transpose"]


@pytest.mark.parametrize(
    "build",
    [
        by_formula([1]),
        by_formula([2, 3]),
        as_keras([-1], gamma=random(1, seed=3)),
        lambda x: as_keras([-1])(x) + tf.reduce_mean(x, [-1], keepdims=True),
        lambda x: by_formula([-1], random(7, 6, 5, seed=3), BETA)(x),
    ],
)
def test_what_is_almost_a_norm_is_the_same(build):
    assert_lowers(build, {"x": X}, rtol=2e-5, atol=2e-5)


def test_what_adds_an_axis_is_the_same():
    def build(x):
        mean = tf.reduce_mean(x, [2], keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), [2], keepdims=True)
        factor = tf.math.rsqrt(variance + 1e-3) * GAMMA.reshape(1, 1, 1, 5)
        return x * factor + (BETA - mean * factor)

    assert "LayerNormalization" not in op_types(assert_lowers(build, {"x": X[0]}, rtol=1e-5, atol=1e-5))


def test_norm_stays_when_its_mean_is_an_output():
    def build(x):
        mean = tf.reduce_mean(x, [-1], keepdims=True)
        variance = tf.reduce_mean(tf.math.squared_difference(x, mean), [-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, BETA, GAMMA, 1e-3), mean

    model = assert_lowers(build, {"x": X}, rtol=1e-5, atol=1e-5)
    assert "LayerNormalization" not in op_types(model)


def test_norm_of_doubles_is_the_same():
    assert_lowers(lambda x: by_formula([-1], GAMMA.astype(float), BETA.astype(float))(x), {"x": X.astype(np.float64)})
