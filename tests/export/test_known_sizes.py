"""Sizes computed from shapes of which only the batch is unknown."""

from __future__ import annotations

import pytest
from harness import assert_lowers, op_types, random

from bnfold.export.rewrites import known_sizes
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
v1 = tf.compat.v1

KERNEL = random(3, 3, 2, 5, seed=1)
BATCH_ONLY = {"x": (None, 6, 7, 2)}


def test_images_resized_by_their_own_size_have_a_known_size():
    def decoder(x):
        y = v1.image.resize_bilinear(x, tf.shape(x)[1:3] * 2)
        y = v1.image.resize_nearest_neighbor(y, tf.shape(y)[1:3] * 2 + 1)
        return tf.nn.conv2d(y, KERNEL, 2, "SAME")

    model = assert_lowers(decoder, {"x": random(2, 6, 7, 2)}, shapes=BATCH_ONLY)
    assert op_types(model) == ["Transpose", "Resize", "Resize", "Conv", "Transpose"]
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim[1:]] == [13, 15, 5]


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.float32])
def test_known_sizes_are_numbers_of_any_dtype(dtype):
    def scaled(x):
        height = tf.cast(tf.shape(x)[1], dtype)
        return x / tf.cast(height, tf.float32), tf.fill([height if dtype != tf.float32 else 2, 3], height)

    model = assert_lowers(scaled, {"x": random(2, 6, 7, 2)}, shapes=BATCH_ONLY)
    assert "Shape" not in op_types(model)


def test_known_sizes_that_are_outputs_stay():
    model = assert_lowers(
        lambda x: (tf.shape(x)[1] * 2, tf.reshape(x, [-1, tf.shape(x)[1], 14])),
        {"x": random(2, 6, 7, 2)},
        shapes=BATCH_ONLY,
    )
    assert len(model.graph.output) == 2


def test_sizes_stay_computed_when_they_are_unknown():
    def resized(x):
        return v1.image.resize_nearest_neighbor(x, [tf.shape(x)[0] * 3, tf.shape(x)[1]])

    feeds = {"x": random(2, 6, 7, 2)}, {"x": random(4, 6, 7, 2)}
    assert_lowers(resized, *feeds, shapes=BATCH_ONLY)


def test_channels_stay_known_when_the_padding_of_other_axes_is_computed():
    def padded(x):
        missing = -tf.shape(x)[1:3] % 4
        y = tf.pad(x, [[0, 0], [0, missing[0]], [missing[1], 0], [0, 0]])
        return tf.nn.conv2d(y[:, : tf.shape(x)[1] - 1, 1:], KERNEL, 1, "SAME")

    feeds = {"x": random(2, 6, 7, 2)}, {"x": random(1, 8, 5, 2)}
    model = assert_lowers(padded, *feeds, shapes={"x": (None, None, None, 2)})
    [conv] = (node for node in model.graph.node if node.op_type == "Conv")
    assert conv.input[1] in {tensor.name for tensor in model.graph.initializer}


def test_known_sizes_do_not_ask_tensorflow_about_ops_that_it_lacks(monkeypatch):
    """A sequence between images: what a rewrite has made of the 1-D convolution is no op of TensorFlow."""

    def network(x):
        rows = tf.nn.conv1d(x[:, 0], random(3, 2, 4, seed=2), 1, "SAME")
        return rows, v1.image.resize_bilinear(x, tf.shape(x)[1:3] * 2)

    monkeypatch.setattr(known_sizes, "infer_types", _refusing)
    model = assert_lowers(network, {"x": random(2, 6, 7, 2)}, shapes=BATCH_ONLY)
    assert "Shape" not in op_types(model)


def _refusing(graph):
    raise ValueError("Op type not registered")
