"""Bounding boxes drawn on images."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

BOXES = np.array(
    [
        [[0.1, 0.2, 0.6, 0.7], [0, 0, 1, 1], [0.3, 0.3, 0.3, 0.9]],
        [[-0.2, 0.1, 0.5, 1.4], [0.9, 0.1, 0.25, 0.9], [1.2, 1.2, 1.5, 1.5]],
    ],
    np.float32,
)
"""Some cross, some reach over the border; one is inverted, and one lies beyond the image."""


def drawn(images, boxes):
    return tf.raw_ops.DrawBoundingBoxes(images=images, boxes=boxes)


@pytest.mark.parametrize("depth", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_boxes_are_drawn_alike(depth, dtype):
    x = random(2, 12, 15, depth, dtype=dtype)
    assert_lowers(drawn, {"images": x, "boxes": BOXES}, opsets=(13, 18))
    assert_lowers(drawn, {"images": x, "boxes": BOXES}, dynamic=True)


def test_boxes_are_drawn_alike_when_there_are_more_of_them_than_colours():
    corner = np.random.default_rng(3).uniform(0, 0.6, (1, 25, 2))
    boxes = np.concatenate([corner, corner + 0.3], -1).astype(np.float32)
    assert_lowers(drawn, {"images": random(1, 30, 31, 3), "boxes": boxes})


@pytest.mark.parametrize(
    "colours", [np.array([[1, 0, 0.5, 2], [0, 0.25, 0, 1]], np.float32), np.zeros((0, 3), np.float32)]
)
def test_boxes_are_drawn_alike_when_their_colours_are_given(colours):
    def build(images, boxes, colors):
        return tf.raw_ops.DrawBoundingBoxesV2(images=images, boxes=boxes, colors=colors)

    assert_lowers(build, {"images": random(2, 12, 15, 3), "boxes": BOXES, "colors": colours})
