"""Convolutions that TensorFlow's tools have put together with what stood before them, taken apart again.

TensorFlow's kernel of them is right for the first image of a batch alone: it keeps that one's rows for the others.
"""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.shapes import more_specific
from bnfold.graph import Graph, Node
from bnfold.graph.dtypes import INT32
from bnfold.graph.evaluate import infer_types

_FUSED = {"FusedPadConv2D": 0, "FusedResizeAndPadConv2D": 1}
"""How many inputs, after the image, are of a resize; the paddings and the kernel follow."""


@rewrites(order=-40)
def take_convolutions_apart(graph: Graph, kept: Set[str]) -> None:
    """[ResizeBilinear →] MirrorPad → Conv2D, which keeps the name."""
    del kept
    fused = [node for node in graph if node.op in _FUSED]
    for node in fused:
        image, *sizes, paddings, kernel = node.inputs
        dtype = node.attrs["T"]
        if sizes:
            attrs = {"T": dtype, "align_corners": bool(node.attrs.get("resize_align_corners"))}
            image = _added(graph, node, "resized", "ResizeBilinear", (image, *sizes), half_pixel_centers=False, **attrs)
        mode = {"T": dtype, "Tpaddings": INT32, "mode": node.attrs["mode"]}
        image = _added(graph, node, "padded", "MirrorPad", (image, paddings), **mode)
        attrs = {"T": dtype, "strides": node.attrs["strides"], "padding": node.attrs["padding"], "data_format": "NHWC"}
        graph.replace(Node(node.name, "Conv2D", (image, kernel), {**attrs, "dilations": [1] * 4}))
    if fused:
        for tensor, known in infer_types(graph).items():
            graph.types[tensor] = more_specific(graph.types.get(tensor), known)


def _added(graph: Graph, node: Node, what: str, op: str, inputs: tuple[str, ...], **attrs: object) -> str:
    name = graph.fresh_name(f"{node.name}/{what}")
    return graph.add(Node(name, op, inputs, dict(attrs))).output
