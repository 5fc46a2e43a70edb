"""The outputs of a graph that has no layers: a function written as a graph, whose results are what nothing reads."""

from __future__ import annotations

import re

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.anatomy import Anatomy
from bnfold.inference.choices import Choice, Choices
from bnfold.inference.leftovers import WATCHERS, fed_from, find_leftovers
from bnfold.inference.op_kinds import PLACEHOLDERS, SINK, SUMMARY, UPDATE
from bnfold.inference.shapes import static_types

NO_RESULT = frozenset(
    {"Const", "Enter", "Exit", "LoopCond", "NextIteration", "ReadVariableOp", "Switch", *PLACEHOLDERS}
)
"""Ops whose value is nobody's result when nothing reads it: what a loop, a branch or an update leaves behind."""

SAVER = re.compile(r"Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename")
"""Ops of the Saver: what feeds them is the name of a file."""


def choose_ends(parts: Anatomy) -> Choices:
    """The tensors that nothing reads and that depend on an input, if any do; none where there are layers or gradients.

    There, what nothing reads may as well be a loss, a metric or an update, and the weights tell which. Where there
    are variables without a layer (a norm alone, an offset), it depends on one of these too.

    Parameters
    ----------
    parts : Anatomy
    """
    if parts.layers or parts.gradients:
        return Choices((), ())
    graph = parts.graph
    files = graph.ancestors(tensor for node in graph if SAVER.fullmatch(node.op) for tensor in node.inputs)
    data = (node for node in graph if node.op in PLACEHOLDERS and node.name not in files)
    fed = fed_from(graph, [node.output for node in data])
    last = [node.name for node in graph if _is_result(node) and not _is_read(graph, node)]
    last = [name for name in last if name in fed] or last
    if parts.trainable:
        last = [name for name in last if name in fed and parts.weights.get(name)]
    last = _without_leftovers(graph, last)
    types = static_types(graph, [f"{name}:0" for name in last])
    tensors = [tensor for name in last for tensor in types if node_name(tensor) == name] or [f"{n}:0" for n in last]
    return Choices(tuple(Choice(tensor, "nothing reads it") for tensor in tensors), ())


def _without_leftovers(graph: Graph, last: list[str]) -> list[str]:
    """Those that someone wanted. An Identity that nothing reads is there for its name; no test may leave none."""
    leftovers = find_leftovers(graph)
    last = [name for name in last if name not in leftovers] or last
    watched = {name for name in last if any(reader.op in WATCHERS for reader in graph.consumers(name))}
    last = [name for name in last if name not in watched] or last
    waited_for = {name for node in graph for name in node.controls}
    last = [name for name in last if name not in waited_for] or last
    return [name for name in last if graph[name].op == "Identity"] or last


def _is_result(node: Node) -> bool:
    return node.op not in NO_RESULT and not any(kind.fullmatch(node.op) for kind in (SINK, SUMMARY, UPDATE))


def _is_read(graph: Graph, node: Node) -> bool:
    return any(not SUMMARY.fullmatch(reader.op) for reader in graph.consumers(node.name))
