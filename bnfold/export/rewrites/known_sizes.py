"""Sizes computed from shapes, to numbers where only other sizes are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.shapes import more_specific
from bnfold.export.sizes import Sizes
from bnfold.graph import Array, Graph, Node, constant
from bnfold.graph.evaluate import infer_types

_ROUNDS = 8
"""Of images that are resized to twice the size of one that was: more than decoders have."""


@rewrites(order=-3)
def sizes_that_are_known(graph: Graph, kept: Set[str]) -> None:
    """``resize(x, 2 · Shape(x)[1:3])`` has a known size although the batch is unknown.

    TensorFlow's shape functions take what is computed from such a Shape for unknown, and so is all that follows.
    """
    for _ in range(_ROUNDS):
        found = list(_known(graph, kept)) if any(node.op == "Shape" for node in graph) else []
        if not found:
            return
        tells = any(_is_vague(graph, reader) for node, _ in found for reader in graph.readers(node.output))
        for node, array in found:
            graph.replace(constant(node.name, array, graph.types[node.output].dtype))
        if not tells:
            return
        for tensor, known in infer_types(graph).items():
            graph.types[tensor] = more_specific(graph.types.get(tensor), known)


def _known(graph: Graph, kept: Set[str]) -> Iterator[tuple[Node, Array]]:
    """The nodes that compute sizes, all of them known, and the sizes."""
    sizes = Sizes(graph)
    for node in graph:
        values, known = sizes.values(node.output), graph.type_of(node.output)
        if node.op == "Const" or node.output in kept or values is None or known is None or known.shape is None:
            continue
        numbers = [None if value is None else value.known for value in values]
        if None not in numbers and known.shape in ((), (len(numbers),)):
            yield node, np.array(numbers, known.dtype.numpy).reshape(known.shape)


def _is_vague(graph: Graph, node: Node) -> bool:
    """Does TensorFlow not know a size of its result?"""
    shape = graph.shape_of(node.output)
    return shape is None or None in shape
