"""What each tensor of a forward graph varies with: nothing, the batch as a whole, or the single sample."""

from __future__ import annotations

from enum import IntEnum

from bnfold.graph import Graph, Node, node_name, output_index
from bnfold.inference.op_kinds import RANDOM

REDUCTIONS = frozenset({"Mean", "Sum", "EuclideanNorm"})
STRUCTURE = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike", "VariableShape"})
"""Ops whose output depends on the shape of their input alone."""

LOOPS = frozenset({"Enter", "Merge", "NextIteration", "LoopCond"})
"""What goes round in a loop of TensorFlow 1 counts as data."""

SOURCES = frozenset({"Placeholder", "PlaceholderWithDefault"}) | RANDOM | LOOPS


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
        level = self.of_node(node.name)
        if level is Level.DATA and node.op.startswith("FusedBatchNorm") and output_index(tensor) > 0:
            return Level.STATISTIC if node.attrs["is_training"] else Level.CONSTANT
        return level

    def of_node(self, name: str) -> Level:
        """The level of a node's outputs; nodes added since are constant."""
        return self._nodes.get(name, Level.CONSTANT)

    def takes_down(self, node: Node) -> bool:
        """Whether ``node`` makes a statistic of data."""
        is_reduced = self.of_node(node.name) is Level.STATISTIC or node.op.startswith("FusedBatchNorm")
        return is_reduced and any(self.of_node(node_name(tensor)) is Level.DATA for tensor in node.inputs)

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
    """Whether ``node`` reduces the first axis, but not all of them: what it gives belongs to no sample."""
    axes = graph.value(node.inputs[1])
    if axes is None:
        return False
    shape = graph.shape_of(node.inputs[0])
    if shape is None:
        return 0 in axes.reshape(-1)
    reduced = {int(axis) % len(shape) for axis in axes.reshape(-1)} if shape else set()
    return 0 in reduced and len(reduced) < len(shape)
