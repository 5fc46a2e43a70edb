"""Ends of a forward graph that are nobody's output: what is left over when a graph is rewritten for training.

TensorFlow's quantisation-aware training folds each batch norm into its convolution, corrected for the batch at hand.
The batch norm that it replaces stays in the graph for its moments, its own result unread, and so do corrections that
are not used.
"""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.graph import output_index
from bnfold.inference.anatomy import Anatomy
from bnfold.inference.levels import REDUCTIONS, STRUCTURE, reduces_batch
from bnfold.inference.op_kinds import LINEAR

UNREAD = "nothing reads it"


def is_statistic(name: str, parts: Anatomy) -> bool:
    """Whether node ``name`` depends on data only through means and variances of the batch."""
    stack, seen = [f"{name}:0"], set[str]()
    statistics = False
    while stack:
        tensor = stack.pop()
        node = parts.graph.find_producer(tensor)
        if node is None or node.name in seen or node.op in STRUCTURE or not parts.data_of(tensor):
            continue
        if node.op.startswith("FusedBatchNorm") and output_index(tensor) > 0:
            statistics = True
            continue
        if node.op in REDUCTIONS and reduces_batch(parts.graph, node):
            statistics = True
            continue
        if tensor in parts.sources or node.name in parts.layers:
            return False
        seen.add(node.name)
        stack.extend(node.inputs)
    return statistics


def without_replaced(ends: Mapping[str, str], parts: Anatomy) -> tuple[dict[str, str], list[str]]:
    """``ends`` but those that nothing reads and whose layers gave way to others, with kernels corrected for the batch.

    These take the same data and the same weights, and end in what the losses read.
    """
    read = [name for name, reason in ends.items() if reason != UNREAD]
    behind = parts.graph.ancestors(f"{name}:0" for name in read)
    corrected = {parts.graph[name].inputs[0]: name for name in behind - parts.layers if _is_corrected(name, parts)}
    replaced = [name for name in ends if name not in read and _is_replaced(name, corrected, parts)]
    return {name: reason for name, reason in ends.items() if name not in replaced}, replaced


def _is_corrected(name: str, parts: Anatomy) -> bool:
    """Whether ``name`` multiplies data by weights that depend on data themselves."""
    node = parts.graph[name]
    return node.op in LINEAR and all(
        parts.data_of(tensor) and tensor not in parts.sources for tensor in node.inputs[1:]
    )


def _is_replaced(name: str, corrected: Mapping[str, str], parts: Anatomy) -> bool:
    """Whether the last layers before the end ``name`` have a corrected one on the same data, of the same weights."""
    layers = parts.graph.ancestors([f"{name}:0"]) & parts.layers
    inner = parts.graph.ancestors(tensor for layer in layers for tensor in parts.graph[layer].inputs)
    last = layers - inner
    others = [(layer, corrected.get(parts.graph[layer].inputs[0])) for layer in last]
    return bool(last) and all(
        other is not None and not parts.weights[layer] & ~parts.weights[other] for layer, other in others
    )
