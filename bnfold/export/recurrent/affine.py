"""What goes into a gate, read from the nodes that compute it: sums of products with constants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bnfold.export.bodies import source
from bnfold.graph import Array, Graph, Node, output_index

_NOTHING = np.zeros(())


@dataclass(frozen=True)
class Affine:
    """``Σ leaf · weights[leaf] + Σ leaf ∘ diagonals[leaf] + bias``, a row for each item of the batch.

    Attributes
    ----------
    weights : dict of str to ndarray of shape (size of the leaf, width)
    diagonals : dict of str to ndarray of shape (width,) or ()
    bias : ndarray of shape (width,) or ()
    """

    weights: Mapping[str, Array] = field(default_factory=dict)
    diagonals: Mapping[str, Array] = field(default_factory=dict)
    bias: Array = field(default_factory=lambda: _NOTHING)

    @property
    def leaves(self) -> set[str]:
        return {*self.weights, *self.diagonals}

    def is_leaf(self, leaf: str) -> bool:
        """Is it ``leaf``, and nothing more?"""
        return (
            self.leaves == {leaf} and not self.weights and not np.any(self.bias) and bool(_is_one(self.diagonals[leaf]))
        )

    def plus(self, other: Affine) -> Affine:
        return Affine(
            _added(self.weights, other.weights), _added(self.diagonals, other.diagonals), self.bias + other.bias
        )

    def scaled(self, factor: Array) -> Affine:
        """``self ∘ factor``, a number or one for each column."""
        weights = {leaf: array * factor.astype(array.dtype) for leaf, array in self.weights.items()}
        diagonals = {leaf: array * factor for leaf, array in self.diagonals.items()}
        return Affine(weights, diagonals, self.bias * factor)

    def times(self, matrix: Array) -> Affine:
        """``self · matrix``"""
        weights = {leaf: array @ matrix for leaf, array in self.weights.items()}
        for leaf, diagonal in self.diagonals.items():
            product = matrix if _is_one(diagonal) else (diagonal[..., None] * matrix).astype(matrix.dtype)
            weights[leaf] = weights[leaf] + product if leaf in weights else product
        bias = self.bias @ matrix if self.bias.ndim else self.bias * matrix.sum(0)
        return Affine(weights, {}, bias)

    def columns(self, start: int, end: int) -> Affine | None:
        """``self[:, start:end]``; None where it is no longer a product with whole leaves."""
        if self.diagonals:
            return None
        weights = {leaf: array[:, start:end] for leaf, array in self.weights.items()}
        return Affine(weights, {}, self.bias[start:end] if self.bias.ndim else self.bias)


def _is_one(diagonal: Array) -> bool:
    return bool(np.all(diagonal == 1))


def _added(one: Mapping[str, Array], other: Mapping[str, Array]) -> dict[str, Array]:
    both = dict(one)
    for leaf, array in other.items():
        both[leaf] = both[leaf] + array if leaf in both else array
    return both


@dataclass(frozen=True)
class Part:
    """``data[:, start:end]``"""

    data: str
    start: int
    end: int


class Affines:
    """The affine form of the tensors of a body; what is no sum or product is a leaf.

    Parameters
    ----------
    graph : Graph
        Typed.
    leaves : mapping of str to str
        Tensors at which to stop, and the leaf that each is.
    """

    def __init__(self, graph: Graph, leaves: Mapping[str, str]) -> None:
        self.graph = graph
        self.leaves = leaves
        self._known: dict[str, Affine] = {}

    def read(self, tensor: str) -> Affine:
        tensor = source(self.graph, tensor)
        if tensor not in self._known:
            found = None if tensor in self.leaves else self._followed(tensor)
            leaf = self.leaves.get(tensor, tensor)
            self._known[tensor] = found if found is not None else Affine({}, {leaf: np.ones(())})
        return self._known[tensor]

    def constant(self, tensor: str) -> Array | None:
        """A constant that is the same for every item of the batch: of shape () or (width,)."""
        array = self.graph.value(source(self.graph, tensor))
        if array is None or array.dtype.kind != "f" or any(size != 1 for size in array.shape[:-1]):
            return None
        return array.reshape(array.shape[-1:]).astype(np.float64)

    def _followed(self, tensor: str) -> Affine | None:
        constant = self.constant(tensor)
        if constant is not None:
            return Affine(bias=constant)
        node = self.graph.find_producer(tensor)
        rule = None if node is None else _RULES.get(node.op)
        return None if rule is None or node is None else rule(self, node, tensor)

    def part(self, tensor: str) -> Part | None:
        """Which columns of which tensor ``tensor`` is."""
        node = self.graph.find_producer(tensor)
        rule = None if node is None else _PARTS.get(node.op)
        return None if rule is None or node is None else rule(self, node, tensor)

    def width(self, tensor: str) -> int | None:
        shape = self.graph.shape_of(tensor)
        return shape[-1] if shape and len(shape) == 2 else None


def _sum(affines: Affines, node: Node, tensor: str) -> Affine:
    total = Affine()
    for operand in node.inputs:
        total = total.plus(affines.read(operand))
    return total


def _difference(affines: Affines, node: Node, tensor: str) -> Affine:
    first, second = node.inputs
    return affines.read(first).plus(affines.read(second).scaled(np.array(-1.0)))


def _product(affines: Affines, node: Node, tensor: str) -> Affine | None:
    for constant, other in (node.inputs, node.inputs[::-1]):
        factor = affines.constant(constant)
        if factor is not None:
            return affines.read(other).scaled(factor)
    return None


def _quotient(affines: Affines, node: Node, tensor: str) -> Affine | None:
    factor = affines.constant(node.inputs[1])
    return None if factor is None or not np.all(factor) else affines.read(node.inputs[0]).scaled(1 / factor)


def _matrix_product(affines: Affines, node: Node, tensor: str) -> Affine | None:
    """A product with a concatenation is the sum of the products with its parts."""
    matrix = affines.graph.value(source(affines.graph, node.inputs[1]))
    turned = node.attrs.get("transpose_b") or node.attrs.get("adj_y")
    if matrix is None or matrix.ndim != 2 or node.attrs.get("transpose_a") or node.attrs.get("adj_x"):
        return None
    matrix = matrix.T if turned else matrix
    parts = _parts(affines, source(affines.graph, node.inputs[0]))
    widths = [affines.width(part) for part in parts]
    if len(parts) == 1:
        widths = [len(matrix)]
    if None in widths or sum(width or 0 for width in widths) != len(matrix):
        return None
    total, start = Affine(), 0
    for part, width in zip(parts, widths, strict=True):
        total = total.plus(affines.read(part).times(matrix[start : start + (width or 0)]))
        start += width or 0
    return total


def _parts(affines: Affines, tensor: str) -> list[str]:
    node = affines.graph.find_producer(tensor)
    if tensor in affines.leaves or node is None or node.op != "ConcatV2":
        return [tensor]
    axis = affines.graph.value(source(affines.graph, node.inputs[-1]))
    return list(node.inputs[:-1]) if axis is not None and axis.item() in (1, -1) else [tensor]


def _columns(affines: Affines, node: Node, tensor: str) -> Affine | None:
    part = affines.part(tensor)
    return None if part is None else affines.read(part.data).columns(part.start, part.end)


def _split(affines: Affines, node: Node, tensor: str) -> Part | None:
    place, data = (0, 1) if node.op == "Split" else (2, 0)
    axis = affines.graph.value(source(affines.graph, node.inputs[place]))
    widths = [affines.width(node.tensor(i)) for i in range(output_index(tensor) + 1)]
    if axis is None or axis.item() not in (1, -1) or None in widths:
        return None
    start = sum(width or 0 for width in widths[:-1])
    return Part(node.inputs[data], start, start + (widths[-1] or 0))


def _slice(affines: Affines, node: Node, tensor: str) -> Part | None:
    """``x[:, a:b]``"""
    bounds = [affines.graph.value(source(affines.graph, t)) for t in node.inputs[1:]]
    width = affines.width(tensor)
    if any(bound is None or bound.size != 2 for bound in bounds) or width is None:
        return None
    rows, columns = zip(*(bound.tolist() for bound in bounds if bound is not None), strict=True)
    start = columns[0]
    if node.op == "StridedSlice":
        masks = [node.attrs.get(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis")]
        begins, ends = node.attrs.get("begin_mask", 0), node.attrs.get("end_mask", 0)
        if any(masks) or not begins & 1 or not ends & 1 or (rows[2], columns[2]) != (1, 1):
            return None
        start = 0 if begins & 2 else start
    elif rows != (0, -1):
        return None
    return Part(node.inputs[0], start, start + width) if start >= 0 else None


_PARTS: dict[str, Callable[[Affines, Node, str], Part | None]] = {
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("StridedSlice", "Slice"), _slice),
}

_RULES: dict[str, Callable[[Affines, Node, str], Affine | None]] = {
    **dict.fromkeys(("Add", "AddV2", "AddN", "BiasAdd"), _sum),
    "Sub": _difference,
    "Mul": _product,
    "RealDiv": _quotient,
    "Neg": lambda affines, node, _: affines.read(node.inputs[0]).scaled(np.array(-1.0)),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2"), _matrix_product),
    **dict.fromkeys(_PARTS, _columns),
}
