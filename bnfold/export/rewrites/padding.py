"""Zeros put around an image for a convolution or a pool are its own padding."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.graph import Array, Graph, Node

_CONVOLUTIONS = frozenset({"Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1d", "DepthwiseConv2dNative"})


@rewrites(order=10)
def take_pads_into_convolutions(graph: Graph, kept: Set[str]) -> None:
    """Pad → convolution without padding of its own; the Pad goes when nothing else reads it."""
    for node in list(graph):
        if node.op not in _CONVOLUTIONS or node.attrs["padding"] != "VALID":
            continue
        pad = graph.producer_of(node.inputs[0])
        pads = _zeros_around(graph, pad)
        if pads is None or pad.output in kept or len(graph.readers(pad.output)) != 1:
            continue
        flat = [int(side) for side in pads.flat]
        attrs = {"padding": "EXPLICIT", "explicit_paddings": flat}
        graph.replace(node.with_inputs([pad.inputs[0], *node.inputs[1:]]).with_attrs(**attrs))
        graph.remove(pad.name)


_POSITIVE = frozenset({"Relu", "Relu6", "Sigmoid", "Softplus", "Softmax", "Abs", "Square", "Exp"})
_KEEP_SIGNS = frozenset({"MaxPool", "AvgPool", "Concat", "ConcatV2", "Reshape", "Transpose", "Squeeze", "ExpandDims"})


@rewrites(order=10)
def take_pads_into_max_pools(graph: Graph, kept: Set[str]) -> None:
    """Pad → MaxPool without padding of its own, of what is nowhere negative.

    A pool pads with what never wins, the lowest number there is. Zeros do not win either where a window that reaches
    over them has a number in it that is at least 0.
    """
    for node in list(graph):
        if node.op != "MaxPool" or node.attrs["padding"] != "VALID":
            continue
        pad = graph.producer_of(node.inputs[0])
        pads = _zeros_around(graph, pad)
        if pads is None or pad.output in kept or len(graph.readers(pad.output)) != 1:
            continue
        if (pads >= np.array(node.attrs["ksize"])[:, None]).any() or not _is_never_negative(graph, pad.inputs[0]):
            continue
        attrs = {"padding": "EXPLICIT", "explicit_paddings": [int(side) for side in pads.flat]}
        graph.replace(node.with_inputs([pad.inputs[0]]).with_attrs(**attrs))
        graph.remove(pad.name)


def _is_never_negative(graph: Graph, tensor: str, depth: int = 6) -> bool:
    node = graph.find_producer(tensor)
    if node is None or depth == 0:
        return False
    if (array := graph.value(tensor)) is not None:
        return bool((array >= 0).all())
    if node.op in _POSITIVE:
        return True
    if node.op not in _KEEP_SIGNS:
        return False
    return all(_is_never_negative(graph, given, depth - 1) for given in _data(node))


def _data(node: Node) -> tuple[str, ...]:
    """The inputs that hold what the output holds, without axes, shapes and the like."""
    if node.op == "Concat":
        return node.inputs[1:]
    return node.inputs[:-1] if node.op == "ConcatV2" else node.inputs[:1]


def _zeros_around(graph: Graph, pad: Node) -> Array | None:
    """How many zeros ``pad`` puts before and after each axis, if there are none about batch and channels."""
    if pad.op not in ("Pad", "PadV2"):
        return None
    pads, reader = graph.value(pad.inputs[1]), graph.readers(pad.output)
    fill = graph.value(pad.inputs[2]) if pad.op == "PadV2" else None
    if pads is None or not reader or (pads < 0).any():
        return None
    if pad.op == "PadV2" and (fill is None or fill.any()):
        return None
    channels = 1 if str(reader[0].attrs.get("data_format")).startswith("NC") else -1
    return None if pads[0].any() or pads[channels].any() else pads
