"""The sign of floats, as Keras asks for it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from harness import assert_lowers, op_types

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

VALUES = np.array([[0.0, -0.0, 1e-40, -1e-40], [3.0, -2.0, np.inf, -np.inf]], np.float32)


@pytest.mark.parametrize("opset", [13, 18])
def test_sign_of_zeros_is_kept(opset):
    model = assert_lowers(keras.ops.signbit, {"x": VALUES}, opsets=(opset,))
    assert "BitCast" not in op_types(model)


def test_keras_argmax_is_the_same():
    x = np.array([[0.0, -0.0, -1.0], [-0.0, 0.0, -3.0], [-2.0, -1.0, -1.0]], np.float32)
    assert_lowers(lambda x: keras.ops.argmax(x, axis=-1), {"x": x}, opsets=(13, 18))


def test_bits_stay_when_another_one_is_asked_for():
    def build(x):
        return tf.less(tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32), 1 << 20), 0)

    model = assert_lowers(build, {"x": VALUES}, opsets=(26,))
    assert "BitwiseAnd" in op_types(model)
