"""Sizes stay int64 on their way from a Shape to who wants them in int64.

TensorFlow counts sizes in int32, ONNX in int64: between the two casts that this takes, the arithmetic can be done in
int64 as well. A size that int32 does not hold TensorFlow would have refused.
"""

from __future__ import annotations

import numpy as np

from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.tidying.bench import Bench
from bnfold.graph.dtypes import INT32, INT64

_MOVES = {"Gather": 1, "Slice": 1, "Squeeze": 1, "Unsqueeze": 1, "Reshape": 1, "ReduceProd": 1, "ReduceSum": 1}
"""Ops that only their first input has numbers for; the others say where."""

_COMPUTES = frozenset({"Concat", "Add", "Sub", "Mul", "Div", "Mod", "Max", "Min", "Neg", "Abs"})

_SIZES = frozenset({"Shape", "Size"})


def widen_sizes(bench: Bench) -> None:
    """Do it where the graph gets smaller by it."""
    before = bench.graph.nodes
    widening = _Widening(bench)
    bench.graph.nodes = widening.nodes()
    bench.graph.drop_unread()
    if len(bench.graph.nodes) >= len(before):
        bench.graph.nodes = before


class _Widening:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._wide: dict[str, str | None] = {}  # by int32 value
        self._added: dict[int, list[OnnxNode]] = {}  # by the node that they come after

    def nodes(self) -> list[OnnxNode]:
        """The nodes, those that cast a size to int64 replaced; the nodes given are left as they are."""
        found: list[OnnxNode] = []
        for node in self._bench.graph.nodes:
            found.append(self._without_cast(node))
        return [
            each for node, new in zip(self._bench.graph.nodes, found, strict=True) for each in self._with(node, new)
        ]

    def _with(self, node: OnnxNode, new: OnnxNode) -> list[OnnxNode]:
        return [new, *self._added.get(id(node), [])]

    def _without_cast(self, node: OnnxNode) -> OnnxNode:
        if node.op != "Cast" or node.domain or node.attrs.get("to") != INT64:
            return node
        wide = self._widened(node.inputs[0])
        return node if wide is None else OnnxNode("Identity", [wide], list(node.outputs), {}, node.name)

    def _widened(self, value: str) -> str | None:
        """The int64 value that equals ``value``, an int32 one, if that is computed from sizes alone."""
        if value not in self._wide:
            self._wide[value] = None
            self._wide[value] = self._find(value)
        return self._wide[value]

    def _find(self, value: str) -> str | None:
        array = self._bench.array(value)
        if array is not None:
            return self._bench.constant(array.astype(np.int64), value) if array.dtype == np.int32 else None
        node = self._bench.makers.get(value)
        if node is None or node.domain or len(node.outputs) != 1:
            return None
        if node.op == "Cast":
            return node.inputs[0] if node.attrs.get("to") == INT32 and self._is_size(node.inputs[0]) else None
        count = _MOVES.get(node.op, len(node.inputs) if node.op in _COMPUTES else 0)
        wide = [self._widened(given) for given in node.inputs[:count]]
        if not wide or None in wide:
            return None
        name = self._bench.fresh(f"{value}/int64")
        inputs = [given for given in wide if given is not None] + node.inputs[count:]
        self._added.setdefault(id(node), []).append(OnnxNode(node.op, inputs, [name], dict(node.attrs), name))
        return name

    def _is_size(self, value: str) -> bool:
        """Is ``value``, an int64 one, a size or several?"""
        if (array := self._bench.array(value)) is not None:
            return array.dtype == np.int64
        node = self._bench.makers.get(value)
        if node is None or node.domain:
            return False
        if node.op in _SIZES:
            return True
        count = _MOVES.get(node.op, len(node.inputs) if node.op in _COMPUTES else 0)
        return count > 0 and all(self._is_size(given) for given in node.inputs[:count])
