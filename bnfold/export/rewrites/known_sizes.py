"""Sizes computed from shapes, to numbers where only other sizes are unknown."""

from __future__ import annotations

from collections.abc import Iterator, Set

import numpy as np

from bnfold.export.loops import RESERVED
from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.shapes import more_specific
from bnfold.export.sizes import Sizes
from bnfold.graph import Array, Graph, Node, TensorType, constant, node_name
from bnfold.graph.evaluate import infer_types

_ROUNDS = 8
"""Of images that are resized to twice the size of one that was: more than decoders have."""


@rewrites(order=-7)
def sizes_that_are_known(graph: Graph, kept: Set[str]) -> None:
    """``resize(x, 2 · Shape(x)[1:3])`` has a known size although the batch is unknown.

    TensorFlow's shape functions take what is computed from such a Shape for unknown, and so is all that follows. Where
    the padding of one axis is computed, they forget the others.
    """
    if not any(node.op in _MEASURES for node in graph):
        return
    for _ in range(_ROUNDS):
        sizes = Sizes(graph)
        found = list(_known(graph, sizes, kept))
        tells = any(_is_vague(graph, reader) for node, _ in found for reader in graph.readers(node.output))
        for node, array in found:
            graph.replace(constant(node.name, array, graph.types[node.output].dtype))
        if not tells:
            _tell_types(graph, sizes)
            return
        try:
            inferred = infer_types(graph)
        except ValueError:  # ops of other rewrites, which TensorFlow does not have
            _tell_types(graph, sizes)
            return
        for tensor, known in inferred.items():
            graph.types[tensor] = more_specific(graph.types.get(tensor), known)


def _tell_types(graph: Graph, sizes: Sizes) -> None:
    """What follows from sizes and TensorFlow does not see."""
    for tensor, known in list(graph.types.items()):
        shape = sizes.shape(tensor) if known.shape is not None and None in known.shape else None
        if shape is not None and any(size.known is not None for size in shape):
            told = TensorType(known.dtype, tuple(size.known for size in shape))
            graph.types[tensor] = more_specific(known, told)


def _known(graph: Graph, sizes: Sizes, kept: Set[str]) -> Iterator[tuple[Node, Array]]:
    """The nodes that compute sizes from shapes, all of them known, and the sizes."""
    derived: set[str] = set()
    for node in graph.topological():
        if node.op not in _MEASURES and derived.isdisjoint(map(node_name, node.inputs)):
            continue
        derived.add(node.name)
        values, known = sizes.values(node.output), graph.type_of(node.output)
        if values is None or known is None or known.shape is None or _is_needed(graph, node, kept):
            continue
        numbers = [None if value is None else value.known for value in values]
        if None not in numbers and known.shape in ((), (len(numbers),)):
            yield node, np.array(numbers, known.dtype.numpy).reshape(known.shape)


def _is_needed(graph: Graph, node: Node, kept: Set[str]) -> bool:
    """Outputs stay; so does what allocates a list, which is looked for by name."""
    return node.output in kept or any(RESERVED in reader.attrs for reader in graph.readers(node.output))


_MEASURES = frozenset({"Shape", "Size"})


def _is_vague(graph: Graph, node: Node) -> bool:
    """Does TensorFlow not know a size of its result?"""
    shape = graph.shape_of(node.output)
    return shape is None or None in shape
