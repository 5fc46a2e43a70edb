"""Images seen through projective transforms."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

TRANSFORMS = np.array(
    [
        [1, 0.1, 0.3, -0.1, 1, 0.2, 0, 0],
        [2.3, 0.4, -17.3, -0.6, 1.9, -12.7, 0.02, 0.01],
        [-1.5, 0.5, 31, 0, -2.5, 40, 0, 0],
    ],
    np.float32,
)
"""Near the image, far to its one side and far to the other."""


@pytest.mark.parametrize("interpolation", ["BILINEAR", "NEAREST"])
@pytest.mark.parametrize("fill_mode", ["CONSTANT", "REFLECT", "WRAP", "NEAREST"])
def test_transformed_image_is_the_same(interpolation, fill_mode):
    def filled(x, transforms, size=(6, 8), fill=0.5):
        return raw.ImageProjectiveTransformV3(
            images=x, transforms=transforms, output_shape=size, fill_value=fill, interpolation=interpolation,
            fill_mode=fill_mode,
        )  # fmt: skip

    def black(x, transforms):
        return raw.ImageProjectiveTransformV2(
            images=x, transforms=transforms, output_shape=(6, 8), interpolation=interpolation, fill_mode=fill_mode
        )

    feeds = {"x": random(3, 7, 9, 2), "transforms": TRANSFORMS}
    tolerances = {"rtol": 2e-5, "atol": 2e-5}  # of places of some ten pixels, in float32
    assert_lowers(filled, feeds, opsets=(13, 18), **tolerances)
    assert_lowers(black, {**feeds, "transforms": TRANSFORMS[:1]}, **tolerances)
    computed = feeds | {"size": np.array([11, 5], np.int32), "fill": np.float32(-2)}
    assert_lowers(filled, computed, dynamic=True, **tolerances)


@pytest.mark.parametrize("interpolation", ["BILINEAR", "NEAREST"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float16, ml_dtypes.bfloat16, np.float64])
def test_transformed_image_keeps_its_dtype(interpolation, dtype):
    def build(x):
        return raw.ImageProjectiveTransformV3(
            images=x, transforms=TRANSFORMS[:1], output_shape=(6, 8), fill_value=2.0, interpolation=interpolation,
            fill_mode="CONSTANT",
        )  # fmt: skip

    rtol = 2e-2 if dtype == ml_dtypes.bfloat16 else 2e-3
    assert_lowers(build, {"x": random(2, 7, 9, 3, dtype=dtype, low=0, high=99)}, rtol=rtol, atol=2e-5)


def test_transformed_image_is_filled_where_its_places_are_infinite():
    transforms = np.array([[1, 0, 0, 0, 1, 0, -0.5, 0]], np.float32)

    def build(x):
        return raw.ImageProjectiveTransformV3(
            images=x, transforms=transforms, output_shape=(5, 6), fill_value=7.0, interpolation="NEAREST",
            fill_mode="NEAREST",
        )  # fmt: skip

    assert_lowers(build, {"x": random(1, 5, 6, 2)})
