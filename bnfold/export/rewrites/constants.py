"""Views of constants are constants: what is left of them after inference, and what rewrites make of arguments."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.graph import Array, Graph, Node, constant

View = Callable[[Node, list[Array]], Array]

_VIEWS: dict[str, View] = {
    "Identity": lambda node, inputs: inputs[0],
    "StopGradient": lambda node, inputs: inputs[0],
    "ExpandDims": lambda node, inputs: np.expand_dims(inputs[0], int(inputs[1].flat[0])),
    "Reshape": lambda node, inputs: inputs[0].reshape(tuple(int(size) for size in inputs[1].flat)),
    "Squeeze": lambda node, inputs: np.squeeze(inputs[0], tuple(node.attrs.get("squeeze_dims") or ()) or None),
    "Transpose": lambda node, inputs: inputs[0].transpose([int(axis) for axis in inputs[1].flat]),
    "Cast": lambda node, inputs: inputs[0].astype(node.attrs["DstT"].numpy),
}


@rewrites(order=-30)
def fold_views_of_constants(graph: Graph, kept: Set[str]) -> None:
    for node in graph.topological():
        view = _VIEWS.get(node.op)
        if view is None or node.output in kept or (node.op == "Cast" and not _is_between_floats(node)):
            continue
        arrays = [array for tensor in node.inputs if (array := graph.value(tensor)) is not None]
        if len(arrays) == len(node.inputs):
            known = graph.types[node.output]
            graph.replace(constant(node.name, view(node, arrays), known.dtype))


def _is_between_floats(node: Node) -> bool:
    """Casts of other kinds differ between numpy and TensorFlow where a number does not fit."""
    return bool(node.attrs["SrcT"].is_floating and node.attrs["DstT"].is_floating)
