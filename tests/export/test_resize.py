"""Resizes, in every mode, of every dtype, of sizes known and not."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

MODES = [(False, False), (True, False), (False, True)]
SIZES = [(10, 12), (7, 3), (1, 1), (5, 6), (13, 31), (3, 25)]
"""Of an image of 5 × 6: doubled, unlike, one pixel, the same, odd, shorter and longer."""


def resized(op, size, mode, image):
    return getattr(raw, op)(images=image, size=size, align_corners=mode[0], half_pixel_centers=mode[1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"])
def test_resize_is_the_same_when_the_size_is_known(op, mode):
    def build(x):
        return [resized(op, size, mode, x) for size in SIZES]

    assert_lowers(build, {"x": random(2, 5, 6, 3)}, opsets=(13, 18), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"])
def test_resize_is_the_same_when_the_size_is_computed_at_run_time(op, mode):
    feeds = [{"x": random(1, 5, 6, 2), "size": np.array(size, np.int32)} for size in SIZES]
    feeds.append({"x": random(2, 1, 9, 2), "size": np.array([4, 5], np.int32)})
    shapes = {"x": (None, None, None, 2), "size": (2,)}
    assert_lowers(lambda x, size: resized(op, size, mode, x), *feeds, shapes=shapes, opsets=(13, 18), rtol=2e-5)


@pytest.mark.parametrize("mode", MODES)
def test_bicubic_is_exact_to_the_last_places(mode):
    """The coefficients are TensorFlow's own: what is left is the order of sums, of 16 products each."""
    feeds = [{"x": random(1, 5, 6, 2), "size": np.array(size, np.int32)} for size in SIZES]
    for feed in feeds:
        size = feed["size"].tolist()
        assert_lowers(lambda x, size=size: resized("ResizeBicubic", size, mode, x), {"x": feed["x"]}, rtol=0, atol=8e-7)
    shapes = {"x": (None,) * 4, "size": (2,)}
    assert_lowers(lambda x, s: resized("ResizeBicubic", s, mode, x), *feeds, shapes=shapes, rtol=0, atol=8e-7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"])
def test_resize_is_the_same_when_nothing_is_known_of_its_size(op, mode):
    feeds = [{"x": random(1, 5, 6, 2), "size": np.array(size, np.int32)} for size in SIZES]
    assert_lowers(lambda x, size: resized(op, size, mode, x), *feeds, dynamic=True, opsets=(13, 18), rtol=2e-5)


@pytest.mark.parametrize("align_corners", [False, True])
def test_area_is_the_same(align_corners):
    def area(x, size):
        return raw.ResizeArea(images=x, size=size, align_corners=align_corners)

    assert_lowers(lambda x: [area(x, size) for size in SIZES], {"x": random(2, 5, 6, 3)}, rtol=2e-5)
    feeds = [{"x": random(1, 5, 6, 2), "size": np.array(size, np.int32)} for size in SIZES]
    assert_lowers(area, *feeds, dynamic=True, rtol=2e-5)


KERNELS = ["lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_scaling_and_moving_is_the_same(kernel, antialias):
    def scaled(x, size, scale, translation):
        return raw.ScaleAndTranslate(
            images=x, size=size, scale=scale, translation=translation, kernel_type=kernel, antialias=antialias
        )

    cases = [((10, 12), (2.0, 2.0), (0.0, 0.0)), ((3, 2), (0.6, 0.33), (0.0, 0.0)), ((7, 9), (0.8, 1.7), (2.0, -1.5))]
    feeds = [
        {"x": random(1, 5, 6, 2), "size": np.int32(size), "scale": np.float32(scale), "translation": np.float32(shift)}
        for size, scale, shift in cases
    ]
    assert_lowers(lambda x: [scaled(x, *case) for case in cases], {"x": random(2, 5, 6, 3)}, rtol=1e-4, atol=2e-5)
    shapes = {"x": (None, None, None, 2), "size": (2,), "scale": (2,), "translation": (2,)}
    assert_lowers(scaled, *feeds, shapes=shapes, rtol=1e-4, atol=2e-5)


DTYPES = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float64, ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_resize_is_the_same_when_the_image_has_another_dtype(dtype):
    ops = ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"]
    image = random(2, 5, 6, 3, low=-100, high=100, dtype=dtype)
    for op in ops:
        assert_lowers(lambda x, op=op: resized(op, (9, 8), (False, True), x), {"x": image}, rtol=2e-5)
    assert_lowers(lambda x: raw.ResizeArea(images=x, size=(3, 4)), {"x": image}, rtol=2e-5)


@pytest.mark.parametrize("factor", [3, 7, 49])
def test_nearest_copies_tensorflows_pixels_when_rounding_decides(factor):
    """TensorFlow multiplies by the rounded inverse of the factor: 49 · (1/49) is below 1 in float32."""
    image = random(1, 11, 13, 1)
    for mode in MODES:
        size = (11 * factor, 13 * factor + 5)
        assert_lowers(lambda x, m=mode, s=size: resized("ResizeNearestNeighbor", s, m, x), {"x": image})


def upsampled(x, op="ResizeNearestNeighbor", mode=(False, True)):
    return resized(op, tf.shape(x)[1:3] * tf.constant([2, 2]), mode, x)


@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeNearestNeighbor"])
@pytest.mark.parametrize("mode", MODES)
def test_upsampling_is_one_resize_when_the_size_is_a_multiple_of_the_images(op, mode):
    feeds = [{"x": random(*shape)} for shape in [(2, 5, 6, 3), (1, 9, 4, 3)]]
    shapes = {"x": (None, None, None, 3)}
    model = assert_lowers(lambda x: upsampled(x, op, mode), *feeds, shapes=shapes, opsets=(13, 18), rtol=1e-5)
    if not mode[0]:
        assert op_types(model) == ["Transpose", "Resize", "Transpose"]


@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"])
def test_resize_needs_no_transposes_when_between_convolutions(op):
    kernel = random(3, 3, 3, 3, seed=1)

    def build(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        y = raw.ResizeArea(images=y, size=(9, 7)) if op == "ResizeArea" else resized(op, (9, 7), (False, True), y)
        return tf.nn.conv2d(y, kernel, 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 5, 6, 3)}, rtol=1e-4, atol=1e-5)
    assert op_types(model).count("Transpose") == 2
