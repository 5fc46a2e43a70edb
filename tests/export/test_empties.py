"""Tensors that are known to have no elements, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("opset", [13, 18])
def test_empty_tensor_is_a_constant_when_its_sizes_are_known(opset):
    def build(x):
        values, indices = tf.nn.top_k(x, 2)
        ands = tf.bitwise.bitwise_and(tf.cast(x, tf.int32), 3)
        return [tf.reshape(x, [3, 0, 2]), values * 2, tf.cast(indices, tf.float32), tf.nn.softmax(x), ands]

    model = assert_lowers(build, {"x": np.zeros((0, 3), np.float32)}, shapes={"x": (0, 3)}, opsets=(opset,))
    assert set(op_types(model)) <= {"Identity"}


def test_what_is_made_of_an_empty_tensor_is_the_same():
    def build(x):
        nothing = tf.matmul(x[:, :0], x[:, :0], transpose_b=True)
        lengths = tf.reduce_prod(x[:0], 0)
        return [x + nothing, tf.concat([x[2:2], x * 2], 0), lengths, tf.reduce_any(x[:0] > 0)]

    assert_lowers(build, {"x": random(3, 4) @ random(4, 3, seed=1)}, opsets=(13, 18))


def test_empty_strings_and_indices_are_the_same():
    def build(x, words):
        rows = tf.zeros([0, 1], tf.int32)
        return [tf.tensor_scatter_nd_update(x, rows, x[:0]), tf.concat([words[:0], words], 0), words[:0]]

    assert_lowers(build, {"x": random(2, 3), "words": np.array(["a", "b"], object)})


def test_loop_whose_state_is_empty_is_the_same():
    def build(x):
        step = lambda i, a, b: (i + 1, a * 2.0, b + tf.reduce_sum(a) + 1.0)  # noqa: E731
        return tf.while_loop(lambda i, a, b: i < 3, step, (0, x[:0], tf.reduce_sum(x)))[1:]

    assert_lowers(build, {"x": random(2, 3)})
