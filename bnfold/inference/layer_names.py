"""What the batch norms of a graph are called: the same in errors, in --bind and in the report."""

from __future__ import annotations

from bnfold.graph import Graph
from bnfold.inference.fused import FUSED
from bnfold.inference.naming import layer_name, unused_name
from bnfold.inference.normalisation import find_normalisations


class LayerNames:
    """The scope of each batch norm; numbered, in the order of the data, where several stand in one scope.

    Parameters
    ----------
    forward : Graph
        With ``types``.
    """

    def __init__(self, forward: Graph) -> None:
        roots = {norm.root for norm in find_normalisations(forward)}
        self._names: dict[str, str] = {}
        taken: set[str] = set()
        for node in forward.topological():
            if node.op in FUSED or node.name in roots:
                self._names[node.name] = unused_name(taken, layer_name(node.name))
                taken.add(self._names[node.name])

    def __getitem__(self, node: str) -> str:
        """The name of the batch norm that is, or takes its root in, ``node``."""
        return self._names.get(node) or layer_name(node)
