"""An ONNX graph laid out to be tidied: who makes what, and what is constant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from bnfold.export.initializers import Initializers
from bnfold.export.onnx_graph import Names, OnnxGraph, OnnxNode
from bnfold.graph import Array


class Bench:
    """One graph: the model's or a body's. Values of the graphs around a body have no maker here.

    Attributes
    ----------
    graph : OnnxGraph
    opset : int
    makers : dict of str to OnnxNode
        By value.
    reads : Counter of str
        How often each value is read, outputs of the graph and bodies included.
    """

    def __init__(self, graph: OnnxGraph, initializers: Initializers, names: Names, opset: int) -> None:
        self.graph = graph
        self.opset = opset
        self.makers = {value: node for node in graph.nodes for value in node.outputs if value}
        self.reads = Counter(graph.reads())
        self._initializers = initializers
        self._names = names

    def maker(self, value: str, *ops: str) -> OnnxNode | None:
        """The node that makes ``value``, if it is one of ``ops``."""
        node = self.makers.get(value)
        return node if node is not None and node.op in ops and not node.domain else None

    def array(self, value: str) -> Array | None:
        return self._initializers.array(value)

    def vector(self, value: str) -> list[int] | None:
        """The content of an integer constant of rank 1."""
        array = self.array(value)
        return array.tolist() if array is not None and array.ndim == 1 and array.dtype.kind in "iu" else None

    def constant(self, array: Array, stem: str) -> str:
        return self._initializers.add(array, stem)

    def ints(self, values: Iterable[int], stem: str) -> str:
        """An int64 constant of rank 1."""
        return self.constant(np.array(list(values), np.int64), stem)

    def fresh(self, stem: str) -> str:
        return self._names.take(stem)
