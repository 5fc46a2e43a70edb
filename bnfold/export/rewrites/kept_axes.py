"""A reduction whose axes a Reshape puts back keeps them itself."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node, TensorType

_REDUCTIONS = frozenset({"Mean", "Sum", "Max", "Min", "Prod"})


@rewrites(order=30)
def keep_reduced_axes(graph: Graph, kept: Set[str]) -> None:
    """``reshape(mean(x, [1, 2]), [-1, 1, 1, c])`` is ``mean(x, [1, 2], keep_dims=True)``."""
    for node in list(graph):
        if node.op not in ("Reshape", "ExpandDims"):
            continue
        reduction = graph.producer_of(node.inputs[0])
        if reduction.op not in _REDUCTIONS or reduction.attrs.get("keep_dims"):
            continue
        if (
            reduction.output in kept
            or len(graph.readers(reduction.output)) != 1
            or not _puts_back(graph, reduction, node)
        ):
            continue
        known = graph.types[node.output]
        graph.remove(node.name)
        graph.remove(reduction.name)
        graph.add(Node(node.name, reduction.op, reduction.inputs, {**reduction.attrs, "keep_dims": True}))
        graph.types[node.output] = TensorType(known.dtype, known.shape)


def _puts_back(graph: Graph, reduction: Node, node: Node) -> bool:
    before, axes, after = (
        graph.shape_of(reduction.inputs[0]),
        graph.value(reduction.inputs[1]),
        graph.shape_of(node.output),
    )
    if before is None or axes is None or after is None or len(after) != len(before) or after.count(None) > 1:
        return False
    reduced = {int(axis) % len(before) for axis in axes.flat}
    return all(b == (1 if axis in reduced else a) for axis, (a, b) in enumerate(zip(before, after, strict=True)))
