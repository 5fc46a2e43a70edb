"""Blocks of pixels, and the dilated convolutions that are written with them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.int32, np.int64, np.uint16])
@pytest.mark.parametrize("op", [tf.nn.space_to_depth, tf.nn.depth_to_space])
def test_depth_and_space_are_the_same(op, dtype):
    x = random(2, 4, 6, 12, dtype=dtype, low=-90, high=90)
    assert_lowers(lambda x: op(x, 2), {"x": x})
    assert_lowers(lambda x: op(x, 2), {"x": x}, {"x": x[:1, :, 2:]}, shapes={"x": (None, None, None, 12)})


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("blocks", [[2, 3], [1, 2], [4]])
def test_batch_and_space_are_the_same(blocks, dynamic):
    shapes = {"x": (None, None, None, 5)} if dynamic else None
    x = random(2, 7, 7, 5)
    pads = [[1, (-8) % block] for block in blocks]
    assert_lowers(lambda x: tf.space_to_batch(x, blocks, pads), {"x": x}, shapes=shapes)
    z = random(2 * int(np.prod(blocks)), 3, 4, 5)
    crops = [[block // 2, block - 1] for block in blocks]
    assert_lowers(lambda x: tf.compat.v1.batch_to_space_nd(x, blocks, crops), {"x": z}, shapes=shapes)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float64])
def test_batch_and_space_are_the_same_when_paddings_are_computed(known, dtype):
    x, z = random(2, 7, 5, 3, dtype=dtype, low=-90, high=90), random(12, 3, 4, 3, dtype=dtype, low=-90, high=90)
    blocks, pads = np.array([2, 3], np.int32), np.array([[1, 2], [0, 1]], np.int32)
    shapes = {} if known else {"x": (None,) * 4, "z": (None,) * 4, "pads": (None, None)}

    assert_lowers(lambda x, pads: tf.space_to_batch(x, blocks, pads), {"x": x, "pads": pads}, shapes=shapes)
    both = {"x": x, "blocks": blocks, "pads": pads}
    assert_lowers(lambda x, blocks, pads: tf.space_to_batch(x, blocks, pads), both, shapes=shapes)
    both = {"z": z, "blocks": blocks, "crops": pads}
    assert_lowers(lambda z, blocks, crops: tf.batch_to_space(z, blocks, crops), both, shapes=shapes)


@pytest.mark.parametrize("known", [True, False])
def test_older_batch_and_space_are_the_same_when_paddings_are_computed(known):
    pads, shapes = np.array([[1, 2], [0, 1]], np.int32), None if known else {"x": (None,) * 4}

    def batches(x, pads):
        return tf.raw_ops.SpaceToBatch(input=x, paddings=pads, block_size=2)

    def space(x, pads):
        return tf.raw_ops.BatchToSpace(input=x, crops=pads, block_size=2)

    assert_lowers(batches, {"x": random(2, 7, 5, 3), "pads": pads}, shapes=shapes)
    assert_lowers(space, {"x": random(8, 3, 4, 5), "pads": pads}, shapes=shapes)


def dilated(kernel, rates, pads, crops, *, bias=None, padding="VALID", conv=tf.nn.conv2d):
    def build(x):
        phases = tf.space_to_batch(x, rates, pads)
        y = conv(phases, kernel, [1] * (len(rates) + 2), padding)
        if bias is not None:
            y = tf.nn.bias_add(y, bias)
        return tf.nn.relu(tf.compat.v1.batch_to_space_nd(y, rates, crops))

    return build


@pytest.mark.parametrize("bias", [None, random(5, seed=8)], ids=["bare", "bias"])
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_phases_are_one_dilated_conv(bias, padding):
    kernel = random(3, 2, 4, 5, seed=1)
    build = dilated(kernel, [2, 3], [[2, 3], [3, 2]], [[0, 1], [1, 0]], bias=bias, padding=padding)
    feeds = {"x": random(2, 7, 7, 4)}, {"x": random(1, 9, 10, 4)}
    model = assert_lowers(build, *feeds, shapes={"x": (None, None, None, 4)})
    assert op_types(model) == ["Transpose", "Conv", "Relu", "Transpose"]


def test_phases_are_one_dilated_conv_when_depthwise():
    kernel = random(3, 3, 4, 2, seed=1)
    build = dilated(kernel, [2, 2], [[2, 3], [2, 3]], [[0, 1], [0, 1]], conv=tf.nn.depthwise_conv2d)
    model = assert_lowers(build, {"x": random(2, 7, 7, 4)})
    assert op_types(model) == ["Transpose", "Conv", "Relu", "Transpose"]


def test_phases_are_one_dilated_conv_when_tensorflow_writes_them():
    kernel = random(3, 3, 2, 4, 5, seed=1)

    def build(x):
        return tf.nn.convolution(x, kernel, padding="SAME", dilations=[2, 2, 1])

    model = assert_lowers(build, {"x": random(2, 7, 6, 5, 4)})
    assert "Conv" in op_types(model)


def test_phases_stay_when_more_is_cropped_than_padded():
    kernel = random(3, 3, 4, 5, seed=1)
    build = dilated(kernel, [2, 2], [[0, 1], [0, 1]], [[1, 0], [1, 0]])
    model = assert_lowers(build, {"x": random(2, 9, 9, 4)})
    assert op_types(model).count("Conv") == 1
    assert "Slice" in op_types(model)


def test_phases_stay_when_they_are_read_inside():
    kernel = random(3, 3, 4, 5, seed=1)

    def build(x):
        y = tf.nn.conv2d(tf.space_to_batch(x, [2, 2], [[2, 3], [2, 3]]), kernel, 1, "VALID")
        return tf.compat.v1.batch_to_space_nd(y, [2, 2], [[0, 1], [0, 1]]), tf.nn.relu(y)

    model = assert_lowers(build, {"x": random(2, 7, 7, 4)})
    assert len(model.graph.output) == 2


@pytest.mark.parametrize("length", [None, 23])
@pytest.mark.parametrize("bias", [True, False])
def test_phases_of_one_axis_are_one_dilated_conv_when_the_length_is_not_known(bias, length):
    """As Keras writes them: one axis as two, the bias before or after the way back, padded by what the length says."""
    kernel, vector = random(5, 3, 4, seed=1), random(4, seed=2)

    def phases(x):
        wide = tf.nn.conv2d(tf.expand_dims(x, 1), kernel[None], 1, "VALID")
        return tf.squeeze(wide + vector if bias else wide, 1)

    def build(x):
        end = (3 - tf.shape(x)[1] % 3) % 3
        spread = tf.space_to_batch(x, [3], tf.stack([tf.stack([0, end])]))
        return tf.batch_to_space(phases(spread), [3], tf.stack([tf.stack([0, end])]))

    model = assert_lowers(build, {"x": random(2, 23, 3)}, shapes={"x": (None, length, 3)}, rtol=2e-5, atol=2e-5)
    assert [op for op in op_types(model) if op != "Transpose"] == ["Conv"]


def test_phases_stay_when_other_rows_are_cropped_than_padded():
    def build(x):
        end = (3 - tf.shape(x)[1] % 3) % 3
        spread = tf.space_to_batch(x, [3], tf.stack([tf.stack([0, end])]))
        inner = tf.nn.conv1d(spread, random(2, 3, 4, seed=1), 1, "VALID")
        return tf.batch_to_space(inner, [3], tf.stack([tf.stack([0, end // 2])]))

    model = assert_lowers(build, {"x": random(2, 22, 3)}, shapes={"x": (None, None, 3)}, rtol=2e-5, atol=2e-5)
    assert "Reshape" in op_types(model)
