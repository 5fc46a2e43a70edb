"""The graph in float64: close to TensorFlow's float32 result, and far more exact than it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnfold.graph.evaluate import run
from bnfold.samples.float64 import widen
from bnfold.samples.session import Truth

RNG = np.random.default_rng(5)
X = RNG.normal(size=(2, 6, 7, 4)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 4, 5)).astype(np.float32)
VECTORS = [RNG.normal(size=4).astype(np.float32) for _ in range(3)] + [RNG.uniform(0.1, 2, 4).astype(np.float32)]

Build = Callable[[Any, Any], Any]

GRAPHS: dict[str, Build] = {
    "convolution": lambda tf, x: tf.nn.conv2d(x, KERNEL, 1, "SAME"),
    "depthwise": lambda tf, x: tf.nn.depthwise_conv2d(x, KERNEL, [1, 1, 1, 1], "VALID"),
    "batch norm": lambda tf, x: _fused(tf, x, "NHWC"),
    "batch norm, channels first": lambda tf, x: _fused(tf, tf.transpose(x, [0, 3, 1, 2]), "NCHW"),
    "its statistics": lambda tf, x: tf.concat([_norm(tf, x, "NHWC")[1], _norm(tf, x, "NHWC")[2]], 0),
    "pools": lambda tf, x: tf.nn.avg_pool2d(tf.nn.max_pool2d(x, 2, 1, "SAME"), 2, 2, "VALID"),
    "activations": lambda tf, x: tf.nn.softmax(tf.nn.relu6(x) + tf.nn.elu(x) + tf.sigmoid(x) * tf.tanh(x)),
    "cast from integers": lambda tf, x: tf.cast(tf.shape(x), tf.float32) / 3.0,
    "cast to integers and back": lambda tf, x: tf.cast(tf.cast(100 * x, tf.int32), tf.float32) / 7.0,
    "branches": lambda tf, x: tf.cond(tf.shape(x)[0] > 1, lambda: tf.sin(x) / 3.0, lambda: x),
    "loop": lambda tf, x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y)), (0, x))[1],
    "resize": lambda tf, x: tf.compat.v1.image.resize_bilinear(x, (11, 13)) * 1.1,
    "local response": lambda tf, x: tf.nn.local_response_normalization(x, 2) * 1.1,
    "layer norm": lambda tf, x: (
        tf.raw_ops.FusedBatchNormV3(x=x, scale=VECTORS[0], offset=VECTORS[1], mean=[], variance=[], is_training=True).y
    ),
    "half": lambda tf, x: tf.cast(tf.nn.relu(tf.cast(x, tf.float16)) * np.float16(0.3), tf.float32),
}


def _norm(tf: Any, x: Any, layout: str) -> Any:
    gamma, beta, mean, variance = VECTORS
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=mean, variance=variance, is_training=False, data_format=layout
    )


def _fused(tf: Any, x: Any, layout: str) -> Any:
    return _norm(tf, x, layout).y


IN_FLOAT32 = {"resize": "ResizeBilinear", "local response": "LRN", "layer norm": "FusedBatchNormV3"}


@pytest.mark.parametrize("name", GRAPHS)
def test_widened_graph_is_near_the_float32_one(nets: Any, name: str) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, *X.shape[1:]), name="x")
        tf.identity(GRAPHS[name](tf, x), name="y")
    inference = nets.inference_graph(built, ["x:0"], ["y:0"])
    (expected,) = run(inference.graph, ["y:0"], {"x:0": X})
    truth = Truth(inference)
    (found,) = truth.run({"x:0": X})
    truth.close()
    assert found.dtype == np.float64
    step = 2.0**-10 if name == "half" else 1e-5  # float16 rounds at 2⁻¹¹, float32 after some tens of products
    assert np.abs(found - expected).max() <= step * np.abs(expected).max()
    assert truth.in_float32 == ((IN_FLOAT32[name],) if name in IN_FLOAT32 else ())


def test_widened_batch_norm_is_the_formula_to_float64_accuracy(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, X.shape, name="x")
        tf.identity(_fused(tf, x, "NHWC"), name="y")
    truth = Truth(nets.inference_graph(built, ["x:0"], ["y:0"]))
    (found,) = truth.run({"x:0": X})
    gamma, beta, mean, variance = (vector.astype(np.float64) for vector in VECTORS)
    epsilon = np.float64(np.float32(1e-4))  # the attribute is stored as float32
    expected = (X - mean) / np.sqrt(variance + epsilon) * gamma + beta
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


def test_names_stay_when_the_graph_is_widened(nets: Any) -> None:
    inference = nets.two_norms()
    wide = widen(inference.graph).graph
    assert {node.name for node in inference.graph} <= {node.name for node in wide}


def test_truth_moves_by_its_condition_when_the_inputs_are_shaken(nets: Any) -> None:
    """``(x − 1)·1000`` at x = 1 ± 1e-3: one rounding of x is a thousand of the result."""

    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        steps = tf.compat.v1.placeholder(tf.int32, [None, 1], name="steps")
        tf.multiply((x - 1.0) * 1000.0, tf.cast(steps, tf.float32), name="y")
    truth = Truth(nets.inference_graph(built, ["x:0", "steps:0"], ["y:0"]))
    feeds = {"x:0": np.float32([[1.001, 0.999, 1.001, 1.0005]] * 50), "steps:0": np.ones((50, 1), np.int32)}
    (plain,), (shaken,), (again,) = truth.run(feeds), truth.shaken(feeds), truth.shaken(feeds)
    moved = np.abs(shaken - plain)
    np.testing.assert_array_equal(shaken, again)
    assert moved.max() == pytest.approx(1000 * 2.0**-24, rel=0.01)
    assert moved.min() > 0
