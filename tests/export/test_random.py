"""Random numbers: of the right shape, dtype and distribution; and cross entropies."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, check_file, inference_graph, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


def drawn(build, shape):
    """What onnxruntime draws for a shape that is known only at run time."""
    model = export(inference_graph(build, {"shape": np.array(shape, np.int32)}))
    check_file(model)
    (numbers,) = onnxruntime.InferenceSession(model.SerializeToString()).run(
        None, {"shape:0": np.array(shape, np.int32)}
    )
    assert numbers.shape == shape
    return numbers


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.float16])
def test_numbers_are_of_the_distribution(dtype):
    """The error of a mean of 20 000 numbers is below 0.01, but for 1 in 10 000 seeds; the seed is fixed."""
    uniform = drawn(lambda shape: tf.random.uniform(shape, dtype=dtype, seed=3), (100, 200)).astype(np.float64)
    assert 0 <= uniform.min() < 0.01 < 0.99 < uniform.max() <= 1
    assert abs(uniform.mean() - 0.5) < 0.01
    normal = drawn(lambda shape: tf.random.normal(shape, 2.0, 3.0, dtype=dtype, seed=3), (100, 200)).astype(np.float64)
    assert abs(normal.mean() - 2) < 0.09
    assert abs(normal.std() - 3) < 0.09


def test_integers_are_within_their_bounds():
    numbers = drawn(lambda shape: tf.random.uniform(shape, -3, 5, tf.int32, seed=3), (100, 20))
    assert set(np.unique(numbers)) == set(range(-3, 5))
    assert numbers.dtype == np.int32


def test_classes_are_drawn_by_their_probabilities():
    logits = np.log(np.array([[0.8, 0.1, 0.1], [1e-9, 0.5, 0.5]], np.float32))
    model = export(inference_graph(lambda x: tf.random.categorical(x, 2000, seed=3), {"x": logits}))
    (classes,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": logits})
    assert classes.dtype == np.int64
    assert abs((classes[0] == 0).mean() - 0.8) < 0.05
    assert not (classes[1] == 0).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_cross_entropies_are_the_same(dtype):
    tolerance = {np.float16: 5e-3, np.float64: 1e-9}.get(dtype, 1e-5)
    logits, labels = random(4, 6, dtype=dtype), np.abs(random(4, 6, dtype=dtype, seed=1))

    def dense(x, y):
        found = tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=x, labels=y)
        return found.loss, found.backprop

    def sparse(x, y):
        found = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=y)
        return found.loss, found.backprop

    assert_lowers(dense, {"x": logits, "y": labels}, dynamic=True, rtol=tolerance, atol=tolerance)
    feeds = {"x": logits, "y": np.array([0, 5, 2, 2], np.int32)}
    assert_lowers(sparse, feeds, dynamic=True, rtol=tolerance, atol=tolerance)
