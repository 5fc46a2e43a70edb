"""What each tensor of a forward graph varies with: nothing, the batch as a whole, or the single sample."""

from __future__ import annotations

from enum import IntEnum

from bnfold.graph import Array, Graph, Node, node_name, output_index
from bnfold.graph.evaluate import run
from bnfold.inference.op_kinds import RANDOM
from bnfold.inference.scalars import few_sources, known_scalar

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

    A sum or mean over the batch axis takes data down to a statistic; so do the second and third output of a
    training-mode FusedBatchNorm.

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
    """Whether ``node`` reduces the first axis: what it gives belongs to no sample."""
    axes = reduced_axes(graph, node)
    return _counted(graph, node) if axes is None else 0 in axes


def reduces_all(graph: Graph, node: Node) -> bool:
    """Whether ``node`` reduces all axes: a number, not one for each channel."""
    shape, axes = graph.shape_of(node.inputs[0]), reduced_axes(graph, node)
    if axes is None and _counted(graph, node):
        limit = graph.find_producer(graph.producer_of(node.inputs[1]).inputs[1])
        return limit is not None and limit.op == "Rank"
    return shape is not None and axes is not None and len(axes) == len(shape)


def _counted(graph: Graph, node: Node) -> bool:
    """Whether the axes that ``node`` reduces are counted from the first: ``range(rank(x) - 1)``, the rank unknown."""
    axes = graph.find_producer(node.inputs[1])
    return axes is not None and axes.op == "Range" and known_scalar(graph, axes.inputs[0]) == 0


def reduced_axes(graph: Graph, node: Node) -> set[int] | None:
    """The axes that reduction ``node`` reduces, counted from 0; None where that is known at run time only."""
    value = _computed(graph, node.inputs[1])
    shape = graph.shape_of(node.inputs[0])
    if value is None:
        return None
    axes = {int(axis) for axis in value.reshape(-1)}
    return axes if shape is None else {axis % len(shape) for axis in axes if shape}


def _computed(graph: Graph, tensor: str) -> Array | None:
    """The value of ``tensor``, also where a few ops on constants compute it."""
    if (value := graph.value(tensor)) is not None:
        return value
    sources = few_sources(graph, tensor)
    if sources is None or any(not node.inputs and node.op != "Const" for node in sources):
        return None
    [value] = run(graph.pruned([tensor]), [tensor])
    return value
