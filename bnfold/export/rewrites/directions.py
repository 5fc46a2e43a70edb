"""Recurrent layers between reversals run backwards; two that run over the same input in both directions are one."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.recurrent.directions import LAYERS, cancel, join, joined_outputs, pairs, run_backwards
from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph


@rewrites(order=2)
def layers_in_both_directions(graph: Graph, kept: Set[str]) -> None:
    del kept  # the layers are this stage's own, and nodes that change keep their names
    layers = [node for node in graph.topological() if node.op in LAYERS]
    reversals = {back for layer in layers if (back := run_backwards(graph, layer)) is not None}
    if not reversals:
        return
    for node in [node for node in graph if node.op in ("ReverseV2", "ReverseSequence")]:
        cancel(graph, node, reversals)
    for one, other in list(pairs(graph, [graph[layer.name] for layer in layers])):
        joined_outputs(graph, join(graph, one, other))
