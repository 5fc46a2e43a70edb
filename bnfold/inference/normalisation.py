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

import numpy as np

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.levels import Level, Levels
from bnfold.inference.naming import layer_name
from bnfold.inference.variables import TRANSPARENT, VARIABLE_OPS, source_of

ADD = frozenset({"Add", "AddV2", "BiasAdd"})
DIVIDE = frozenset({"RealDiv", "Div", "DivNoNan"})
AFFINE = ADD | DIVIDE | {"Mul", "Sub"}
"""Ops that a batch norm applies to the data."""


@dataclass(frozen=True)
class Normalisation:
    """A batch norm in primitives.

    Attributes
    ----------
    name : str
    root : str
        The node that takes the square root.
    x, y : str
    nodes : tuple of str
        The nodes on the data's way, in order.
    mean : str or None
        Tensor; None where nothing is subtracted (the mean was folded into the shift).
    variance : str
        Tensor.
    epsilon : float
    gamma, beta : str or None
        Tensors.
    is_bound : bool
        Whether mean and variance are constants, not statistics of the batch.
    """

    name: str
    root: str
    x: str
    y: str
    nodes: tuple[str, ...]
    mean: str | None
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
        if deviation is None or levels[node.output] is not Level.STATISTIC or not _is_mean(graph, levels, deviation[0]):
            continue
        cone = _cone(graph, levels, node)
        readers = (reader for name in cone for reader in graph.consumers(name))
        if any(r.op in DIVIDE | {"Mul"} and levels[r.output] is Level.DATA for r in readers):
            found.append(node.name)
    return found


def _is_mean(graph: Graph, levels: Levels, tensor: str) -> bool:
    """Whether a mean over the batch is among what the statistic ``tensor`` is computed from."""
    stack, seen = [node_name(tensor)], set[str]()
    while stack:
        node = graph.get(stack.pop())
        if node is None or node.name in seen or levels.of_node(node.name) is not Level.STATISTIC:
            continue
        seen.add(node.name)
        if node.op == "Mean" and levels.takes_down(node):
            return True
        stack.extend(node_name(t) for t in node.inputs)
    return False


def _deviation(graph: Graph, levels: Levels, node: Node) -> tuple[str, float] | None:
    """``(variance, epsilon)`` if ``node`` takes the root of ``variance + epsilon``, a vector of no sample's own."""
    is_power = node.op == "Pow" and _scalar(graph, node.inputs[1]) in (0.5, -0.5)
    if not (node.op in ("Rsqrt", "Sqrt") or is_power) or levels[node.output] is Level.DATA:
        return None
    variance, epsilon = _without_epsilon(graph, node.inputs[0])
    if levels[variance] is Level.CONSTANT and not _is_parameter(graph, variance):
        return None
    return variance, epsilon


def _without_epsilon(graph: Graph, tensor: str) -> tuple[str, float]:
    node = graph.find_producer(tensor)
    while node is not None and node.op in TRANSPARENT:
        tensor = node.inputs[0]
        node = graph.find_producer(tensor)
    if node is not None and node.op in ("Add", "AddV2", "Maximum"):
        for own, other in (node.inputs, node.inputs[::-1]):
            if (epsilon := _scalar(graph, other)) is not None:
                return own, epsilon
    return tensor, 0.0


def _scalar(graph: Graph, tensor: str) -> float | None:
    value = graph.value(source_of(graph, tensor))
    return float(value.item()) if value is not None and value.size == 1 and value.dtype.kind in "fiV" else None


