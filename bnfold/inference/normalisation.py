"""Batch norms written out in primitives: finding them by what they compute.

Somewhere there is ``1 / sqrt(variance + epsilon)``; around it stand, in whatever order the author chose,

    y = (x − mean) · gamma / sqrt(variance + epsilon) + beta
    y = x · scale + (beta − mean · scale)            scale = gamma / sqrt(variance + epsilon)

The data passes through a run of elementwise ops whose other operand does not depend on the single sample; that run is
the batch norm, and the operands tell mean, variance, gamma and beta apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.affine_run import AFFINE, DIVIDE, AffineRun, is_parameter, scalar
from bnfold.inference.levels import REDUCTIONS, Level, Levels, reduces_all
from bnfold.inference.variables import TRANSPARENT, variables_behind


@dataclass(frozen=True)
class Normalisation:
    """A batch norm in primitives.

    Attributes
    ----------
    root : str
        The node that takes the square root.
    x, y : str
    nodes : tuple of str
        The nodes on the data's way, in order.
    mean, variance : str
        Tensors.
    epsilon : float
    gamma, beta : str or None
        Tensors.
    is_bound : bool
        Whether mean and variance are constants, not statistics of the batch.
    """

    root: str
    x: str
    y: str
    nodes: tuple[str, ...]
    mean: str
    variance: str
    epsilon: float
    gamma: str | None
    beta: str | None
    is_bound: bool


def find_normalisations(graph: Graph) -> list[Normalisation]:
    """The batch norms in primitives of a forward graph, in its order.

    Parameters
    ----------
    graph : Graph
        With ``types``.
    """
    levels = Levels(graph)
    found: list[Normalisation] = []
    for node in graph.topological():
        if (deviation := _deviation(graph, levels, node)) is not None:
            found.extend(_around(graph, levels, node, *deviation))
    return found


def batch_deviations(graph: Graph) -> list[str]:
    """The nodes that take the root of a variance of the batch by which data is scaled.

    The variance is a mean; the sums of squares of ``l2_normalize`` are none. What only joins the data, as the
    deviation that some discriminators append to it, does not scale it.
    """
    levels = Levels(graph)
    found = []
    for node in graph.topological():
        deviation = _deviation(graph, levels, node)
        if deviation is None or levels[node.output] is not Level.STATISTIC:
            continue
        if not any(reduction.op == "Mean" for reduction in _reductions(graph, levels, deviation[0])):
            continue
        cone = _cone(graph, levels, node)
        readers = (reader for name in cone for reader in graph.consumers(name))
        if any(r.op in DIVIDE | {"Mul"} and levels[r.output] is Level.DATA for r in readers):
            found.append(node.name)
    return found


def _reductions(graph: Graph, levels: Levels, tensor: str) -> list[Node]:
    """The reductions over the batch that the statistic ``tensor`` is computed from."""
    found: list[Node] = []
    stack, seen = [node_name(tensor)], set[str]()
    while stack:
        node = graph.get(stack.pop())
        if node is None or node.name in seen or levels.of_node(node.name) is not Level.STATISTIC:
            continue
        seen.add(node.name)
        if levels.takes_down(node):
            found.append(node)
        stack.extend(node_name(t) for t in node.inputs)
    return found


def _deviation(graph: Graph, levels: Levels, node: Node) -> tuple[str, float] | None:
    """``(variance, epsilon)`` if ``node`` takes the root of ``variance + epsilon``, a vector of no sample's own."""
    is_power = node.op == "Pow" and scalar(graph, node.inputs[1]) in (0.5, -0.5)
    if not (node.op in ("Rsqrt", "Sqrt") or is_power) or levels[node.output] is Level.DATA:
        return None
    variance, epsilon = _without_epsilon(graph, node.inputs[0])
    if levels[variance] is Level.CONSTANT:
        # Without epsilon it is no batch norm's: Keras' Normalization layer divides by a constant deviation.
        is_one = is_parameter(graph, variance) and (epsilon > 0 or variables_behind(graph, variance))
        return (variance, epsilon) if is_one else None
    # An image standardised by its own moments, before there is a batch, has one deviation for all channels.
    partial = (not reduces_all(graph, n) for n in _reductions(graph, levels, variance) if n.op in REDUCTIONS)
    return (variance, epsilon) if any(partial) else None


def _without_epsilon(graph: Graph, tensor: str) -> tuple[str, float]:
    node = graph.find_producer(tensor)
    while node is not None and node.op in TRANSPARENT:
        tensor = node.inputs[0]
        node = graph.find_producer(tensor)
    if node is not None and node.op in ("Add", "AddV2", "Maximum"):
        for own, other in (node.inputs, node.inputs[::-1]):
            if (epsilon := scalar(graph, other)) is not None:
                return own, epsilon
    return tensor, 0.0


def _around(graph: Graph, levels: Levels, root: Node, variance: str, epsilon: float) -> Iterator[Normalisation]:
    """The batch norms that use the root: usually one, several where a layer's statistics are read once."""
    cone = _cone(graph, levels, root)
    readers = {reader.name: reader for name in cone for reader in graph.consumers(name) if reader.name not in cone}
    seen: set[str] = set()
    for node in readers.values():
        if node.op not in AFFINE or node.name in seen or levels[node.output] is not Level.DATA:
            continue
        run = AffineRun.through(graph, levels, node, cone)
        if run is None:
            continue
        seen.update(run.nodes)
        found = run.parameters(root.name)
        if found.mean is None:
            continue  # scaled by a deviation, but not centred
        statistics = (variance, found.mean)
        yield Normalisation(
            root=root.name,
            x=run.x,
            y=run.y,
            nodes=tuple(run.nodes),
            mean=found.mean,
            variance=variance,
            epsilon=epsilon,
            gamma=found.gamma,
            beta=found.beta,
            is_bound=all(levels[tensor] is Level.CONSTANT for tensor in statistics),
        )


def _cone(graph: Graph, levels: Levels, root: Node) -> dict[str, None]:
    """The nodes that depend on the root and not on the single sample."""
    cone, stack = {root.name: None}, [root.name]
    while stack:
        for reader in graph.consumers(stack.pop()):
            if reader.name not in cone and levels[reader.output] is not Level.DATA:
                cone[reader.name] = None
                stack.append(reader.name)
    return cone
