"""Recurrent cells that TensorFlow has one op for are written out, so that a loop over them is read as any other."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from bnfold.export.recurrent.blocks import ORDERS, gru_step, lstm_step
from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node

CELLS = frozenset({"LSTMBlockCell", "GRUBlockCell"})


@rewrites(order=-45)
def cells_written_out(graph: Graph, kept: Set[str]) -> None:
    """In the graph, and in the functions that it calls."""
    del kept
    for name, function in graph.functions.items():
        if any(node.op in CELLS for node in function.graph):
            body = function.graph.copy()
            _write_out(body)
            graph.functions[name] = replace(function, graph=body)
    _write_out(graph)


def _write_out(graph: Graph) -> None:
    for node in [node for node in graph if node.op in CELLS]:
        results = _step(graph, node)
        graph.replace(Node(node.name, "IdentityN", tuple(results), {"T": [node.attrs["T"]] * len(results)}))


def _step(graph: Graph, node: Node) -> list[str]:
    if node.op == "GRUBlockCell":
        return gru_step(graph, node, graph.shape_of(node.tensor(3)))
    return lstm_step(graph, node, graph.shape_of(node.tensor(6)), node.inputs, ORDERS[node.op])
