"""Recurrent layers that run backwards, and pairs that run both ways: one node of ONNX, without the reversals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnfold.export.bodies import source
from bnfold.graph import Graph, Node, TensorType, constant
from bnfold.graph.dtypes import FLOAT32, INT32

LAYERS = frozenset({"LSTM", "GRU", "RNN"})
TIME_FIRST = (1, 0, 2)
"""The permutation between time first and batch first, either way."""

SECOND, BOTH = 3, 6
"""Of a layer that runs both ways: the first output of the way back, and the outputs of both side by side."""


@dataclass(frozen=True)
class Reversal:
    """A ReverseV2 or ReverseSequence along time, seen through a transpose of time and batch if ``turned``."""

    node: Node
    data: str
    lengths: str
    turned: bool


def find_reversal(graph: Graph, tensor: str) -> Reversal | None:
    """What ``tensor``, time first, is the reversal of."""
    inner = behind_transpose(graph, tensor)
    for turned, at in ((False, source(graph, tensor)), (True, inner)):
        node = None if at is None else graph.find_producer(at)
        if node is not None and time_axis(graph, node) == int(turned):
            lengths = source(graph, node.inputs[1]) if node.op == "ReverseSequence" else ""
            return Reversal(node, node.inputs[0], lengths, turned)
    return None


def time_axis(graph: Graph, node: Node) -> int | None:
    """The axis, 0 or 1, along which ``node`` reverses sequences of rank 3, rows by their lengths or all of it."""
    if node.op == "ReverseSequence":
        axes = (node.attrs["seq_dim"], node.attrs.get("batch_dim", 0))
        return axes[0] if axes in ((0, 1), (1, 0)) else None
    axis = graph.value(source(graph, node.inputs[1])) if node.op == "ReverseV2" else None
    if axis is None or axis.size != 1 or len(graph.shape_of(node.inputs[0]) or ()) != len(TIME_FIRST):
        return None
    return int(axis.item()) % 3 if int(axis.item()) % 3 < 2 else None


def behind_transpose(graph: Graph, tensor: str) -> str | None:
    """``x`` of ``transpose(x, [1, 0, 2])``"""
    node = graph.find_producer(source(graph, tensor))
    if node is None or node.op != "Transpose":
        return None
    order = graph.value(source(graph, node.inputs[1]))
    return source(graph, node.inputs[0]) if order is not None and tuple(order.tolist()) == TIME_FIRST else None


def transposed(graph: Graph, tensor: str, stem: str) -> str:
    """``tensor`` with time and batch exchanged: a node that does so already, or a new one."""
    for reader in graph.readers(tensor):
        if reader.op == "Transpose" and behind_transpose(graph, reader.output) == source(graph, tensor):
            return reader.output
    order = add_constant(graph, f"{stem}/perm", np.array(TIME_FIRST, np.int32))
    made = graph.add(
        Node(graph.fresh_name(f"{stem}/transposed"), "Transpose", (tensor, order), {"T": FLOAT32, "Tperm": INT32})
    )
    shape = graph.shape_of(tensor) or (None, None, None)
    graph.types[made.output] = TensorType(FLOAT32, (shape[1], shape[0], shape[2]))
    return made.output


def add_constant(graph: Graph, stem: str, array: Any) -> str:
    made = graph.add(constant(graph.fresh_name(stem), array))
    graph.types[made.output] = TensorType(made.attrs["dtype"], array.shape)
    return made.output


def role(layer: Node, name: str) -> str:
    """The input with that role; "" if the layer has none."""
    roles = layer.attrs["roles"]
    return layer.inputs[roles.index(name)] if name in roles else ""


# Backwards


def run_backwards(graph: Graph, layer: Node) -> str | None:
    """Let ``layer`` run backwards over what its input is the reversal of; gives the node that reverses its outputs."""
    found = find_reversal(graph, layer.inputs[0])
    lengths = role(layer, "sequence_lens")
    if found is None or found.lengths != (source(graph, lengths) if lengths else ""):
        return None
    data = transposed(graph, found.data, layer.name) if found.turned else found.data
    layer = graph.replace(layer.with_inputs([data, *layer.inputs[1:]]).with_attrs(direction="reverse"))
    attrs: dict[str, Any] = dict(found.node.attrs)
    if found.node.op == "ReverseSequence":
        attrs |= {"seq_dim": 0, "batch_dim": 1}
        other = found.node.inputs[1]
    else:
        attrs["Tidx"] = INT32
        other = add_constant(graph, f"{layer.name}/axis", np.array([0], np.int32))
    back = graph.add(Node(graph.fresh_name(f"{layer.name}/reversed"), found.node.op, (layer.output, other), attrs))
    graph.types[back.output] = graph.types[layer.output]
    graph.redirect(layer.output, back.output, only=[r.name for r in graph.readers(layer.output) if r.name != back.name])
    return back.name


def cancel(graph: Graph, node: Node, reversals: set[str]) -> None:
    """Let ``node``, if it reverses what one of ``reversals`` reversed, be what that one reverses."""
    axis = time_axis(graph, node)
    if axis is None or node.name in reversals:
        return
    inner = behind_transpose(graph, node.inputs[0])
    for turned, tensor in ((False, source(graph, node.inputs[0])), (True, inner)):
        first = None if tensor is None else graph.find_producer(tensor)
        if first is None or first.name not in reversals or first.op != node.op or axis != int(turned):
            continue
        if node.op == "ReverseSequence" and source(graph, node.inputs[1]) != source(graph, first.inputs[1]):
            continue
        put(graph, node, first.inputs[0], turned=turned)
        return


def put(graph: Graph, node: Node, tensor: str, *, turned: bool) -> None:
    """Let ``node`` be ``tensor``, with time and batch exchanged if ``turned``."""
    if not turned:
        graph.replace(Node(node.name, "Identity", (tensor,), {"T": FLOAT32}))
        return
    order = add_constant(graph, f"{node.name}/perm", np.array(TIME_FIRST, np.int32))
    graph.replace(Node(node.name, "Transpose", (tensor, order), {"T": FLOAT32, "Tperm": INT32}))


# Both ways

_SAME = ("hidden_size", "activations", "alpha", "beta", "linear_before_reset", "roles")


def pairs(graph: Graph, layers: list[Node]) -> Iterator[tuple[Node, Node]]:
    """A layer and one that does the same backwards, to the same input."""
    forward = [layer for layer in layers if layer.attrs["direction"] == "forward"]
    backward = [layer for layer in layers if layer.attrs["direction"] == "reverse"]
    for one in forward:
        other = next((layer for layer in backward if _is_pair(graph, one, layer)), None)
        if other is not None:
            backward.remove(other)
            yield one, other


def _is_pair(graph: Graph, one: Node, other: Node) -> bool:
    if one.op != other.op or any(one.attrs[name] != other.attrs[name] for name in _SAME):
        return False
    if any(_meaning(graph, role(one, name)) != _meaning(graph, role(other, name)) for name in ("X", "sequence_lens")):
        return False
    return one.name not in graph.ancestors(other.inputs) and other.name not in graph.ancestors(one.inputs)


def _meaning(graph: Graph, tensor: str) -> tuple[str, bool]:
    inner = behind_transpose(graph, tensor) if tensor else None
    return (source(graph, tensor) if tensor else "", False) if inner is None else (inner, True)


def join(graph: Graph, one: Node, other: Node) -> Node:
    """The layer ``one`` made to run both ways, in the place of both."""
    tensors = []
    for name, first, second in zip(one.attrs["roles"], one.inputs, other.inputs, strict=True):
        if name in ("X", "sequence_lens"):
            tensors.append(first)
        elif name.startswith("initial"):
            packed = graph.fresh_name(f"{one.name}/{name}")
            attrs = {"T": FLOAT32, "N": 2, "axis": 0}
            tensors.append(graph.add(Node(packed, "Pack", (first, second), attrs)).output)
            graph.types[tensors[-1]] = TensorType(FLOAT32, (2, *(graph.shape_of(first) or (None, None))))
        else:
            both = [graph.value(tensor) for tensor in (first, second)]
            arrays = [array for array in both if array is not None]
            tensors.append(add_constant(graph, f"{one.name}/{name}", np.concatenate(arrays)))
    attrs = {name: one.attrs[name] * 2 for name in ("activations", "alpha", "beta")}
    layer = graph.replace(one.with_inputs(tensors).with_attrs(direction="bidirectional", **attrs))
    for index in range(SECOND):
        if (known := graph.types.get(other.tensor(index))) is not None:
            graph.types[layer.tensor(SECOND + index)] = known
        graph.redirect(other.tensor(index), layer.tensor(SECOND + index))
    shape = graph.shape_of(layer.output) or (None, None, None)
    graph.types[layer.tensor(BOTH)] = TensorType(FLOAT32, (*shape[:2], 2 * one.attrs["hidden_size"]))
    graph.remove(other.name)
    return layer


def joined_outputs(graph: Graph, layer: Node) -> None:
    """Concatenations of the outputs of both ways are one output of the layer."""
    for node in [node for node in graph if node.op == "ConcatV2" and len(node.inputs) == SECOND]:
        axis = graph.value(source(graph, node.inputs[-1]))
        if axis is None or axis.item() not in (2, -1):
            continue
        meanings = [_meaning(graph, tensor) for tensor in node.inputs[:2]]
        turned = meanings[0][1]
        if meanings == [(layer.output, turned), (layer.tensor(SECOND), turned)]:
            put(graph, node, layer.tensor(BOTH), turned=turned)
