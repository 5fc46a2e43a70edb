"""Glimpses of images, inside, over the border and beyond."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, inference_graph, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

PLACES = np.array([[0.3, -0.4], [0.9, 1.0], [0.1, 0.2], [-3.0, 0.0]], np.float32)


def glimpse(op, centred, normalised, noise="zero", size=(3, 4)):
    def build(x, places, size=size):
        return op(
            input=x,
            size=size,
            offsets=places,
            centered=centred,
            normalized=normalised,
            noise=noise,
            uniform_noise=False,
        )

    return build


@pytest.mark.parametrize("op", [raw.ExtractGlimpse, raw.ExtractGlimpseV2])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_glimpse_is_the_same(op, centred, normalised):
    feeds = {"x": random(4, 7, 9, 3), "places": PLACES if normalised else PLACES * 5}
    assert_lowers(glimpse(op, centred, normalised), feeds, opsets=(13, 18))
    sizes = [feeds | {"size": np.array(size, np.int32)} for size in ((3, 4), (9, 2))]
    assert_lowers(glimpse(op, centred, normalised), *sizes, dynamic=True)


@pytest.mark.parametrize("noise", ["uniform", "gaussian"])
def test_glimpse_has_noise_of_the_images_range_beyond_the_border(noise):
    x = random(2, 7, 9, 3, low=5, high=8)
    feeds = {"x": x, "places": np.array([[2.0, 3.0], [-2.0, 0.0]], np.float32)}
    build = glimpse(raw.ExtractGlimpseV2, False, False, noise)
    model = export(inference_graph(build, feeds))
    (got,) = onnxruntime.InferenceSession(model.SerializeToString()).run(
        None, {"x:0": feeds["x"], "places:0": feeds["places"]}
    )
    np.testing.assert_array_equal(got[0], x[0, 2:5, 3:7])
    np.testing.assert_array_equal(got[1, 2:], x[1, :1, :4])
    assert got[1, :2].min() >= x[1].min()
    assert got[1, :2].max() <= x[1].max()
    assert got[1, :2].std() > 0.2
