"""Axes of reductions counted from the front: along a negative one onnxruntime leaves what has no elements whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from onnx import GraphProto, NodeProto

from bnfold.export.initializers import Initializers


def count_axes_from_front(
    graph: GraphProto, initializers: Initializers, around: Mapping[str, int] | None = None
) -> None:
    """Count the constant axes of the reductions of ``graph``, and of the bodies in it, from the front, in place.

    Parameters
    ----------
    graph : GraphProto
        With the types of its values; what is of unknown rank keeps its axes.
    initializers : Initializers
    around : mapping of str to int, optional
        The ranks of the values of the graphs around this one, by name.
    """
    typed = (info for infos in (graph.input, graph.value_info, graph.output) for info in infos)
    ranks = dict(around or {})
    ranks.update(
        (info.name, len(info.type.tensor_type.shape.dim)) for info in typed if info.type.tensor_type.HasField("shape")
    )
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                count_axes_from_front(attribute.g, initializers, ranks)
        if node.op_type.startswith("Reduce") and not node.domain and node.input[0] in ranks:
            _count(node, ranks[node.input[0]], initializers)


def _count(node: NodeProto, rank: int, initializers: Initializers) -> None:
    """The axes are an attribute or, by opset, the second input."""
    for attribute in node.attribute:
        if attribute.name == "axes" and min(attribute.ints, default=0) < 0:
            attribute.ints[:] = _from_front(attribute.ints, rank)
    axes = initializers.array(node.input[1]) if len(node.input) > 1 else None
    if axes is not None and axes.min(initial=0) < 0:
        node.input[1] = initializers.add(np.array(_from_front(axes.tolist(), rank), np.int64), node.input[1])


def _from_front(axes: Iterable[int], rank: int) -> list[int]:
    return [axis + rank if axis < 0 else axis for axis in axes]
