"""Nodes that compute the same from the same are one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from bnfold.export.onnx_graph import OnnxGraph, OnnxNode

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
)


def share_twins(graph: OnnxGraph) -> bool:
    """Let the first of equal nodes serve for all, and what reads an Identity read what that reads.

    An output of the graph keeps its name. Returns whether anything was shared.
    """
    instead: dict[str, str] = {}  # by value that goes
    first: dict[Hashable, OnnxNode] = {}
    kept: list[OnnxNode] = []
    named: dict[str, str] = {}  # values that take the name of an output
    made: set[str] = set()
    outputs = set(graph.outputs)
    for node in graph.nodes:
        node.rename(instead)
        is_output = not outputs.isdisjoint(node.outputs)
        if node.op == "Identity" and not node.domain:
            [source], [result] = node.inputs, node.outputs
            if not is_output or (source in made and source not in outputs and source not in named):
                instead[result] = source
                if is_output:
                    named[source] = result
                continue
        twin = first.setdefault(key, node) if (key := _content(node)) is not None else node
        if twin is node or (is_output and not outputs.isdisjoint((*twin.outputs, *map(named.get, twin.outputs)))):
            kept.append(node)
            made.update(node.outputs)
            continue
        instead.update(zip(node.outputs, twin.outputs, strict=True))
        if is_output:
            named.update(zip(twin.outputs, node.outputs, strict=True))
    changed = len(kept) < len(graph.nodes)
    graph.nodes = kept
    graph.rename(named)
    return changed


def _content(node: OnnxNode) -> Hashable | None:
    """What two nodes have in common that compute the same; None for those that never do."""
    if node.domain or node.op in _RANDOM or any(node.bodies()):
        return None
    attrs = tuple((key, _frozen(value)) for key, value in sorted(node.attrs.items()) if value is not None)
    return node.op, tuple(node.inputs), len(node.outputs), attrs


def _frozen(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    return value if isinstance(value, Hashable) else id(value)