def _is_parameter(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is a variable or a constant with at least one axis, not something computed from weights."""
    node = graph.find_producer(source_of(graph, tensor))
    if node is None:
        return False
    if node.op == "Const":
        return bool(node.attrs["value"].ndim > 0 and np.issubdtype(node.attrs["value"].dtype, np.floating))
    if node.op in ("ConcatV2", "Concat"):
        return all(_is_parameter(graph, t) or _scalar(graph, t) is not None for t in node.inputs)
    return node.op in VARIABLE_OPS


def _around(graph: Graph, levels: Levels, root: Node, variance: str, epsilon: float) -> Iterator[Normalisation]:
    """The batch norms that use the root: usually one, several where a layer's statistics are read once."""
    cone = _cone(graph, levels, root)
    used = [node for node in graph if node.name not in cone and any(node_name(t) in cone for t in node.inputs)]
    applied = [node for node in used if node.op in AFFINE and levels[node.output] is Level.DATA]
    seen: set[str] = set()
    for node in applied:
        if node.name not in seen and (run := _Run.through(graph, levels, node, cone)) is not None:
            seen.update(run.nodes)
            yield run.read(root, variance, epsilon)


def _cone(graph: Graph, levels: Levels, root: Node) -> dict[str, None]:
    """The nodes that depend on the root and not on the single sample."""
    cone, stack = {root.name: None}, [root.name]
    while stack:
        for reader in graph.consumers(stack.pop()):
            if reader.name not in cone and levels[reader.output] is not Level.DATA:
                cone[reader.name] = None
                stack.append(reader.name)
    return cone


class _Run:
    """A run of affine elementwise ops that the data passes through.

    Attributes
    ----------
    nodes : list of str
        In the order of the data.
    operands : list of (str, str)
        For each node, its role (``scale``, ``divide``, ``shift``, ``subtract``) and its operand that is no data.
    """

    def __init__(self, graph: Graph, levels: Levels, cone: dict[str, None]) -> None:
        self.graph = graph
        self.levels = levels
        self.cone = cone
        self.nodes: list[str] = []
        self.operands: list[tuple[str, str]] = []
        self.x = ""
        self.y = ""

    @classmethod
    def through(cls, graph: Graph, levels: Levels, node: Node, cone: dict[str, None]) -> _Run | None:
        """The run through ``node``, which reads the cone; None if the ops around do not make a batch norm."""
        run = cls(graph, levels, cone)
        first = run.split(node)
        if first is None:
            return None
        run.push(node, first)
        run.extend_up(first[0])
        run.extend_down()
        return run

    def split(self, node: Node) -> tuple[str, str, str] | None:
        """``(data, role, operand)`` of an affine node; None when both operands are data, or none."""
        if len(node.inputs) != 2 or node.op not in AFFINE:
            return None
        left, right = node.inputs
        left_data, right_data = (self.levels[t] is Level.DATA for t in node.inputs)
        if left_data == right_data:
            return None
        if node.op in DIVIDE:
            return (left, "divide", right) if left_data else None
        if node.op == "Sub":
            return (left, "subtract", right) if left_data else (right, "negate", left)
        role = "scale" if node.op == "Mul" else "shift"
        return (left, role, right) if left_data else (right, role, left)

    def push(self, node: Node, split: tuple[str, str, str], *, first: bool = False) -> None:
        data, role, operand = split
        self.nodes.insert(0 if first else len(self.nodes), node.name)
        self.operands.insert(0 if first else len(self.operands), (role, operand))
        if first or not self.x:
            self.x = data
        if not first:
            self.y = node.output

    def extend_up(self, data: str) -> None:
        """Include the ``x − mean`` before the division by the deviation, and what else reads the cone there."""
        node = self.graph.find_producer(data)
        while node is not None and (split := self.split(node)) is not None:
            reads_cone = node_name(split[2]) in self.cone
            is_mean = split[1] == "subtract" and not any(role == "subtract" for role, _ in self.operands)
            if not reads_cone and not (is_mean and self.is_vector(split[2])):
                return
            self.push(node, split, first=True)
            node = self.graph.find_producer(split[0])

    def extend_down(self) -> None:
        """Include the shift, and gamma and beta applied one by one."""
        while True:
            readers = self.graph.readers(self.y)
            split = self.split(readers[0]) if len(readers) == 1 else None
            if split is None or split[0] != self.y:
                return
            reads_cone = node_name(split[2]) in self.cone
            if not reads_cone and not self.takes(split[1], split[2]):
                return
            self.push(readers[0], split)

    def takes(self, role: str, operand: str) -> bool:
        """Whether a parameter applied after the normalisation may be this batch norm's gamma or beta."""
        if role not in ("scale", "shift") or not self.is_vector(operand):
            return False
        return not any(self.plain(r, o) == role for r, o in self.operands) and not self.has_beta()

    def has_beta(self) -> bool:
        return any(role == "shift" for role, _ in self.operands)

    def plain(self, role: str, operand: str) -> str | None:
        """The role of a parameter that stands alone, outside the cone."""
        return role if node_name(operand) not in self.cone else None

    def is_vector(self, tensor: str) -> bool:
        """Whether ``tensor`` has one value per channel, as gamma, beta and the mean have."""
        if self.levels[tensor] is Level.STATISTIC:
            return True
        return _is_parameter(self.graph, tensor)

    def read(self, root: Node, variance: str, epsilon: float) -> Normalisation:
        reading = _Reading(self.graph, self.cone, root.name)
        for role, operand in self.operands:
            reading.take(role, operand)
        statistics = [variance] + ([reading.mean] if reading.mean else [])
        return Normalisation(
            name=layer_name(root.name),
            root=root.name,
            x=self.x,
            y=self.y,
            nodes=tuple(self.nodes),
            mean=reading.mean,
            variance=variance,
            epsilon=epsilon,
            gamma=reading.gamma,
            beta=reading.beta,
            is_bound=all(self.levels[tensor] is Level.CONSTANT for tensor in statistics),
        )


class _Reading:
    """Mean, gamma and beta, told apart by the operands of a run."""

    def __init__(self, graph: Graph, cone: dict[str, None], root: str) -> None:
        self.graph = graph
        self.cone = cone
        self.root = root
        self.mean: str | None = None
        self.gamma: str | None = None
        self.beta: str | None = None

    def take(self, role: str, operand: str) -> None:
        if role == "scale":
            self.take_scale(operand)
        elif role in ("shift", "negate"):
            self.take_shift(operand)
        elif role == "subtract":
            if node_name(operand) in self.cone:
                self.take_shift(operand)
            else:
                self.mean = operand
        elif role == "divide":
            self.take_scale(operand)

    def take_scale(self, operand: str) -> None:
        """Factors of the scale: what does not come from the root is gamma."""
        for factor in self.leaves(operand, {"Mul"} | DIVIDE):
            if node_name(factor) not in self.cone:
                self.gamma = factor

    def take_shift(self, operand: str) -> None:
        """Terms of the shift: mean · scale is in the cone, beta is not."""
        for term in self.leaves(operand, ADD | {"Sub", "Neg"}):
            if node_name(term) in self.cone:
                self.mean = self.factor_beside_gamma(term) or self.mean
            else:
                self.beta = term

    def factor_beside_gamma(self, term: str) -> str | None:
        """The mean in ``mean · gamma / deviation``."""
        gamma = source_of(self.graph, self.gamma) if self.gamma else None
        factors = [t for t in self.leaves(term, {"Mul"} | DIVIDE) if node_name(t) not in self.cone]
        return next((t for t in factors if source_of(self.graph, t) != gamma), None)

    def leaves(self, tensor: str, ops: set[str] | frozenset[str]) -> Iterator[str]:
        """The operands of the expression of ``ops`` that ``tensor`` is, entering only what depends on the root."""
        node = self.graph[node_name(tensor)]
        if node.name == self.root or node.name not in self.cone:
            yield tensor
        elif node.op in TRANSPARENT:
            yield from self.leaves(node.inputs[0], ops)
        elif node.op in ops:
            for operand in node.inputs:
                yield from self.leaves(operand, ops)
        else:
            yield tensor
