"""Channels-first ops written as channels-last ones between transposes, so that TensorFlow can run them on a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bnfold.graph.dtypes import INT32
from bnfold.graph.graph import Graph, Node, constant


@dataclass(frozen=True)
class ChannelsFirst:
    """How an op with a ``data_format`` depends on the layout.

    Attributes
    ----------
    data : tuple of int
        Positions of the inputs that are laid out by ``data_format``.
    sizes : tuple of int
        Positions of the inputs that are vectors with one entry for each dimension.
    """

    data: tuple[int, ...] = (0,)
    sizes: tuple[int, ...] = ()


OPS = {
    "Conv2D": ChannelsFirst(),
    "Conv3D": ChannelsFirst(),
    "DepthwiseConv2dNative": ChannelsFirst(),
    "Conv2DBackpropInput": ChannelsFirst(data=(2,), sizes=(0,)),
    "Conv3DBackpropInputV2": ChannelsFirst(data=(2,), sizes=(0,)),
    "AvgPool": ChannelsFirst(),
    "AvgPool3D": ChannelsFirst(),
    "MaxPool": ChannelsFirst(),
    "MaxPool3D": ChannelsFirst(),
    "MaxPoolV2": ChannelsFirst(sizes=(1, 2)),
    "DepthToSpace": ChannelsFirst(),
    "SpaceToDepth": ChannelsFirst(),
}
"""Ops whose CPU kernels know channels last only; BiasAdd and FusedBatchNorm know both."""

PER_DIMENSION = ("strides", "dilations", "ksize")
CHANNELS_LAST = {"NCHW": "NHWC", "NCDHW": "NDHWC"}


def channels_last(graph: Graph) -> Graph:
    """``graph`` with each op of `OPS` in channels-last form; every tensor keeps its name and its value.

    The same graph comes back when nothing in it is channels first.
    """
    functions = {name: replace(body, graph=channels_last(body.graph)) for name, body in graph.functions.items()}
    changed = any(functions[name].graph is not body.graph for name, body in graph.functions.items())
    if not changed and not any(_is_channels_first(node) for node in graph):
        return graph
    rewritten = Graph((new for node in graph for new in _rewrite(node)), producer=graph.producer)
    rewritten.types, rewritten.functions = dict(graph.types), functions
    return rewritten


def _is_channels_first(node: Node) -> bool:
    return node.op in OPS and node.attrs.get("data_format") in CHANNELS_LAST


def _rewrite(node: Node) -> Iterator[Node]:
    if not _is_channels_first(node):
        yield node
        return
    row, rank = OPS[node.op], len(node.attrs["data_format"])
    to_last = (0, *range(2, rank), 1)
    to_first = (0, rank - 1, *range(1, rank - 1))
    stem = f"{node.name}/channels_last"
    order = constant(f"{stem}/order", np.array(to_last, np.int32))
    yield order
    inputs = list(node.inputs)
    for position in row.data:
        moved = _transpose(f"{stem}/input_{position}", inputs[position], order, node)
        inputs[position] = moved.output
        yield moved
    for position in row.sizes:
        axis = constant(f"{stem}/axis_{position}", np.int32(0))
        sizes = _gather(f"{stem}/sizes_{position}", inputs[position], order, axis, node)
        inputs[position] = sizes.output
        yield from (axis, sizes)
    inner = replace(node, name=stem, inputs=tuple(inputs)).with_attrs(**_attrs(node, to_last))
    back = constant(f"{stem}/back", np.array(to_first, np.int32))
    yield from (inner, back, replace(_transpose(node.name, inner.output, back, node), controls=node.controls))


def _attrs(node: Node, order: Sequence[int]) -> dict[str, object]:
    attrs: dict[str, object] = {"data_format": CHANNELS_LAST[node.attrs["data_format"]]}
    for key in PER_DIMENSION:
        if values := node.attrs.get(key):
            attrs[key] = [values[axis] for axis in order]
    if pads := node.attrs.get("explicit_paddings"):
        attrs["explicit_paddings"] = [pads[2 * axis + side] for axis in order for side in (0, 1)]
    return attrs


def _transpose(name: str, tensor: str, order: Node, op: Node) -> Node:
    return Node(name, "Transpose", (tensor, order.output), {"T": op.attrs["T"], "Tperm": INT32})


def _gather(name: str, tensor: str, order: Node, axis: Node, op: Node) -> Node:
    attrs = {"Tparams": op.attrs.get("Tshape", INT32), "Tindices": INT32, "Taxis": INT32, "batch_dims": 0}
    return Node(name, "GatherV2", (tensor, order.output, axis.output), attrs)
