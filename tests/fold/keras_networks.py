"""Keras networks with random statistics, frozen, and the batch norms that their layers became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from small_graphs import tf

from bnfold.graph import Graph, Node, node_name, tensor_name
from bnfold.graph.evaluate import with_types
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import BatchNorm, Endpoint, InferenceGraph


def randomise(model: Any, seed: int, positive: bool = False) -> None:
    """Give every batch norm statistics that are not trivial; gamma of both signs unless ``positive``."""
    rng = np.random.default_rng(seed)
    for layer in layers_of(model):
        size = layer.moving_mean.shape
        gamma = rng.uniform(0.6, 1.4, size) * (1 if positive else rng.choice([-1, 1], size))
        new = {"gamma": gamma, "beta": rng.normal(0, 0.3, size), "moving_mean": rng.normal(0, 0.3, size)}
        new["moving_variance"] = rng.uniform(0.5, 1.5, size)
        for key, value in new.items():
            variable = getattr(layer, key, None)
            if variable is not None:
                variable.assign(value)


def layers_of(model: Any) -> list[Any]:
    return [layer for layer in model._flatten_layers() if isinstance(layer, tf.keras.layers.BatchNormalization)]


def frozen(model: Any, calls: int = 1) -> InferenceGraph:
    """The inference graph of a Keras model that calls each batch norm ``calls`` times, as `infer` would hand it on."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = [tf.TensorSpec(i.shape, i.dtype, name=f"x{n}") for n, i in enumerate(model.inputs)]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False), autograph=False)
    concrete = convert_variables_to_constants_v2(function.get_concrete_function(*spec))
    outputs = [tensor.name for tensor in concrete.outputs]
    graph = plain(from_graph_def(concrete.graph.as_graph_def()).pruned(outputs), outputs)
    norms = _records(graph)
    assert len(norms) == calls * len(layers_of(model))
    inputs = tuple(_endpoint(graph, tensor_name(i.name)) for i in concrete.inputs)
    return InferenceGraph(graph, inputs, tuple(_endpoint(graph, name) for name in outputs), norms)


def plain(graph: Graph, outputs: list[str]) -> Graph:
    """``graph`` without Identity, with types, and with what only constants feed computed."""
    from bnfold.graph.evaluate import run

    typed = with_types(graph)
    constant: dict[str, bool] = {}
    for node in typed.topological():
        constant[node.name] = node.op == "Const" or (
            bool(node.inputs) and all(constant[node_name(t)] for t in node.inputs)
        )
    wanted = [n for n in typed if constant[n.name] and n.op != "Const" and typed.readers(n.output)]
    edge = [n for n in wanted if any(not constant[r.name] for r in typed.readers(n.output))]
    for node, value in zip(edge, run(typed, [n.output for n in edge]) if edge else [], strict=True):
        value = np.asarray(value)
        typed.replace(Node(node.name, "Const", attrs={"dtype": typed.types[node.output].dtype, "value": value}))
    return typed.pruned(outputs)


def _endpoint(graph: Graph, tensor: str) -> Endpoint:
    type_ = graph.types[tensor]
    return Endpoint(tensor, tensor, type_.dtype, type_.shape)


def _records(graph: Graph) -> tuple[BatchNorm, ...]:
    """One record for each scope ``…/batchnorm/``, as Keras calls the ops of a batch norm."""
    scopes: dict[str, list[Node]] = {}
    for node in graph.topological():
        scope, inside, _ = node.name.partition("/batchnorm/")
        if inside and node.op != "Const":
            scopes.setdefault(scope, []).append(node)
    none = np.zeros(0)
    return tuple(
        BatchNorm(
            *(scope, "unfused", "inference", nodes[0].inputs[0], nodes[-1].output),
            *(tuple(node.name for node in nodes), None, None, None, none, none, 1e-3),
        )
        for scope, nodes in scopes.items()
    )


def kept_names(fates: Sequence[Any]) -> list[str]:
    return [fate.name for fate in fates if not hasattr(fate, "into")]
