"""Training graphs as TensorFlow 1 saves them, built in the tests; each variable's numbers follow from its name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from bnfold.graph import Array, Graph, constant
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.stages import SourceModel, Variable
from bnfold.graph.tensorflow import tensorflow

Net = Callable[[], object]

tf = tensorflow()
v1 = tf.compat.v1
v1.logging.set_verbosity(v1.logging.ERROR)


def numbers(name: str, shape: Sequence[int]) -> Array:
    """Numbers of either sign that depend on ``name`` alone, so that two graphs share their weights."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.5, shape).astype(np.float32)


class Nets(list[Any]):
    """A table of nets, each with the inputs and outputs that a person would name."""

    def enter(self, inputs: str, outputs: str) -> Callable[[Net], Net]:
        def decorate(net: Net) -> Net:
            self.append(pytest.param(net, inputs.split(), outputs.split(), id=net.__name__))
            return net

        return decorate


def variable(
    name: str, shape: Sequence[int], *, trainable: bool = True, value: Any = None, resource: bool = False
) -> Any:
    value = numbers(name, shape) if value is None else value
    with v1.variable_scope(v1.get_variable_scope(), reuse=v1.AUTO_REUSE):
        return v1.get_variable(
            name, shape, initializer=v1.constant_initializer(value), trainable=trainable, use_resource=resource
        )


def image(shape: Sequence[int | None] = (None, 8, 8, 3), name: str = "x", dtype: Any = None) -> Any:
    return v1.placeholder(dtype or tf.float32, shape, name)


def features(name: str = "x", size: int = 5) -> Any:
    return image([None, size], name)


def floats(name: str, *shape: int | None) -> Any:
    return v1.placeholder(tf.float32, shape, name)


def dense(x: Any, units: int, name: str) -> Any:
    kernel, bias = variable(f"{name}/kernel", [x.shape[-1], units]), variable(f"{name}/bias", [units])
    with v1.name_scope(name):
        return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def conv(x: Any, filters: int, name: str) -> Any:
    kernel, bias = variable(f"{name}/kernel", [3, 3, x.shape[-1], filters]), variable(f"{name}/bias", [filters])
    with v1.name_scope(name):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)


def train(loss: Any, scope: str = "") -> Any:
    """An Adam step over the variables whose names begin with ``scope``."""
    variables = [v for v in v1.trainable_variables() if v.name.startswith(scope)]
    return v1.train.AdamOptimizer(0.1).minimize(loss, var_list=variables)


def cross_entropy(logits: Any, labels: Any) -> Any:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=labels))


def build(net: Net) -> Any:
    """The ``tf.Graph`` that ``net`` makes, with a Saver where there are variables."""
    graph = tf.Graph()
    functional = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with graph.as_default():
            net()
            if v1.global_variables():
                v1.train.Saver()
    finally:
        if functional:
            v1.enable_control_flow_v2()
    return graph


def saved(net: Net) -> SourceModel:
    """What ``load`` would return of the graph that ``net`` makes, saved before the first step."""
    graph = build(net)
    collections = {}
    for key in graph.get_all_collection_keys():
        names = [getattr(item, "name", None) for item in graph.get_collection(key)]
        collections[key] = tuple(name for name in names if isinstance(name, str))
    values = {}
    with graph.as_default(), v1.Session(graph=graph) as session:
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        stored = session.run({v.op.name: v for v in v1.global_variables()})
        values = {name: np.asarray(value) for name, value in stored.items()}
    decoded = from_graph_def(graph.as_graph_def())
    variables = {
        node.name: _variable(node.name, values.get(node.name), node.attrs)
        for node in decoded
        if node.op in ("VariableV2", "VarHandleOp")
    }
    return SourceModel(None, "checkpoint", "test", decoded, variables, collections=collections)


def _variable(name: str, value: Array | None, attrs: Any) -> Variable:
    def read() -> Array:
        assert value is not None
        return value

    return Variable(name, None if value is None else name, attrs["dtype"], attrs["shape"], read)


def frozen(source: SourceModel, graph: Graph | None = None) -> Graph:
    """``graph`` (the source's by default) with its variables as constants."""
    result = (graph or source.graph).copy()
    for name, found in source.variables.items():
        if name not in result or found.key is None:
            continue
        if result[name].op == "VariableV2":
            result.replace(constant(name, found.read()))
            continue
        for reader in result.readers(f"{name}:0"):
            if reader.op == "ReadVariableOp":
                result.replace(constant(reader.name, found.read()))
    return result


def truth(net: Net, fetches: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
    """What TensorFlow computes in the graph that ``net`` makes."""
    source = saved(net)
    return run(frozen(source).pruned(fetches, controls=True), fetches, feeds)
