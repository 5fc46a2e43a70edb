"""Reshapes that follow one another: the last alone says what comes of it."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.placement import STAND_INS
from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node


@rewrites(order=25)
def join_reshapes(graph: Graph, kept: Set[str]) -> None:
    """A Reshape to a constant shape reads what the Reshape before it reads, and that one goes if no one else reads it.

    The shape must be known but for one size, since a computed one may have been computed from what goes.
    """
    for name in [node.name for node in graph if node.op == "Reshape" and _is_constant(graph, node)]:
        node = graph[name]
        before = graph.producer_of(node.inputs[0])
        while before.op in _VIEWS and before.output not in kept and len(graph.readers(before.output)) == 1:
            node = graph.replace(node.with_inputs([before.inputs[0], *node.inputs[1:]]).with_attrs(**{STAND_INS: None}))
            graph.remove(before.name)
            before = graph.producer_of(node.inputs[0])


_VIEWS = frozenset({"Reshape", "Squeeze", "ExpandDims"})


def _is_constant(graph: Graph, node: Node) -> bool:
    shape = graph.shape_of(node.output)
    return shape is not None and shape.count(None) <= 1 and 0 not in shape
