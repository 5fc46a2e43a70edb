"""Ranks that are not said, but that only one number can be."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, inference_graph, random

from bnfold.export import export
from bnfold.graph.evaluate import Session
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

KERNEL = random(3, 2, 4, 6, seed=1)

GRAPHS = {
    "conv2d": lambda x: tf.nn.conv2d(x, KERNEL, 2, "SAME"),
    "activation": lambda x: tf.nn.conv2d(tf.nn.relu(tf.identity(x)), KERNEL, 2, "SAME"),
    "pad": lambda x: tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]]), KERNEL, 1, "VALID"),
    "conv2d_transpose": lambda x: tf.nn.conv2d_transpose(x, random(3, 2, 5, 4), [2, 16, 12, 5], 2, "SAME"),
    "max_pool": lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"),
    "argmax": lambda x: tf.nn.max_pool_with_argmax(x, 3, 2, "SAME"),
    "blocks": lambda x: tf.nn.space_to_depth(x, 2),
    "resize": lambda x: tf.compat.v1.image.resize_bilinear(x, [5, 9]),
    "patches": lambda x: tf.image.extract_patches(x, [1, 3, 2, 1], [1, 2, 3, 1], [1, 1, 1, 1], "SAME"),
    "reverse": lambda x: tf.nn.erosion2d(x, random(2, 3, 4), [1] * 4, "SAME", "NHWC", [1] * 4),
    "lrn": lambda x: tf.nn.lrn(x, 2),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_rank_is_that_of_the_op_when_it_is_not_said(name):
    model = assert_lowers(GRAPHS[name], {"x": random(2, 8, 6, 4)}, shapes={"x": None})
    (x,) = model.graph.input
    assert len(x.type.tensor_type.shape.dim) == 4


def test_rank_is_one_less_when_the_op_gets_an_expanded_image():
    assert_lowers(lambda x: tf.nn.max_pool1d(x, 3, 2, "SAME"), {"x": random(2, 9, 4)}, shapes={"x": None})


def test_rank_is_that_of_the_op_when_it_is_a_kernels():
    feeds = {"x": random(2, 5, 6, 7, 3), "kernel": random(2, 3, 2, 3, 4, seed=1)}
    assert_lowers(lambda x, k: tf.nn.conv3d(x, k, [1, 1, 2, 1, 1], "SAME"), feeds, shapes={"x": None, "kernel": None})


OPERANDS = {
    "size of a transposed convolution": (
        lambda x, size: tf.nn.conv2d_transpose(x, random(3, 2, 5, 4), size, 2, "SAME"),
        np.array([2, 16, 12, 5], np.int32),
    ),
    "size of a resize": (tf.compat.v1.image.resize_bilinear, np.array([5, 9], np.int32)),
    "bias": (lambda x, bias: tf.nn.bias_add(x, bias, "NHWC"), random(4)),
    "paddings": (lambda x, paddings: tf.pad(x, paddings), np.array([[0, 1], [2, 0], [1, 1], [0, 0]], np.int32)),
    "mean": (
        lambda x, mean: tf.raw_ops.FusedBatchNormV3(
            x=x, scale=random(4), offset=random(4), mean=mean, variance=np.ones(4, np.float32), is_training=False
        )[0],
        random(4),
    ),
    "how many": (lambda x, k: tf.nn.top_k(x, k).values, np.array(3, np.int32)),
    "largest value": (lambda x, top: tf.quantization.fake_quant_with_min_max_vars(x, -1.0, top), np.float32(2)),
    "largest values": (
        lambda x, top: tf.quantization.fake_quant_with_min_max_vars_per_channel(x, -np.ones(4, np.float32), top),
        np.array([1, 2, 3, 4], np.float32),
    ),
    "threshold": (
        lambda x, least: tf.image.non_max_suppression(x[0, :, 0], x[0, :, 1, 0], 5, least, 0.1),
        np.float32(0.4),
    ),
}


@pytest.mark.parametrize("name", OPERANDS)
def test_rank_of_an_operand_is_that_of_the_op_when_it_is_not_said(name):
    """The checker refuses a file with an input of unknown rank."""
    build, operand = OPERANDS[name]
    feeds = {"x": random(2, 8, 6, 4), "operand": operand}
    model = assert_lowers(build, feeds, shapes={"operand": None})
    assert len(model.graph.input[1].type.tensor_type.shape.dim) == np.ndim(operand)


def test_rank_is_that_of_the_op_when_the_shape_is_computed():
    def build(x, shape):
        return tf.nn.conv2d(tf.nn.relu(tf.reshape(x, shape)), KERNEL, 1, "SAME")

    feeds = {"x": random(2, 8, 6, 4), "shape": np.array([2, 6, 8, 4], np.int32)}
    assert_lowers(build, feeds, shapes={"shape": None})


LAST_AXES = {
    "hsv": tf.image.rgb_to_hsv,
    "rgb": lambda x: tf.image.hsv_to_rgb(x),
    "hue": lambda x: tf.image.adjust_hue(x, 0.3),
    "saturation": lambda x: tf.image.adjust_saturation(x, 1.7),
    "contrast": lambda x: tf.raw_ops.AdjustContrastv2(images=x, contrast_factor=0.4),
}


@pytest.mark.parametrize("name", LAST_AXES)
def test_last_axes_need_no_rank(name):
    """Not for the checker, which refuses inputs of unknown rank."""
    images = random(2, 5, 6, 3, low=0, high=1)
    inference = inference_graph(LAST_AXES[name], {"x": images}, shapes={"x": None})
    model = export(inference)
    with Session(inference.graph) as session:
        for x in (images, images[0]):
            [wanted] = session.run([inference.outputs[0].tensor], {"x:0": x})
            [got] = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": x})
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
