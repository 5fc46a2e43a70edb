"""What is known to have no elements is a constant, whatever computes it: onnxruntime gets many such tensors wrong."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node, TensorType, constant

_GIVEN = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"})

_FRAMES = frozenset({"Enter", "RefEnter", "Switch", "RefSwitch", "Merge", "RefMerge"})
"""Ops of loops and branches whose structure is yet to be read."""


@rewrites(order=-20)
def fold_empty_tensors(graph: Graph, kept: Set[str]) -> None:
    """The readers of an empty tensor read a constant; where it is an output of the model, its node becomes one."""
    if any(node.op in _FRAMES for node in graph):
        return
    for node in list(graph):
        if node.op in _GIVEN:
            continue
        for tensor in {node.output, *graph.outputs_read(node.name)}:
            known = graph.type_of(tensor)
            if known is not None and _is_empty(known):
                _fold(graph, node, tensor, known, kept)


def _is_empty(known: TensorType) -> bool:
    shape = known.shape
    return shape is not None and None not in shape and 0 in shape and known.dtype.numpy is not None


def _fold(graph: Graph, node: Node, tensor: str, known: TensorType, kept: Set[str]) -> None:
    alone = tensor == node.output and not any(other != tensor for other in graph.outputs_read(node.name))
    if tensor in kept:
        if alone and not any(other.startswith(f"{node.name}:") for other in kept - {tensor}):
            graph.replace(constant(node.name, np.zeros(known.shape, known.dtype.numpy), known.dtype))
    elif graph.readers(tensor):
        name = graph.fresh_name(f"{node.name}/empty")
        added = graph.add(constant(name, np.zeros(known.shape, known.dtype.numpy), known.dtype))
        graph.types[added.output] = known
        graph.redirect(tensor, added.output)
