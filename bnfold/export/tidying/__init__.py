"""Tidying of the ONNX graph after everything is lowered: what no single lowering can see.

Each lowering emits what its own node needs. Side by side these repeat one another and take detours, most of all where
sizes are computed: TensorFlow counts them in int32, one at a time, and ONNX in int64. No rule changes a number.
"""

from __future__ import annotations

from bnfold.export.initializers import Initializers
from bnfold.export.onnx_graph import Names, OnnxGraph
from bnfold.export.tidying.bench import Bench
from bnfold.export.tidying.casts import drop_vain_casts
from bnfold.export.tidying.concats import join_concats
from bnfold.export.tidying.constants import fold_constants
from bnfold.export.tidying.size_paths import shorten_size_paths
from bnfold.export.tidying.twins import share_twins
from bnfold.export.tidying.widening import widen_sizes

_ROUNDS = 8
"""More than any chain of rules needs; each round is linear in the nodes."""


def tidy(graph: OnnxGraph, initializers: Initializers, names: Names, opset: int) -> None:
    """Tidy ``graph`` and the bodies in it, in place; nodes that nobody reads are gone."""
    graph.drop_unread()
    for node in graph.nodes:
        for body in node.bodies():
            tidy(body, initializers, names, opset)
    widen_sizes(Bench(graph, initializers, names, opset))
    for _ in range(_ROUNDS):
        changed = fold_constants(Bench(graph, initializers, names, opset))
        bench = Bench(graph, initializers, names, opset)
        changed |= drop_vain_casts(bench)
        changed |= shorten_size_paths(bench)
        changed |= join_concats(Bench(graph, initializers, names, opset))
        changed |= share_twins(graph)
        graph.drop_unread()
        if not changed:
            return
