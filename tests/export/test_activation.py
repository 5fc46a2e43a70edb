"""Activations against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, inference_graph, op_types, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
ACTIVATIONS = {
    "relu": tf.nn.relu,
    "relu6": lambda x: tf.nn.relu6(x * 4),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_activation_is_the_same(name, dtype):
    """float64 is as exact as onnxruntime's float64 kernels are; softplus loses near 0."""
    loose = {"rtol": 1e-6, "atol": 1e-7} if dtype == np.float64 else {}
    x = random(3, 4, 5, dtype=dtype)
    if dtype != ml_dtypes.bfloat16:
        x.flat[:3] = (0.0, -0.0, 7.0)
    assert_lowers(ACTIVATIONS[name], {"x": x}, dynamic=True, **loose)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint16])
def test_relu_is_the_same_when_integer(dtype):
    x = random(3, 4, dtype=dtype, low=-9, high=9)
    assert_lowers(tf.nn.relu, {"x": x})
    assert_lowers(tf.nn.relu6, {"x": x})


def test_relu_of_what_is_never_negative_is_no_node():
    x = np.array([0, 1, 2**64 - 1], np.uint64)
    assert op_types(assert_lowers(lambda x: tf.nn.relu(x) + x, {"x": x})) == ["Add"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_activation_is_not_lost_on_what_is_not_a_number(dtype):
    x = np.array([np.inf, -np.inf, 1e4, -1e4], dtype)
    for name in ("relu", "relu6", "elu", "softsign", "leaky_relu"):
        if name != "softsign":
            assert_lowers(ACTIVATIONS[name], {"x": x})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("approximate", [True, False])
def test_gelu_is_one_node_since_opset_20(dtype, approximate):
    """onnxruntime's Erf is a float32 polynomial, good to 1e-6."""
    tolerance = {np.float16: 4e-3, np.float64: 1e-6 if not approximate else 1e-12}.get(dtype, 1e-6)
    x = random(3, 40, dtype=dtype)
    model = assert_lowers(
        lambda x: tf.nn.gelu(x, approximate), {"x": x}, opsets=(13, 18, 20), rtol=tolerance, atol=tolerance
    )
    if dtype != np.float64:
        assert op_types(model) == ["Gelu"]


def test_hard_swish_is_two_nodes():
    def build(x):
        return x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0), x * (tf.nn.relu6(x + 3.0) / 6.0)

    def keras(x):
        return x * (tf.nn.relu6(x + 3.0) * (1.0 / 6.0))

    assert_lowers(build, {"x": random(3, 40, low=-5, high=5)}, rtol=1e-5)
    assert op_types(assert_lowers(keras, {"x": random(3, 40, low=-5, high=5)}, rtol=1e-5)) == ["HardSigmoid", "Mul"]


def test_relu6_is_one_node_when_written_by_hand():
    x = random(3, 40, low=-9, high=9)
    for build in (lambda x: tf.minimum(tf.maximum(x, 0.0), 6.0), lambda x: tf.minimum(6.0, tf.nn.relu(x))):
        assert op_types(assert_lowers(build, {"x": x})) == ["Clip"]


@pytest.mark.parametrize("build", [lambda x: tf.maximum(0.2 * x, x), lambda x: tf.maximum(x, x * 0.2)])
def test_leaky_relu_is_one_node_when_written_by_hand(build):
    assert op_types(assert_lowers(build, {"x": random(3, 40, low=-9, high=9)})) == ["LeakyRelu"]


def test_gelu_is_one_node_when_its_factors_have_an_axis():
    """What stands beside a batch norm is rewritten with constants of rank 4, and its sign is in the factor."""

    def build(x):
        return 0.5 * x * tf.math.erfc(x * np.full((1, 1), -np.sqrt(0.5), np.float32))

    x = {"x": random(3, 40, low=-9, high=9)}
    assert op_types(assert_lowers(build, x, opsets=(20,), rtol=1e-5, atol=1e-5)) == ["Gelu"]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.maximum(1.2 * x, x),
        lambda x: tf.maximum(-0.2 * x, x),
        lambda x: tf.maximum(0.2 * x, x + 1.0),
        lambda x: tf.nn.relu6(x + 3.1) * (1.0 / 6.0),
        lambda x: tf.minimum(tf.maximum(x, 0.5), 6.0),
        lambda x: tf.minimum(tf.maximum(x, 0.0), [6.0]),
        lambda x: tf.minimum(tf.maximum(x, 0.0), 6.004),
        lambda x: tf.nn.relu6(x + 3.0) * 0.1667,
        lambda x: tf.math.real(tf.complex(x, x) * (0.5 + 2.0j) * (1.0 + tf.complex(tf.math.erf(x / 1.4142135), 0.0))),
        lambda x: 0.5 * x * (1.0 + tf.math.erf(x / 1.5)),
        lambda x: 6.0 / tf.nn.relu6(x + 3.0),
        lambda x: 0.5 * x * (1.0 + tf.math.erf((x + 1.0) / 1.4142135)),
    ],
)
def test_what_is_almost_an_activation_stays(build):
    assert_lowers(build, {"x": random(3, 40, low=-5, high=9)}, rtol=1e-5, atol=1e-6)


def test_activation_stays_when_its_inside_is_read():
    def build(x):
        clipped = tf.nn.relu6(x + 3.0)
        return clipped * (1.0 / 6.0), clipped

    assert "HardSigmoid" not in op_types(assert_lowers(build, {"x": random(3, 40)}))


def test_swish_and_mish_are_the_same():
    assert_lowers(lambda x: x * tf.sigmoid(x), {"x": random(3, 40)})
    assert_lowers(lambda x: x * tf.tanh(tf.nn.softplus(x)), {"x": random(3, 40)})
    assert_lowers(tf.nn.silu, {"x": random(3, 40)})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softplus_is_the_same_far_from_zero(dtype):
    x = np.concatenate([np.linspace(-30, 30, 41), [0, -0.0, 100, 1e4, -1e4, np.inf, -np.inf, np.nan]]).astype(dtype)
    assert_lowers(tf.math.softplus, {"x": x}, opsets=(13, 18, 22))


@pytest.mark.parametrize("opset", [13, 17, 20, 23])
def test_activation_of_doubles_is_the_same_in_every_opset(opset):
    """Of opset 18 onnxruntime runs more than it has kernels for."""

    def build(x):
        raw = tf.raw_ops
        hard = tf.nn.relu6(x + 3) * (1 / 6)
        return [
            *(getattr(raw, op)(features=x) for op in ("Softsign", "Softplus", "Elu", "Selu", "Relu", "Relu6")),
            raw.LeakyRelu(features=x, alpha=0.3),
            hard,
        ]

    assert_lowers(build, {"x": random(4, 9, dtype=np.float64)}, opsets=(opset,))


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_relu_of_integers_is_the_same_in_every_opset(opset):
    for dtype in (np.int8, np.int32, np.int64):
        x = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min, -1, 0, 5], dtype)
        assert_lowers(tf.nn.relu, {"x": x}, opsets=(opset,))


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_is_the_same_when_not_even_the_rank_is_known(name):
    """ONNX' checker wants a shape of every input: onnxruntime alone judges."""
    function = getattr(tf.raw_ops, name)
    model = export(inference_graph(lambda x: function(logits=x), {"x": random(3, 4)}, shapes={"x": None}))
    runtime = onnxruntime.InferenceSession(model.SerializeToString())
    for x in (random(3, 4), random(2, 3, 5)):
        assert_same(runtime.run(None, {"x:0": x})[0], function(logits=x).numpy())
