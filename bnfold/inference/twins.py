"""Tensors that are computed twice: the same ops on the same inputs under two names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from bnfold.graph import Graph, Node, node_name, output_index

MOMENT_OPS = frozenset(
    {
        "Add", "AddV2", "Cast", "Const", "ExpandDims", "Identity", "Mean", "Mul", "Neg", "Pow", "RealDiv", "Reshape",
        "Sqrt", "Square", "SquaredDifference", "Squeeze", "StopGradient", "Sub", "Sum",
    }
)  # fmt: skip
"""What moments are computed with; any other op is told by its name alone."""


class Twins:
    """Finds, for a tensor of one graph, the tensor of another that holds the same.

    Some authors call ``tf.nn.moments`` once to normalise and once more to update the moving averages.

    Parameters
    ----------
    whole : Graph
    forward : Graph
        A part of it.
    """

    def __init__(self, whole: Graph, forward: Graph) -> None:
        self.whole = whole
        self.forward = forward
        self._keys: dict[str, Hashable] = {}
        self._tensors: dict[Hashable, str] = {}
        for node in forward:
            if node.op in MOMENT_OPS and node.op != "Const":
                self._tensors.setdefault(self.key(node.output), node.output)

    def find(self, tensors: Iterable[str]) -> str | None:
        """The first of ``tensors`` that the forward graph computes under another name: that name."""
        for tensor in tensors:
            node = self.whole.find_producer(tensor)
            if node is not None and node.op in MOMENT_OPS and (twin := self._tensors.get(self.key(tensor))) is not None:
                return twin
        return None

    def key(self, tensor: str) -> Hashable:
        """Equal for tensors that are computed alike."""
        stack = [node_name(tensor)]
        while stack:
            node = self.forward.get(stack[-1]) or self.whole.get(stack[-1])
            if node is None or node.name in self._keys:
                stack.pop()
                continue
            if node.op in MOMENT_OPS and (waiting := [n for t in node.inputs if self._is_open(n := node_name(t))]):
                stack.extend(waiting)
                continue
            self._keys[node.name] = self._key_of(node)
            stack.pop()
        return self._keys.get(node_name(tensor)), output_index(tensor)

    def _is_open(self, name: str) -> bool:
        return name not in self._keys and (name in self.forward or name in self.whole)

    def _key_of(self, node: Node) -> Hashable:
        if node.op == "Const" and node.attrs["value"].size <= 16:
            return ("Const", node.attrs["value"].dtype.str, node.attrs["value"].shape, node.attrs["value"].tobytes())
        if node.op not in MOMENT_OPS or node.op == "Const":
            return node.name
        attrs = tuple(sorted((key, repr(value)) for key, value in node.attrs.items()))
        inputs = tuple((self._keys.get(node_name(t), node_name(t)), output_index(t)) for t in node.inputs)
        return hash((node.op, attrs, inputs))
