"""Patches of images and volumes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "rate"), [((2, 3), (1, 1), (1, 1)), ((3, 2), (2, 3), (1, 2))])
def test_patches_are_the_same(padding, kernel, stride, rate):
    def patches(x):
        sizes = ([1, *pair, 1] for pair in (kernel, stride, rate))
        return raw.ExtractImagePatches(
            images=x, **dict(zip(("ksizes", "strides", "rates"), sizes, strict=True)), padding=padding
        )

    assert_lowers(patches, {"x": random(2, 7, 8, 3)}, opsets=(13, 18))
    assert_lowers(patches, {"x": random(2, 7, 8, 3)}, {"x": random(1, 6, 9, 3)}, dynamic=True)
    for dtype in (np.uint8, np.int64, np.float16):
        assert_lowers(patches, {"x": random(1, 7, 8, 2, dtype=dtype)})


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_patches_of_volumes_are_the_same(padding):
    def patches(x):
        return raw.ExtractVolumePatches(input=x, ksizes=[1, 2, 3, 2, 1], strides=[1, 2, 1, 2, 1], padding=padding)

    assert_lowers(patches, {"x": random(2, 5, 6, 7, 3)})
    assert_lowers(patches, {"x": random(2, 5, 6, 7, 3, dtype=np.int32, high=99)}, shapes={"x": (None, 5, 6, 7, 3)})


@pytest.mark.parametrize("shape", [(2, 6, 7, 8, 3), (None, 6, None, 8, 3), (None,) * 5])
@pytest.mark.parametrize("sizes", [([1, 1, 2, 1, 1], [1, 3, 4, 4, 1]), ([1, 2, 3, 2, 1], [1, 4, 1, 3, 1])], ids=str)
def test_patches_of_volumes_lie_in_the_middle_when_shorter_than_their_strides(sizes, shape):
    def patches(x):
        return raw.ExtractVolumePatches(input=x, ksizes=sizes[0], strides=sizes[1], padding="SAME")

    assert_lowers(patches, {"x": random(2, 6, 7, 8, 3)}, shapes={"x": shape})


@pytest.mark.parametrize("shape", [(2, None, 7, 8, 3), (None,) * 5, None], ids=str)
def test_what_follows_patches_of_volumes_is_the_same_when_sizes_are_unknown(shape):
    def network(x):
        patches = raw.ExtractVolumePatches(input=x, ksizes=[1, 2, 3, 2, 1], strides=[1, 2, 1, 2, 1], padding="SAME")
        return tf.identity(patches), tf.nn.relu(patches) + 1, tf.shape(patches)

    assert_lowers(network, {"x": random(2, 6, 7, 8, 3)}, shapes={"x": shape})


@pytest.mark.parametrize("shape", [(None, 7, 8, 3), (None, None, None, 3)])
def test_patches_are_the_same_when_there_is_no_image(shape):
    def patches(x):
        return tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME")

    assert_lowers(patches, {"x": random(0, 7, 8, 3)}, {"x": random(2, 7, 8, 3)}, shapes={"x": shape})
