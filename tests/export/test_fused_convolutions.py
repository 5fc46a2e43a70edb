"""Convolutions in one op with padding and resize. Of one image: TensorFlow gets more of them wrong."""

from __future__ import annotations

import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

KERNEL = random(3, 2, 4, 6, seed=1)
PADDINGS = [[0, 0], [1, 2], [2, 0], [0, 0]]


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dynamic", [True, False])
def test_padded_conv_is_the_same(mode, stride, dynamic):
    def build(x):
        return raw.FusedPadConv2D(
            input=x, paddings=PADDINGS, filter=KERNEL, mode=mode, strides=[1, stride, stride, 1], padding="VALID"
        )

    shapes = {"x": (None, None, None, 4)} if dynamic else None
    model = assert_lowers(build, {"x": random(1, 9, 8, 4)}, shapes=shapes, opsets=(13, 18), rtol=1e-5)
    assert op_types(model).count("Conv") == 1


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_resized_and_padded_conv_is_the_same(align_corners, padding):
    def build(x):
        return raw.FusedResizeAndPadConv2D(
            input=x, size=[13, 11], paddings=PADDINGS, filter=KERNEL, mode="REFLECT", strides=[1, 2, 1, 1],
            padding=padding, resize_align_corners=align_corners,
        )  # fmt: skip

    assert_lowers(build, {"x": random(1, 9, 8, 4)}, rtol=1e-5, atol=5e-6)
    assert_lowers(build, {"x": random(1, 9, 8, 4)}, shapes={"x": (None, None, None, 4)}, rtol=1e-5, atol=5e-6)
