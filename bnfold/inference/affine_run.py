"""The run of elementwise ops by which a batch norm in primitives takes the data from x to y."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.levels import Level, Levels
from bnfold.inference.variables import TRANSPARENT, VARIABLE_OPS, source_of

ADD = frozenset({"Add", "AddV2", "BiasAdd"})
DIVIDE = frozenset({"RealDiv", "Div", "DivNoNan"})
AFFINE = ADD | DIVIDE | {"Mul", "Sub"}
"""Ops that a batch norm applies to the data."""


@dataclass(frozen=True)
class Parameters:
    """Tensors; None where a run has none."""

    mean: str | None
    gamma: str | None
    beta: str | None


class AffineRun:
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
    def through(cls, graph: Graph, levels: Levels, node: Node, cone: dict[str, None]) -> AffineRun | None:
        """The run through ``node``, which reads the cone; None if the ops around do not make a batch norm."""
        run = cls(graph, levels, cone)
        first = run.split(node)
        if first is None:
            return None
        run.push(node, first)
        run.extend_down()
        run.extend_up(first[0])
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
            above = self.graph.find_producer(split[0])
            is_gamma = (
                split[1] == "scale" and self.is_vector(split[2]) and above is not None and self.is_centring(above)
            )
            if node_name(split[2]) not in self.cone and not self.is_centring(node) and not is_gamma:
                return
            self.push(node, split, first=True)
            node = above

    def is_centring(self, node: Node) -> bool:
        """Whether ``node`` subtracts the mean: a vector, and no mean is in what is added further down."""
        split = self.split(node)
        if split is None or split[1] != "subtract" or any(node_name(o) in self.cone for o in self.shifts()):
            return False
        return self.is_vector(split[2])

    def shifts(self) -> list[str]:
        return [operand for role, operand in self.operands if role not in ("scale", "divide")]

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
        return is_parameter(self.graph, tensor)

    def parameters(self, root: str) -> Parameters:
        """Mean, gamma and beta, told apart by how the run applies them; ``root`` took the square root."""
        reading = _Reading(self.graph, self.cone, root)
        for role, operand in self.operands:
            reading.take(role, operand)
        return Parameters(reading.mean, reading.gamma, reading.beta)


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
        found = next((t for t in factors if source_of(self.graph, t) != gamma), None)
        node = self.graph.find_producer(found) if found is not None else None
        # Without beta, TensorFlow writes the shift as (−mean) · scale.
        return node.inputs[0] if node is not None and node.op == "Neg" else found

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


def is_parameter(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is a variable or a constant with at least one axis, not something computed from weights."""
    node = graph.find_producer(source_of(graph, tensor))
    if node is None:
        return False
    if node.op == "Const":
        return bool(node.attrs["value"].ndim > 0 and np.issubdtype(node.attrs["value"].dtype, np.floating))
    if node.op in ("ConcatV2", "Concat"):
        return all(is_parameter(graph, t) or scalar(graph, t) is not None for t in node.inputs)
    return node.op in VARIABLE_OPS


def scalar(graph: Graph, tensor: str) -> float | None:
    value = graph.value(source_of(graph, tensor))
    return float(value.item()) if value is not None and value.size == 1 and value.dtype.kind in "fiV" else None
