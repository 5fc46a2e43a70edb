"""Nodes that hand their input on: gone, so that patterns need not look through them."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph

SAME = frozenset({"Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot"})


@rewrites(order=-10)
def drop_identities(graph: Graph, kept: Set[str]) -> None:
    """Readers read what the node reads; a node that gives an output of the model stays.

    IdentityN, with which TensorFlow marks custom gradients, hands on several.
    """
    for name in [node.name for node in graph if node.op in SAME or node.op == "IdentityN"]:
        node = graph[name]  # as it is now: what it reads may have been such a node
        outputs = [node.tensor(index) for index in range(len(node.inputs))]
        if kept.isdisjoint(outputs):
            for output, tensor in zip(outputs, node.inputs, strict=True):
                graph.redirect(output, tensor)
            graph.remove(name)
