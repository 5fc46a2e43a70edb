"""TensorFlow writes a convolution of one axis as one of two, the other of size 1; ONNX has it as it is."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node, TensorType, constant

_ONE_AXIS = {"Conv2D": "Conv1D", "DepthwiseConv2dNative": "DepthwiseConv1d"}
_BIASES = frozenset({"BiasAdd", "Add", "AddV2"})


@rewrites(order=-5)
def restore_conv1d(graph: Graph, kept: Set[str]) -> None:
    """ExpandDims → Conv2D with a kernel of height (or width) 1 → perhaps a bias → Squeeze of the same axis."""
    for squeeze in list(graph):
        if squeeze.op != "Squeeze":
            continue
        bias, conv = None, graph.producer_of(squeeze.inputs[0])
        if conv.op in _BIASES and _is_vector(graph, conv.inputs[1]) and _is_read_once(graph, conv, kept):
            bias, conv = conv, graph.producer_of(conv.inputs[0])
        if conv.op in _ONE_AXIS and _is_read_once(graph, conv, kept):
            _restore(graph, squeeze, conv, bias, kept)


def _is_vector(graph: Graph, tensor: str) -> bool:
    """Is it a constant with one number for each channel?"""
    array = graph.value(tensor)
    return array is not None and array.ndim == 1


def _is_read_once(graph: Graph, node: Node, kept: Set[str]) -> bool:
    return node.output not in kept and len(graph.readers(node.output)) == 1


def _restore(graph: Graph, squeeze: Node, conv: Node, bias: Node | None, kept: Set[str]) -> None:
    expand, kernel = graph.producer_of(conv.inputs[0]), graph.value(conv.inputs[1])
    axis = _lone_axis(squeeze, conv)
    if expand.op != "ExpandDims" or kernel is None or axis is None:
        return
    added = graph.value(expand.inputs[1])
    first = 2 if conv.attrs["data_format"] == "NCHW" else 1
    if added is None or int(added.flat[0]) % 4 != axis or kernel.shape[axis - first] != 1:
        return
    paddings = conv.attrs.get("explicit_paddings") or [0] * 8
    if conv.attrs["padding"] == "EXPLICIT" and any(paddings[2 * axis : 2 * axis + 2]):
        return
    name = graph.fresh_name(f"{conv.name}/kernel")
    flat = graph.add(constant(name, kernel.squeeze(axis - first)))
    graph.types[flat.output] = TensorType(flat.attrs["dtype"], flat.attrs["value"].shape)
    attrs = {
        "T": conv.attrs["T"],
        "strides": _without(conv.attrs["strides"], axis),
        "dilations": _without(conv.attrs.get("dilations") or [1] * 4, axis),
        "padding": conv.attrs["padding"],
        "explicit_paddings": paddings[: 2 * axis] + paddings[2 * axis + 2 :],
        "data_format": "NCW" if first == 2 else "NWC",
    }
    restored = Node(conv.name, _ONE_AXIS[conv.op], (expand.inputs[0], flat.output), attrs)
    if bias is None:
        graph.replace(replace(restored, name=squeeze.name))
        graph.remove(conv.name)
    else:
        graph.replace(restored)
        graph.types[conv.output] = graph.types[squeeze.output]
        graph.replace(replace(bias, name=squeeze.name))
        graph.remove(bias.name)
    if expand.output not in kept and not graph.consumers(expand.name):
        graph.remove(expand.name)  # what it reads may be a step of a pattern, and is read by one node less


def _lone_axis(squeeze: Node, conv: Node) -> int | None:
    """The spatial axis that goes, if it is one."""
    axes = [int(axis) % 4 for axis in squeeze.attrs.get("squeeze_dims") or ()]
    spatial = (2, 3) if conv.attrs["data_format"] == "NCHW" else (1, 2)
    return axes[0] if len(axes) == 1 and axes[0] in spatial else None


def _without(items: list[int], axis: int) -> list[int]:
    return [item for position, item in enumerate(items) if position != axis]
