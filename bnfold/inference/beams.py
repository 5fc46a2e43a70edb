"""`GatherTree`, TensorFlow 1's last step of a beam search, in ops that TensorFlow has today.

It was an op of contrib, and then of an add-on. What it does is a loop over time, which TensorFlow itself writes down.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from bnfold.graph import Function, FunctionRef, Graph, Node, node_name
from bnfold.graph.dtypes import INT32
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import tensorflow

GATHER_TREE = frozenset({"GatherTree", "Addons>GatherTree"})

_ARGUMENTS = ("step_ids", "parent_ids", "max_sequence_lengths", "end_token")


def follow_beams(graph: Graph) -> Graph:
    """``graph`` with a loop in the place of each GatherTree."""
    old = [node for node in graph if node.op in GATHER_TREE]
    if not old:
        return graph
    graph = graph.copy()
    for node in old:
        _splice(graph, node)
    return graph


def _splice(graph: Graph, node: Node) -> None:
    part = _loop()
    functions = {name: graph.fresh_function_name(f"{node.name}/{name.rpartition('_')[0]}") for name in part.functions}
    for name, function in part.functions.items():
        graph.functions[functions[name]] = Function(functions[name], function.graph, function.inputs, function.outputs)
    tensors = {f"{name}:0": tensor for name, tensor in zip(_ARGUMENTS, node.inputs, strict=True)}
    names = {inner.name: graph.fresh_name(f"{node.name}/{inner.name}") for inner in part}
    for inner in part.topological():
        if inner.op == "Placeholder":
            continue
        inputs = tuple(tensors.get(t) or names[node_name(t)] + t.removeprefix(node_name(t)) for t in inner.inputs)
        attrs = {key: _renamed(value, functions) for key, value in inner.attrs.items()}
        graph.add(Node(names[inner.name], inner.op, inputs, attrs))
    graph.replace(replace(node, op="Identity", inputs=(f"{names['tokens']}:0",), attrs={"T": INT32}))


def _renamed(value: Any, functions: dict[str, str]) -> Any:
    return FunctionRef(functions[value.name], value.attrs) if isinstance(value, FunctionRef) else value


@cache
def _loop() -> Graph:
    """The tokens of each beam, from (time, batch, beam) ids and parents, in TensorFlow's ops."""
    tf = tensorflow()
    with tf.Graph().as_default() as graph:
        shapes = ((None, None, None), (None, None, None), (None,), ())
        tokens = _tokens(*map(tf.compat.v1.placeholder, [tf.int32] * 4, shapes, _ARGUMENTS))
        tf.identity(tokens, name="tokens")
    return from_graph_def(graph.as_graph_def())


def _tokens(ids: Any, parents: Any, lengths: Any, end: Any) -> Any:
    """From the last step of its batch on backwards, each beam is at the parent of where it was.

    What comes after the first end token is end tokens, as is what comes after the end of the batch.
    """
    tf = tensorflow()
    shape = tf.shape(ids)
    start = tf.broadcast_to(tf.range(shape[2]), shape[1:])

    def step(k: Any, at: Any, found: Any) -> tuple[Any, Any, Any]:
        time = shape[0] - 1 - k
        token, parent = (tf.gather(values[time], at, axis=1, batch_dims=1) for values in (ids, parents))
        inside = tf.broadcast_to((time < lengths)[:, None], shape[1:])
        return k + 1, tf.where(inside, parent, at), found.write(k, tf.where(inside, token, end))

    found = tf.TensorArray(tf.int32, shape[0], element_shape=(None, None))
    _, _, found = tf.while_loop(lambda k, *_: k < shape[0], step, [0, start, found])
    tokens = tf.reverse(found.stack(), [0])
    ended = tf.cumsum(tf.cast(tf.equal(tokens, end), tf.int32), exclusive=True)
    return tf.where(ended > 0, end, tokens)
