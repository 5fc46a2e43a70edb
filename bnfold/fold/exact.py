"""The exact values of the constants while folding goes on: float64 behind what the graph stores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.fold.rounding import Rounded, rounded
from bnfold.graph import Array, DType, Graph, Node, constant


@dataclass(frozen=True, eq=False)
class Product:
    """``base * factor`` in float64, and what it is ``made`` into by rounding to the stored type."""

    made: Rounded
    base: Array
    factor: Array


class Exact:
    """What each constant would be without rounding.

    A kernel that two maps are folded into is rounded once: beside the rounded array, which is in the graph, this keeps
    the array it came from and the product of the factors, both of which are small or shared.

    Parameters
    ----------
    graph : Graph
        The stage's own copy.

    Attributes
    ----------
    copied : dict of str to str
        Constants that are changed copies of a shared one, and its name.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._made: dict[str, tuple[Array, Array]] = {}  # name of the constant → base and factor
        self._errors: dict[str, float] = {}
        self.copied: dict[str, str] = {}

    def value(self, tensor: str) -> Array | None:
        """The floating-point constant behind ``tensor`` in float64, or None if there is none."""
        source = self.source(tensor)
        if source is None:
            return None
        if source.name in self._made:
            base, factor = self._made[source.name]
            return base.astype(np.float64) * factor
        stored: Array = source.attrs["value"]
        if not DType.of_numpy(stored.dtype).is_floating:
            return None
        return stored.astype(np.float64)

    def source(self, tensor: str) -> Node | None:
        """The Const behind ``tensor``, seen through Identity."""
        node = self._graph.find_producer(tensor)
        while node is not None and node.op == "Identity":
            node = self._graph.find_producer(node.inputs[0])
        return node if node is not None and node.op == "Const" else None

    def scaled(self, tensor: str, factor: Array) -> Product:
        """The constant behind ``tensor`` times ``factor``, rounded."""
        source = self.source(tensor)
        assert source is not None
        stored: Array = source.attrs["value"]
        base, before = self._made.get(source.name, (stored, np.ones((1,) * stored.ndim)))
        whole = before * factor
        return Product(rounded(base, whole, stored.dtype), base, whole)

    def keep(self, name: str, product: Product, source: Node | None = None) -> Node:
        """A Const node ``name`` for ``product``, which took the place of ``source``. It is not added to the graph."""
        self._made[name] = (product.base, product.factor)
        self._errors[name] = product.made.error
        if source is not None and source.name != name:
            self.copied[name] = self.copied.get(source.name, source.name)
        return constant(name, product.made.value)

    def new(self, name: str, value: Array, dtype: DType) -> Node:
        """A Const node ``name`` for the float64 ``value``."""
        assert dtype.numpy is not None
        one = np.ones((1,) * value.ndim)
        return self.keep(name, Product(rounded(value, one, dtype.numpy), value, one))

    def largest_error(self) -> float:
        """The largest relative rounding among the constants that are still in the graph."""
        return max((error for name, error in self._errors.items() if name in self._graph), default=0.0)
