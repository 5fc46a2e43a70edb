"""Activations against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
ACTIVATIONS = {
    "relu": tf.nn.relu,
    "relu6": lambda x: tf.nn.relu6(x * 4),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_activation_is_the_same(name, dtype):
    """float64 is as exact as onnxruntime's float64 kernels are; softplus loses near 0."""
    loose = {"rtol": 1e-6, "atol": 1e-7} if dtype == np.float64 else {}
    x = random(3, 4, 5, dtype=dtype)
    if dtype != ml_dtypes.bfloat16:
        x.flat[:3] = (0.0, -0.0, 7.0)
    assert_lowers(ACTIVATIONS[name], {"x": x}, dynamic=True, **loose)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_relu_is_the_same_when_integer(dtype):
    x = random(3, 4, dtype=dtype, low=-9, high=9)
    assert_lowers(tf.nn.relu, {"x": x})
    assert_lowers(tf.nn.relu6, {"x": x})


@pytest.mark.parametrize("dtype", FLOATS)
def test_activation_is_not_lost_on_what_is_not_a_number(dtype):
    x = np.array([np.inf, -np.inf, 1e4, -1e4], dtype)
    for name in ("relu", "relu6", "elu", "softsign", "leaky_relu"):
        if name != "softsign":
            assert_lowers(ACTIVATIONS[name], {"x": x})
