"""Loops over time that are LSTM, GRU or plain recurrent layers become those nodes of ONNX."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.recurrent.layers import place
from bnfold.export.recurrent.steps import read_steps
from bnfold.export.rewrites import rewrites
from bnfold.export.sizes import Sizes
from bnfold.graph import Graph
from bnfold.graph.dtypes import FLOAT32


@rewrites(order=1)
def loops_as_layers(graph: Graph, kept: Set[str]) -> None:
    """Each loop that certainly is recurrent layers, of float32: onnxruntime has them in no other dtype."""
    loops = [node for node in graph.topological() if node.op in ("While", "StatelessWhile")]
    for node in loops:
        if FLOAT32 not in node.attrs["T"]:
            continue
        wanted = {i for i in range(len(node.inputs)) if graph.readers(node.tensor(i)) or node.tensor(i) in kept}
        steps = read_steps(graph, node, wanted, Sizes(graph))
        if steps is not None and all(graph.types[node.inputs[i]].dtype == FLOAT32 for i in steps.states.values()):
            place(graph, node, steps, wanted)
