"""What each tensor of a forward graph varies with: nothing, the batch as a whole, or the single sample."""

from __future__ import annotations

from enum import IntEnum

from bnfold.graph import Graph, Node, node_name, output_index
from bnfold.inference.anatomy import RANDOM

REDUCTIONS = frozenset({"Mean", "Sum", "EuclideanNorm"})
STRUCTURE = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "VariableShape"})
"""Ops whose output depends on the shape of their input alone."""

SOURCES = frozenset({"Placeholder", "PlaceholderWithDefault"}) | RANDOM


class Level(IntEnum):
    """Ordered: an op's output varies with at least what its inputs vary with."""

    CONSTANT = 0
    STATISTIC = 1
    DATA = 2


class Levels:
    """The level of every tensor of ``graph``.

    A sum or mean over the batch axis, though not over all axes, takes data down to a statistic; so do the second
    and third output of a training-mode FusedBatchNorm.

    Parameters
    ----------
    graph : Graph
        With ``types``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._nodes: dict[str, Level] = {}
        for node in graph.topological():
            self._nodes[node.name] = self._level(node)

    def __getitem__(self, tensor: str) -> Level:
        node = self.graph.find_producer(tensor)
        if node is None:
            return Level.DATA
        level = self._nodes[node.name]
        if level is Level.DATA and node.op.startswith("FusedBatchNorm") and output_index(tensor) > 0:
            return Level.STATISTIC
        return level

    def _level(self, node: Node) -> Level:
        if node.op in SOURCES:
            return Level.DATA
        if node.op in STRUCTURE:
            return Level.CONSTANT
        inputs = [self[tensor] if node_name(tensor) in self._nodes else Level.CONSTANT for tensor in node.inputs]
        level = max(inputs, default=Level.CONSTANT)
        if level is Level.DATA and node.op in REDUCTIONS and reduces_batch(self.graph, node):
            return Level.STATISTIC
        return level


def reduces_batch(graph: Graph, node: Node) -> bool:
    """Whether ``node`` is a reduction over the first axis and some, but not all, of the others' product."""
    shape = graph.shape_of(node.inputs[0])
    axes = graph.value(node.inputs[1])
    if shape is None or axes is None:
        return False
    rank = len(shape)
    reduced = {int(axis) % rank for axis in axes.reshape(-1)} if rank else set()
    return 0 in reduced and len(reduced) < rank
