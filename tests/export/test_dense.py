"""Dense layers on values of many axes."""

from __future__ import annotations

import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

KERNEL, BIAS = random(5, 4, seed=1, low=-2, high=2), random(4, seed=2)
X = random(2, 3, 6, 5)


@pytest.mark.parametrize("shape", [X.shape, (None, 3, 6, 5), (None, None, None, 5)], ids=str)
def test_dense_layer_is_a_product_and_a_sum(shape):
    def build(x):
        sizes = tf.gather(tf.shape(x), [0, 1, 2])
        flat = tf.reshape(x, tf.stack([tf.reduce_prod(sizes), 5]))
        return tf.reshape(tf.matmul(flat, KERNEL), tf.concat([sizes, [4]], 0)) + BIAS

    model = assert_lowers(build, {"x": X}, shapes={"x": shape}, rtol=1e-5, atol=1e-5)
    assert op_types(model) == ["MatMul", "Add"]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, [-1, 5]), KERNEL), [3, 2, 6, 4]),
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, [-1, 5]), KERNEL), [2, 3, 4, 6]),
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, [-1, 10]), random(10, 8, seed=3)), [2, 3, 3, 8]),
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, [5, -1]), random(5, 4, seed=3), transpose_a=True), [2, 3, 6, 4]),
        lambda x: tf.reshape(tf.matmul(tf.reshape(x, [-1, 5]), random(4, 5, seed=3), transpose_b=True), [2, 3, 6, 4]),
    ],
)
def test_product_is_the_same_when_it_does_more_than_flatten(build):
    assert_lowers(build, {"x": X}, rtol=1e-5, atol=1e-5)


def test_product_stays_when_it_is_an_output():
    def build(x):
        product = tf.matmul(tf.reshape(x, [-1, 5]), KERNEL)
        return product, tf.reshape(product, [2, 3, 6, 4])

    assert_lowers(build, {"x": X}, rtol=1e-5, atol=1e-5)
