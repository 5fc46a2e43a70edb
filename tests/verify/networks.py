"""Small networks written twice: with TensorFlow, and by hand in ONNX, the batch norms folded by the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bnfold.graph import DType, Graph
from bnfold.graph.evaluate import with_types
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import BatchNorm, Endpoint, InferenceGraph
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
RNG = np.random.default_rng(11)

KERNEL = RNG.normal(0, 0.3, (3, 3, 3, 5)).astype(np.float32)
BIAS = RNG.normal(0, 1, 5).astype(np.float32)
GAMMA = np.array([1.3, -0.7, 0.4, 2.1, -1.6], np.float32)
BETA = np.array([0.2, -1.1, 0.7, 0.05, 3.0], np.float32)
MEAN = np.array([-0.8, 1.7, 0.3, -2.0, 0.6], np.float32)
VARIANCE = np.array([0.5, 2.3, 0.02, 7.0, 1.1], np.float32)
EPSILON = 0.001
KERNEL_2 = RNG.normal(0, 0.3, (3, 3, 5, 4)).astype(np.float32)
MEAN_2 = np.array([0.4, -0.3, 1.2, -0.9], np.float32)
VARIANCE_2 = np.array([1.5, 0.3, 4.0, 0.9], np.float32)


def inference_graph(
    built: Any, inputs: list[str], outputs: list[str], norms: tuple[BatchNorm, ...] = ()
) -> InferenceGraph:
    """What `infer` would return for a TensorFlow graph that has no variables."""
    graph: Graph = with_types(from_graph_def(built.as_graph_def()))

    def endpoint(name: str) -> Endpoint:
        found = graph.types[name]
        return Endpoint(name, name, found.dtype, found.shape)

    return InferenceGraph(graph, tuple(map(endpoint, inputs)), tuple(map(endpoint, outputs)), norms)


def two_norms(shape: tuple[int | None, ...] = (None, 8, 9, 3)) -> InferenceGraph:
    """conv + bias → batch norm → ReLU → conv → batch norm without gamma and beta, on x/127.5 − 1."""
    with tf.Graph().as_default() as built:
        image = tf.compat.v1.placeholder(tf.float32, shape, name="image")
        x = tf.subtract(tf.divide(image, 127.5, name="scaled"), 1.0, name="centred")
        y = tf.nn.conv2d(x, KERNEL, 1, "SAME", name="conv1/Conv2D")
        y = tf.nn.bias_add(y, BIAS, name="conv1/BiasAdd")
        y = _norm(y, GAMMA, BETA, MEAN, VARIANCE, "conv1/BatchNorm")
        y = tf.nn.relu(y, name="conv1/Relu")
        y = tf.nn.conv2d(y, KERNEL_2, 1, "SAME", name="conv2/Conv2D")
        y = _norm(y, np.ones(4, np.float32), np.zeros(4, np.float32), MEAN_2, VARIANCE_2, "conv2/BatchNorm")
        tf.identity(y, name="features")
    return inference_graph(built, ["image:0"], ["features:0"])


def _norm(x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, name: str) -> Any:
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=EPSILON, is_training=False, name=name
    ).y


def folded(kernel: Any, bias: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: float = EPSILON) -> Any:
    """Kernel and bias with the batch norm folded in, in float64."""
    scale = gamma.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    return (kernel * scale).astype(np.float32), (bias * scale + beta - mean * scale).astype(np.float32)


def two_norms_onnx(
    *,
    first: Any = None,
    second: Any = None,
    image: tuple[Any, ...] = ("N", 8, 9, 3),
    names: tuple[str, str] = ("image:0", "features:0"),
    channels_first: bool = False,
    relu: str = "Relu",
) -> onnx.ModelProto:
    """`two_norms` as a folded ONNX model; ``first`` and ``second`` replace the right (kernel, bias)."""
    kernel, bias = first or folded(KERNEL, BIAS, GAMMA, BETA, MEAN, VARIANCE)
    kernel_2, bias_2 = second or folded(KERNEL_2, np.zeros(4), np.ones(4), np.zeros(4), MEAN_2, VARIANCE_2)
    weights = {
        "k1": kernel.transpose(3, 2, 0, 1), "b1": bias, "k2": kernel_2.transpose(3, 2, 0, 1), "b2": bias_2,
        "half": np.float32(127.5), "one": np.float32(1),
    }  # fmt: skip
    source, result = names
    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    first_value = "scaled_in" if not channels_first else source
    nodes = [] if channels_first else [helper.make_node("Transpose", [source], [first_value], perm=[0, 3, 1, 2])]
    nodes += [
        helper.make_node("Div", [first_value, "half"], ["scaled:0"]),
        helper.make_node("Sub", ["scaled:0", "one"], ["centred:0"]),
        helper.make_node("Conv", ["centred:0", "k1", "b1"], ["conv1/BatchNorm:0"], **same),
        helper.make_node(relu, ["conv1/BatchNorm:0"], ["conv1/Relu:0"]),
        helper.make_node(
            "Conv", ["conv1/Relu:0", "k2", "b2"], [result if channels_first else "conv2/BatchNorm:0"], **same
        ),
    ]
    if not channels_first:
        nodes.append(helper.make_node("Transpose", ["conv2/BatchNorm:0"], [result], perm=[0, 2, 3, 1]))
    out = (image[0], *image[1:3], 4) if not channels_first else (image[0], 4, *image[2:])
    return model(nodes, {source: image}, {result: out}, weights)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, tuple[Any, ...]],
    outputs: dict[str, tuple[Any, ...]],
    weights: dict[str, Any],
    dtype: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


FLOAT = DType.named("float32")
