"""Random crops that contain an object: what holds for every one of them."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import check_file, inference_graph

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

HEIGHT, WIDTH = 60, 80
BOXES = np.array([[[0.5, 0.5, 0.9, 0.8], [0.1, 0.1, 0.1, 0.2]]], np.float32)
"""An object, and one of no pixels, which counts for nothing."""


def crops(boxes=BOXES, times=40, *, new=True, dtype=np.int32, dynamic=False, **attrs):
    """What the ONNX model gives, as many times: begin, size and box."""
    attrs = {"aspect_ratio_range": [0.5, 2.0], "area_range": [0.2, 0.5], **attrs}

    def build(size, boxes):
        if new:
            return tf.raw_ops.SampleDistortedBoundingBoxV2(
                image_size=size, bounding_boxes=boxes, min_object_covered=attrs.pop("covered", 0.6), **attrs
            )
        return tf.raw_ops.SampleDistortedBoundingBox(
            image_size=size, bounding_boxes=boxes, min_object_covered=attrs.pop("covered", 0.6), **attrs
        )

    feeds = {"size": np.array([HEIGHT, WIDTH, 3], dtype), "boxes": boxes}
    shapes = {"size": (None,), "boxes": (None, None, 4)} if dynamic else None
    model = export(inference_graph(build, feeds, shapes=shapes))
    check_file(model)
    runtime = onnxruntime.InferenceSession(model.SerializeToString())
    return [runtime.run(None, {f"{name}:0": value for name, value in feeds.items()}) for _ in range(times)]


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("dynamic", [True, False])
def test_crops_are_what_is_asked_for(new, dynamic):
    """The proportions are those of whole pixels: half a pixel more or less on each side."""
    found = crops(new=new, dynamic=dynamic, max_attempts=200)
    for begin, size, box in found:
        assert begin.dtype == size.dtype == np.int32
        (top, left, zero), (height, width, rest) = begin, size
        assert (zero, rest) == (0, -1)
        assert box.shape == (1, 1, 4)
        wanted = [top / HEIGHT, left / WIDTH, (top + height) / HEIGHT, (left + width) / WIDTH]
        np.testing.assert_allclose(box[0, 0], wanted, rtol=1e-6)
        assert min(top, left) >= 0
        assert top + height <= HEIGHT
        assert left + width <= WIDTH
        assert 0.2 * HEIGHT * WIDTH <= height * width <= 0.5 * HEIGHT * WIDTH
        assert (width + 0.5) / height >= 0.5
        assert (width - 0.5) / height <= 2
        down = min(top + height, 54) - max(top, 30)  # the object is at rows 30 to 54 and columns 40 to 64
        across = min(left + width, 64) - max(left, 40)
        assert max(down, 0) * max(across, 0) >= 0.6 * 24 * 24
    assert len({tuple(begin) for begin, _, _ in found}) > 10
    assert len({tuple(size) for _, size, _ in found}) > 10


def test_crop_is_the_image_when_no_attempt_is_good():
    ((begin, size, box),) = crops(covered=0.999, area_range=[0.01, 0.02], times=1, dtype=np.int64)
    assert begin.tolist() == [0, 0, 0]
    assert size.tolist() == [HEIGHT, WIDTH, -1]
    assert box.tolist() == [[[0, 0, 1, 1]]]
    assert begin.dtype == np.int64


@pytest.mark.parametrize("dynamic", [True, False])
def test_object_is_the_image_when_there_are_no_boxes(dynamic):
    options = {"use_image_if_no_bounding_boxes": True, "dynamic": dynamic}
    for _, size, _ in crops(np.zeros((1, 0, 4), np.float32), 10, covered=0.3, **options):
        assert 0.3 * HEIGHT * WIDTH <= size[0] * size[1] <= 0.5 * HEIGHT * WIDTH
