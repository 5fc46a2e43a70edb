"""The scopes of Keras 3's layers, called as the layers are.

Keras 3 opens a layer's name scope twice in a call, to build and to compute, so that TensorFlow numbers the second:
the ops of layer ``net/bn`` stand in ``net_1/bn_1``, and what users know as ``bn`` is nowhere in the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bnfold.graph import Graph, Node, node_name
from bnfold.graph.stages import Signature, SourceModel

_NUMBERED = re.compile(r"(.+)_(\d+)")


def named_by_layers(source: SourceModel, model: Any) -> SourceModel:
    """``source``, traced from the Keras 3 ``model``, with each layer's first call in a scope of the layer's name."""
    new = _new_names(source.graph, layer_names(model), source.variables)

    def tensor(name: str) -> str:
        head = node_name(name)
        return new[head] + name[len(head) :]

    graph = Graph((_renamed(node, new) for node in source.graph), producer=source.graph.producer)
    graph.functions = dict(source.graph.functions)
    signatures = tuple(
        Signature(s.name, dict(s.inputs), {key: tensor(value) for key, value in s.outputs.items()})
        for s in source.signatures
    )
    return replace(source, graph=graph, signatures=signatures)


def layer_names(model: Any) -> set[str]:
    """The names of ``model`` and of the layers in it, at every depth."""
    names: set[str] = set()
    stack = [model]
    while stack:
        layer = stack.pop()
        names.add(str(layer.name))
        stack.extend(getattr(layer, "layers", ()))
    return names


def _new_names(graph: Graph, layers: set[str], variables: Mapping[str, Any]) -> dict[str, str]:
    """A name for each node; variables, placeholders and constants that were captured keep theirs."""
    fixed = {node.name for node in graph if "/" not in node.name or node.name in variables}
    scopes = _scopes([node.name for node in graph if node.name not in fixed], layers)
    new = {node.name: node.name if node.name in fixed else _moved(node.name, scopes) for node in graph}
    if len(set(new.values())) < len(new):  # a layer with the name of an op, say: then nothing is renamed
        return {name: name for name in new}
    return new


def _scopes(names: Iterable[str], layers: set[str]) -> dict[str, str]:
    """For each scope that is a layer's first call, by its path: the layer's name."""
    children: dict[str, set[str]] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(len(parts) - 1):
            children.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
    renamed = {}
    for parent, scopes in children.items():
        calls: dict[str, list[tuple[int, str]]] = {}
        for scope in scopes:
            if (found := _NUMBERED.fullmatch(scope)) and found[1] in layers:
                calls.setdefault(found[1], []).append((int(found[2]), scope))
        first = {min(found)[1]: layer for layer, found in calls.items()}
        staying = scopes - set(first)
        for scope, layer in first.items():
            if layer not in staying:
                renamed[f"{parent}/{scope}" if parent else scope] = layer
    return renamed


def _moved(name: str, scopes: Mapping[str, str]) -> str:
    parts = name.split("/")
    moved = [scopes.get("/".join(parts[: depth + 1]), part) for depth, part in enumerate(parts[:-1])]
    return "/".join([*moved, parts[-1]])


def _renamed(node: Node, new: Mapping[str, str]) -> Node:
    def tensor(name: str) -> str:
        head = node_name(name)
        return new.get(head, head) + name[len(head) :]

    inputs = tuple(tensor(name) for name in node.inputs)
    return replace(node, name=new[node.name], inputs=inputs, controls=tuple(new.get(c, c) for c in node.controls))
