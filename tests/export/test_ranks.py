"""Ranks that are not said, but that only one number can be."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, inference_graph, random

from bnfold.errors import ExportError
from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

KERNEL = random(3, 2, 4, 6, seed=1)

GRAPHS = {
    "conv2d": lambda x: tf.nn.conv2d(x, KERNEL, 2, "SAME"),
    "activation": lambda x: tf.nn.conv2d(tf.nn.relu(tf.identity(x)), KERNEL, 2, "SAME"),
    "pad": lambda x: tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]]), KERNEL, 1, "VALID"),
    "conv2d_transpose": lambda x: tf.nn.conv2d_transpose(x, random(3, 2, 5, 4), [2, 16, 12, 5], 2, "SAME"),
    "max_pool": lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"),
    "argmax": lambda x: tf.nn.max_pool_with_argmax(x, 3, 2, "SAME"),
    "blocks": lambda x: tf.nn.space_to_depth(x, 2),
    "resize": lambda x: tf.compat.v1.image.resize_bilinear(x, [5, 9]),
    "patches": lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 3, 1], [1, 1, 1, 1], "SAME"),
    "reverse": lambda x: tf.nn.erosion2d(x, random(2, 3, 4), [1] * 4, "SAME", "NHWC", [1] * 4),
    "lrn": lambda x: tf.nn.lrn(x, 2),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_rank_is_that_of_the_op_when_it_is_not_said(name):
    model = assert_lowers(GRAPHS[name], {"x": random(2, 8, 6, 4)}, shapes={"x": None})
    (x,) = model.graph.input
    assert len(x.type.tensor_type.shape.dim) == 4


def test_rank_is_one_less_when_the_op_gets_an_expanded_image():
    assert_lowers(lambda x: tf.nn.max_pool1d(x, 3, 2, "SAME"), {"x": random(2, 9, 4)}, shapes={"x": None})


def test_rank_is_that_of_the_op_when_it_is_a_kernels():
    feeds = {"x": random(2, 5, 6, 7, 3), "kernel": random(2, 3, 2, 3, 4, seed=1)}
    assert_lowers(lambda x, k: tf.nn.conv3d(x, k, [1, 1, 2, 1, 1], "SAME"), feeds, shapes={"x": None, "kernel": None})


def test_rank_is_not_guessed_when_the_tensor_comes_from_elsewhere():
    def build(x, shape):
        return tf.nn.conv2d(tf.reshape(x, shape), KERNEL, 1, "SAME")

    feeds = {"x": random(2, 8, 6, 4), "shape": np.array([2, 6, 8, 4], np.int32)}
    with pytest.raises(ExportError, match="rank of its input"):
        export(inference_graph(build, feeds, shapes={"x": None, "shape": None}))
