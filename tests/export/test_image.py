"""Colours, crops and patches."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

PIXELS = np.array(
    [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.2], [0.2, 0.5, 0.5], [0.5, 0.2, 0.5], [-1, 0.3, 0.1], [-3, -2, -1], [0, 1, 0]],
    np.float32,
)
"""Grey, two channels alike, and values that no image should have."""


def image(*shape, dtype=np.float32):
    values = random(*shape, 3, low=0, high=1)
    values.reshape(-1, 3)[: len(PIXELS)] = PIXELS
    return values.astype(dtype)


COLOURS = {
    "rgb_to_hsv": lambda x: raw.RGBToHSV(images=x),
    "hsv_to_rgb": lambda x: raw.HSVToRGB(images=x),
    "hue": lambda x: raw.AdjustHue(images=x, delta=0.3),
    "hue_back": lambda x: raw.AdjustHue(images=x, delta=-0.7),
    "saturation": lambda x: raw.AdjustSaturation(images=x, scale=1.7),
    "grey": lambda x: raw.AdjustSaturation(images=x, scale=0.0),
    "contrast": lambda x: raw.AdjustContrastv2(images=x, contrast_factor=-1.6),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_the_same(name):
    assert_lowers(COLOURS[name], {"x": image(2, 5, 6)}, opsets=(13, 18), rtol=1e-5, atol=1e-6)
    assert_lowers(COLOURS[name], {"x": image(2, 5, 6)}, {"x": image(1, 4, 9)}, dynamic=True, rtol=1e-5, atol=1e-6)
    assert_lowers(COLOURS[name], {"x": image(4, 3)}, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", ["rgb_to_hsv", "hsv_to_rgb"])
def test_colours_are_the_same_when_the_image_has_another_dtype(name, dtype):
    assert_lowers(COLOURS[name], {"x": random(2, 5, 6, 3, low=0.1, high=1, dtype=dtype)}, rtol=2e-2)


@pytest.mark.parametrize("name", ["hue", "saturation", "contrast"])
def test_colours_are_the_same_when_the_amount_is_computed(name):
    ops = {
        "hue": lambda x, d: raw.AdjustHue(images=x, delta=d),
        "saturation": lambda x, d: raw.AdjustSaturation(images=x, scale=d),
        "contrast": lambda x, d: raw.AdjustContrastv2(images=x, contrast_factor=d),
    }
    assert_lowers(ops[name], {"x": image(2, 5, 6), "d": np.array(0.4, np.float32)}, rtol=1e-5, atol=1e-6)


def test_colours_need_no_transposes_when_between_convolutions():
    kernel = random(1, 1, 3, 3, seed=1)

    def build(x):
        y = tf.sigmoid(tf.nn.conv2d(x, kernel, 1, "SAME"))
        y = raw.AdjustContrastv2(images=raw.AdjustSaturation(images=y, scale=1.5), contrast_factor=1.2)
        return tf.nn.conv2d(y, kernel, 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 5, 6, 3)}, rtol=1e-4, atol=1e-5)
    assert op_types(model).count("Transpose") == 2


BOXES = np.array(
    [[0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9], [-0.3, 0.2, 1.2, 0.8], [0.9, 0.8, 0.1, 0.2], [0.5, 0.5, 0.5, 0.5]], np.float32
)
"""The whole, a part, beyond the border, mirrored, one point."""
INDEX = np.array([1, 0, 1, 0, 1], np.int32)


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_crops_are_the_same(method):
    def crops(x, boxes, index, size=(4, 7)):
        return raw.CropAndResize(
            image=x, boxes=boxes, box_ind=index, crop_size=size, method=method, extrapolation_value=-1.5
        )

    x = random(2, 5, 6, 3)
    assert_lowers(lambda x: crops(x, BOXES, INDEX), {"x": x}, opsets=(13, 18), rtol=1e-5, atol=1e-5)
    assert_lowers(lambda x: crops(x, BOXES, INDEX, (1, 3)), {"x": x}, rtol=1e-5, atol=1e-5)
    feeds = [{"x": x, "boxes": BOXES, "index": INDEX, "size": np.array(s, np.int32)} for s in [(4, 7), (1, 3)]]
    feeds.append({**feeds[0], "boxes": BOXES[:0], "index": INDEX[:0]})
    shapes = {"x": (None,) * 4, "boxes": (None, 4), "index": (None,), "size": (2,)}
    assert_lowers(crops, *feeds, shapes=shapes, rtol=1e-5, atol=1e-5)
    for dtype in (np.uint8, np.float16, np.float64, np.int32):
        assert_lowers(lambda x: crops(x, BOXES, INDEX), {"x": random(2, 5, 6, 3, dtype=dtype, high=99)}, rtol=1e-5)
