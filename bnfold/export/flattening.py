"""Images flattened for a product with a constant matrix: whichever order they are stored in, the rows can follow.

``flatten(x) @ kernel`` sums over the elements of ``x`` in any order, if the rows of ``kernel`` come in the same order.
So a flattened image that only such products read may be stored channels first, and no Transpose stands before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.export import reshaping
from bnfold.graph import Array, Graph, Node, Shape

Permutation = tuple[int, ...]


def is_flattened_for_products(graph: Graph, node: Node) -> bool:
    """Does Reshape ``node`` keep the batch, flatten the rest, and give it to products with constants only?"""
    before, after = graph.shape_of(node.inputs[0]), graph.shape_of(node.output)
    if before is None or after is None or len(after) != 2 or len(before) < 3:
        return False
    if None in before[1:] or before[0] != after[0] or int(np.prod(_known(before))) != after[1]:
        return False
    readers = graph.readers(node.output)
    return bool(readers) and all(_is_product(graph, reader, node.output) for reader in readers)


def _is_product(graph: Graph, node: Node, tensor: str) -> bool:
    return (
        node.op == "MatMul"
        and node.inputs[0] == tensor != node.inputs[1]
        and not node.attrs.get("transpose_a")
        and graph.value(node.inputs[1]) is not None
    )


def row_order(graph: Graph, tensor: str, reads: Sequence[Permutation | None]) -> Array | None:
    """In which order the columns of ``tensor``, a flattened image, are stored, or None if in TensorFlow's.

    Parameters
    ----------
    graph : Graph
    tensor : str
    reads : sequence of tuple of int or None
        How the Reshape that makes ``tensor`` reads its inputs, the image first.
    """
    node, permutation = graph.find_producer(tensor), reads[0] if reads else None
    if node is None or node.op != "Reshape" or permutation is None:
        return None
    before, after = graph.shape_of(node.inputs[0]), graph.shape_of(node.output)
    if before is None or reshaping.carried(before, after, permutation) is not None:
        return None
    positions = np.arange(int(np.prod(_known(before)))).reshape(_known(before))
    return positions.transpose([axis - 1 for axis in permutation[1:]]).reshape(-1)


def _known(shape: Shape) -> list[int]:
    """All sizes but the batch's."""
    return [size for size in shape[1:] if size is not None]
