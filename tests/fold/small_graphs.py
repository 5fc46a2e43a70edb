"""Small frozen graphs with batch norms, and the check that folding leaves what they compute alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bnfold.fold import fold_batch_norms
from bnfold.graph import Graph, tensor_name
from bnfold.graph.evaluate import run, with_types
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import BatchNorm, Endpoint, Folding, InferenceGraph
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
LINEAR = (
    *("Conv2D", "DepthwiseConv2dNative", "Conv3D", "Conv2DBackpropInput", "Conv3DBackpropInputV2"),
    *("MatMul", "BatchMatMulV2", "Einsum"),
)
NOT_RUN = ("Const", "Placeholder", "Identity", "Reshape", "Squeeze", "ExpandDims")


@dataclass
class Net:
    """What a network function builds with: constants that are never trivial, and batch norms that are noted."""

    rng: np.random.Generator
    dtype: Any = tf.float32
    norms: list[BatchNorm] = field(default_factory=list)
    other: Any = None
    shared: Any = None
    name: Any = None

    def array(self, *shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray[Any, Any]:
        return self.rng.uniform(low, high, shape).astype(self.dtype.as_numpy_dtype)

    def constant(self, *shape: int, **limits: float) -> Any:
        return tf.constant(self.array(*shape, **limits))

    def vectors(self, channels: int, positive: bool = False) -> tuple[np.ndarray[Any, Any], ...]:
        """gamma (every second one below 0 unless ``positive``), beta, mean, variance: none of them 0 or 1."""
        gamma = self.rng.uniform(0.4, 1.9, channels)
        if not positive:
            gamma[::2] *= -1
        beta, mean = self.rng.uniform(0.3, 1.5, (2, channels)) * self.rng.choice([-1, 1], (2, channels))
        variance = self.rng.uniform(0.05, 3.0, channels)
        return gamma, beta, mean, variance

    def fused(self, x: Any, name: str = "bn", layout: str = "NHWC", positive: bool = False) -> Any:
        """FusedBatchNormV3 at inference."""
        axis = layout.index("C")
        vectors = self.vectors(x.shape[axis], positive)
        narrow = [v.astype(np.float32) for v in vectors]
        y = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=narrow[0],
            offset=narrow[1],
            mean=narrow[2],
            variance=narrow[3],
            epsilon=0.002,
            data_format=layout,
            is_training=False,
            name=name,
        ).y
        self.note(name, x, y, (y.op.name,), axis, vectors)
        return y

    def unfused(
        self,
        x: Any,
        name: str = "bn",
        axis: int = -1,
        positive: bool = False,
        vectors: Any = None,
        form: str = "mul_add",
    ) -> Any:
        """The primitives that are left of an unfused batch norm once its statistics are constant."""
        axis %= x.shape.rank
        gamma, beta, mean, variance = vectors or self.vectors(x.shape[axis], positive)
        deviation = np.sqrt(variance + 0.002)
        shape = [-1 if a == axis else 1 for a in range(x.shape.rank)]
        if axis == x.shape.rank - 1:
            shape = [-1]

        def c(values: Any) -> Any:
            return tf.constant(np.reshape(values, shape).astype(x.dtype.as_numpy_dtype))

        first = len(tf.compat.v1.get_default_graph().get_operations())
        if form == "mul_add":
            y = tf.add(x * c(gamma / deviation), c(beta - mean * gamma / deviation), name=name)
        elif form == "textbook":
            y = tf.add((x - c(mean)) / c(deviation) * c(gamma), c(beta), name=name)
        elif form == "constant_first":
            y = tf.subtract(c(beta - mean * gamma / deviation), c(-gamma / deviation) * x, name=name)
        else:
            raise ValueError(form)
        ops = tf.compat.v1.get_default_graph().get_operations()[first:]
        nodes = tuple(op.name for op in ops if op.type != "Const")
        self.note(name, x, y, nodes, axis, (gamma, beta, mean, variance))
        return y

    def note(self, name: str, x: Any, y: Any, nodes: tuple[str, ...], axis: int, vectors: Any) -> None:
        gamma, beta, mean, variance = vectors
        form = "unfused" if len(nodes) > 1 else "FusedBatchNormV3"
        self.norms.append(
            BatchNorm(name, form, "inference", x.name, y.name, nodes, axis, gamma, beta, mean, variance, 0.002)
        )

    def conv(
        self, x: Any, outputs: int, size: int = 3, padding: str = "SAME", name: str = "conv", **options: Any
    ) -> Any:
        kernel = self.constant(size, size, x.shape[-1], outputs)
        return tf.nn.conv2d(x, kernel, options.pop("strides", 1), padding, name=name, **options)

    def dense(self, x: Any, outputs: int, name: str = "dense") -> Any:
        return tf.matmul(x, self.constant(x.shape[-1], outputs), name=name)

    def bias(self, x: Any, name: str = "bias", layout: str = "NHWC") -> Any:
        return tf.nn.bias_add(
            x,
            self.constant(x.shape[layout.index("C")] if x.shape.rank == 4 else x.shape[-1]),
            data_format=layout if x.shape.rank == 4 else None,
            name=name,
        )


Shape = tuple[int | None, ...]


def build(
    network: Callable[..., Any], *shapes: Shape, seed: int = 0, dtype: Any = tf.float32, outputs: Sequence[str] = ()
) -> InferenceGraph:
    """The inference graph of ``network(net, *inputs)``; its outputs are what it returns and the tensors ``outputs``."""
    graph = tf.Graph()
    net = Net(np.random.default_rng(seed), dtype)
    with graph.as_default():
        inputs = [tf.compat.v1.placeholder(dtype, shape, name=f"x{i}") for i, shape in enumerate(shapes)]
        results = network(net, *inputs)
        results = results if isinstance(results, list | tuple) else [results]
        results = [result if result.op.type != "Placeholder" else tf.identity(result) for result in results]
    typed = with_types(from_graph_def(graph.as_graph_def()))
    names = list(dict.fromkeys([result.name for result in results] + [tensor_name(name) for name in outputs]))
    return InferenceGraph(
        typed.pruned([*names, *(i.name for i in inputs)]),
        tuple(_endpoint(typed, i.name) for i in inputs),
        tuple(_endpoint(typed, name) for name in names),
        tuple(net.norms),
    )


def _endpoint(graph: Graph, tensor: str) -> Endpoint:
    type_ = graph.types[tensor]
    return Endpoint(tensor, tensor, type_.dtype, type_.shape)


EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


def feeds_for(inference: InferenceGraph, seed: int = 1, batch: int = 2) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    return {
        endpoint.tensor: rng.normal(0.3, 1.0, [size or batch for size in endpoint.shape or ()]).astype(
            endpoint.dtype.numpy
        )
        for endpoint in inference.inputs
    }


def assert_same(
    inference: InferenceGraph, folding: Folding, *, units: float = 64, batch: int = 2, least: float = 0.0
) -> None:
    """TensorFlow gives the same for both graphs, within ``units`` last places of the largest value of an output.

    ``least`` is the size of the values on the way, where an output may cancel to 0.

    A fold changes the order in which the same products are rounded: a sum of n of them, all within the size of the
    result, moves by about sqrt(n) last places; n is below 1000 here.
    """
    folded = folding.inference
    assert [e.tensor for e in folded.outputs] == [e.tensor for e in inference.outputs]
    names = [e.tensor for e in inference.outputs]
    feeds = feeds_for(inference, batch=batch)
    for name, before, after in zip(
        names, run(inference.graph, names, feeds), run(folded.graph, names, feeds), strict=True
    ):
        dtype = inference.graph.types[name].dtype
        assert before.dtype == after.dtype
        assert before.shape == after.shape
        before, after = before.astype(np.float64), after.astype(np.float64)
        size = max(np.abs(before).max(), least)
        assert size > 0
        np.testing.assert_allclose(after, before, rtol=0, atol=units * EPSILON[dtype.name] * size)
    retyped = with_types(folded.graph)
    for tensor, type_ in retyped.types.items():
        assert folded.graph.types[tensor] == type_, tensor


def fold(inference: InferenceGraph, *, keep: str | None = None, units: float = 64, least: float = 0.0) -> Folding:
    """Fold, and check that nothing but the work changed: the input, the numbers, the names, the number of ops."""
    before = {node.name: node for node in inference.graph}
    values = {name: node.attrs["value"].copy() for name, node in before.items() if node.op == "Const"}
    folding = fold_batch_norms(inference, keep=keep)
    assert {node.name: node for node in inference.graph} == before
    for name, value in values.items():
        np.testing.assert_array_equal(before[name].attrs["value"], value)
    assert_same(inference, folding, units=units, least=least)
    assert runtime_ops(folding.inference.graph) <= runtime_ops(inference.graph)
    assert [fate.name for fate in folding.fates] == [norm.name for norm in inference.batch_norms]
    return folding


def runtime_ops(graph: Graph) -> int:
    """Nodes that a runtime executes: no constants, inputs or views, and no bias that is part of its linear op."""
    return sum(1 for node in graph if node.op not in NOT_RUN and not _is_bias(graph, node))


def _is_bias(graph: Graph, node: Any) -> bool:
    if node.op not in ("BiasAdd", "Add", "AddV2"):
        return False
    linear = graph.find_producer(node.inputs[0])
    fits = linear is not None and linear.op in LINEAR[:6] and graph.value(node.inputs[1]) is not None
    return fits and len(graph.readers(node.inputs[0])) == 1


def ops(folding: Folding | InferenceGraph) -> list[str]:
    """The op types of the graph in order, without constants and inputs."""
    graph = folding.inference.graph if isinstance(folding, Folding) else folding.graph
    return [node.op for node in graph if node.op not in ("Const", "Placeholder")]


def names_of(folding: Folding) -> set[str]:
    return {node.name for node in folding.inference.graph}
