"""What ties a branch to its side of a TensorFlow 1 conditional, written as data instead of control inputs."""

from __future__ import annotations

from collections.abc import Iterable

from bnfold.graph import Graph, Node, node_name, output_index
from bnfold.inference.control_flow import BACK_EDGES, MERGES, SWITCHES


def tie_branches(graph: Graph, outputs: Iterable[str]) -> Graph:
    """Let every branch that ``outputs`` need read a Switch.

    ``tf.cond(p, lambda: 1.0, lambda: 2.0)`` becomes ``Merge(2.0, 1.0)`` whose constants have a control input from
    the pivots ``switch_f`` and ``switch_t`` and nothing else to do with ``p``. The control inputs go, so that such a
    branch reads ``Identity(Switch(constant, p))`` afterwards.

    Parameters
    ----------
    graph : Graph
        With its control inputs.
    outputs : iterable of str

    Returns
    -------
    Graph
        ``graph`` itself where there is nothing to do.
    """
    result = graph
    for merge in graph.topological(outputs):  # inner conditionals first: by them the branches around are tied too
        if merge.op not in MERGES or any(_closes_loop(graph, tensor) for tensor in merge.inputs):
            continue
        pivots = {tensor: pivot for tensor in merge.inputs if (pivot := _pivot(result, tensor)) is not None}
        if pivots:
            result = graph.copy() if result is graph else result
            tied = {tensor: _switched(result, merge, tensor, pivot) for tensor, pivot in pivots.items()}
            result.replace(merge.with_inputs(tied.get(tensor, tensor) for tensor in merge.inputs))
    return result


def _closes_loop(graph: Graph, tensor: str) -> bool:
    producer = graph.find_producer(tensor)
    return producer is not None and producer.op in BACK_EDGES


def _pivot(graph: Graph, tensor: str) -> str | None:
    """The output of a Switch that ``tensor`` waits for by control inputs alone; None if it reads one, or waits not."""
    sources = graph.topological([tensor])
    if any(node.op in SWITCHES for node in sources):
        return None
    waited = (graph.get(name) for node in sources for name in node.controls)
    return next((found for node in waited if node is not None and (found := _side(graph, node)) is not None), None)


def _side(graph: Graph, node: Node) -> str | None:
    """The output of a Switch that ``node`` renames."""
    while node.op == "Identity":
        source = node.inputs[0]
        producer = graph.find_producer(source)
        if producer is None or producer.op in SWITCHES:
            return source if producer is not None else None
        node = producer
    return None


def _switched(graph: Graph, merge: Node, tensor: str, pivot: str) -> str:
    """``tensor``, computed only when the Switch output ``pivot`` is."""
    predicate = graph[node_name(pivot)].inputs[1]
    attrs = {"T": merge.attrs["T"]}
    stem = f"{merge.name}/{node_name(tensor).rpartition('/')[2]}"
    switch = graph.add(Node(graph.fresh_name(f"{stem}/Switch"), "Switch", (tensor, predicate), attrs))
    side = switch.tensor(output_index(pivot))
    return graph.add(Node(graph.fresh_name(f"{stem}/tied"), "Identity", (side,), attrs)).output
