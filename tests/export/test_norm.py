"""Normalisations against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, op_types, random

from bnfold.export import export
from bnfold.graph import Graph, Node, constant
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.evaluate import run, with_types
from bnfold.graph.stages import Endpoint, InferenceGraph
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

GAMMA, BETA, MEAN = (random(4, seed=seed) for seed in (1, 2, 3))
VARIANCE = np.array([1e-7, 0.3, 2.0, 11.0], np.float32)


def batch_norm(x, *, data_format="NHWC", training=False, statistics=(MEAN, VARIANCE)):
    mean, variance = ([], []) if training else statistics
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=GAMMA, offset=BETA, mean=mean, variance=variance, epsilon=1e-3, data_format=data_format,
        is_training=training,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_batch_norm_is_the_same_when_channels_are_last(dtype):
    model = assert_lowers(lambda x: batch_norm(x).y, {"x": random(2, 3, 5, 4, dtype=dtype)}, rtol=1e-2, atol=1e-2)
    assert "Transpose" not in op_types(model)


def test_batch_norm_is_exact_when_channels_are_last():
    """scale·x + shift loses what cancels between mean and shift: 1e-5 of the largest value here."""
    assert_lowers(lambda x: batch_norm(x).y, {"x": random(2, 3, 5, 4)}, rtol=1e-5, atol=1e-6)


def test_batch_norm_is_one_node_when_channels_are_first():
    kernel = random(3, 3, 4, 4, seed=9)

    def build(x):
        return tf.nn.conv2d(batch_norm(tf.nn.conv2d(x, kernel, 1, "SAME")).y, kernel, 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 3, 5, 4)}, rtol=1e-5, atol=2e-6)
    assert op_types(model) == ["Transpose", "Conv", "BatchNormalization", "Conv", "Transpose"]


def test_batch_norm_is_the_same_when_its_statistics_are_computed():
    def build(x, mean, variance):
        return batch_norm(x, statistics=(mean, variance)).y

    assert_lowers(build, {"x": random(2, 3, 5, 4), "mean": MEAN, "variance": VARIANCE}, rtol=1e-5, atol=1e-6)


def test_moments_are_the_inputs_own_when_in_training_mode():
    def build(x):
        normed = batch_norm(x, training=True)
        return normed.y, normed.batch_mean, normed.batch_variance

    assert_lowers(build, {"x": random(2, 3, 5, 4)}, shapes={"x": (None, None, None, 4)}, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("radius", [1, 5])
def test_lrn_is_the_same(radius):
    def build(x):
        return tf.nn.lrn(x, depth_radius=radius, bias=1.3, alpha=0.2, beta=0.7)

    assert_lowers(build, {"x": random(2, 3, 5, 7)}, rtol=1e-5)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_batch_norm_of_the_first_graphs_is_the_same(scaled, known):
    """TensorFlow imports the op only into graphs of its time."""
    attrs = {"T": FLOAT32, "variance_epsilon": 1e-3, "scale_after_normalization": scaled}
    x = random(2, 3, 5, 4)
    inputs = {"mean": MEAN, "variance": VARIANCE, "beta": BETA, "gamma": GAMMA}
    graph = Graph([Node("x", "Placeholder", (), {"dtype": FLOAT32, "shape": x.shape})], producer=8)
    for name, value in inputs.items():
        made = constant(name if known else f"{name}/value", value)
        graph.add(made)
        if not known:  # a sum of constants, to the exporter something computed
            graph.add(Node(name, "Add", (made.output, made.output), {"T": FLOAT32}))
    graph.add(Node("y", "BatchNormWithGlobalNormalization", ("x:0", *(f"{n}:0" for n in inputs)), attrs))
    graph = with_types(graph)
    ends = [Endpoint(name, name, FLOAT32, x.shape) for name in ("x:0", "y:0")]
    model = export(InferenceGraph(graph, (ends[0],), (ends[1],)))
    (wanted,) = run(graph, ["y:0"], {"x:0": x})
    (got,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": x})
    assert_same(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("alpha", "beta", "bias"), [(0.3, -0.5, 1.5), (-0.02, 0.7, 2.0), (0.0, 0.5, 3.0)])
def test_lrn_is_the_same_when_onnxruntime_takes_no_such_numbers(alpha, beta, bias, dtype):
    def build(x):
        return tf.nn.lrn(x, 2, bias, alpha, beta)

    tolerance = {} if dtype == np.float32 else {"rtol": 4e-3, "atol": 4e-3}  # TensorFlow sums in float16
    assert_lowers(build, {"x": random(2, 3, 4, 7, dtype=dtype)}, **tolerance)
    assert_lowers(build, {"x": random(2, 3, 4, 7, dtype=dtype)}, dynamic=True, **tolerance)


@pytest.mark.parametrize("factor", [1.0, 0.3])
def test_moments_are_mixed_with_the_running_ones_when_told(factor):
    gamma, beta = random(3, seed=1), random(3, seed=2)
    mean, variance = random(3, seed=3), random(3, seed=4, low=0.2)

    def build(x):
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=0.01, exponential_avg_factor=factor
        )[:3]

    assert_lowers(build, {"x": random(2, 5, 6, 3)}, rtol=1e-5, atol=2e-6)


def test_response_normalisation_shares_the_transposes_around_it():
    def network(x):
        y = tf.nn.lrn(tf.nn.avg_pool2d(x, 3, 1, "SAME") * 2.0, 2)
        return tf.nn.relu(tf.nn.lrn(y, 1))

    model = assert_lowers(network, {"x": random(2, 5, 6, 3)})
    assert op_types(model).count("Transpose") == 2
