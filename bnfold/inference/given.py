"""Scalars that the user fixes by hand: ``--set keep_prob=1``."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

from bnfold.errors import InferenceError
from bnfold.graph import Array, Graph, Node, constant, node_name, tensor_name
from bnfold.graph.stages import SourceModel
from bnfold.inference.variables import VARIABLE_OPS

SETTABLE = frozenset({"Placeholder", "PlaceholderWithDefault", "Const"}) | VARIABLE_OPS


def fix(graph: Graph, values: Mapping[str, Array]) -> Graph:
    """A copy of ``graph`` in which the nodes behind the tensors ``values`` are constants."""
    graph = graph.copy()
    for tensor, value in values.items():
        node = graph[node_name(tensor)]
        if node.op == "VarHandleOp":
            _fix_reads(graph, node, value)
        else:
            graph.replace(constant(node.name, value, node.attrs["dtype"]))
    return graph


def _fix_reads(graph: Graph, handle: Node, value: Array) -> None:
    for reader in graph.readers(handle.output):
        if reader.op == "ReadVariableOp":
            graph.replace(constant(reader.name, value, handle.attrs["dtype"]))


def current_value(source: SourceModel, node: Node) -> Array | None:
    """The value that ``node`` has in the source: a variable's, a constant's, a default; None for a Placeholder."""
    if node.op == "Const":
        value: Array = node.attrs["value"]
        return value
    if node.op == "PlaceholderWithDefault":
        return source.graph.value(node.inputs[0])
    variable = source.variables.get(node.name)
    return variable.read() if variable is not None and variable.key is not None else None


def default_switches(
    source: SourceModel, graph: Graph, outputs: Iterable[str], asked: Container[str]
) -> dict[str, Array]:
    """The bools with a default on which ``outputs`` of ``graph`` depend, and their defaults, by tensor.

    Those in ``asked`` are fed, and choose when the model runs.
    """
    live = (graph[name] for name in graph.ancestors(outputs))
    switches = (n for n in live if n.op == "PlaceholderWithDefault" and n.attrs["dtype"].name == "bool")
    found = {n.output: current_value(source, n) for n in switches if n.output not in asked}
    return {tensor: value for tensor, value in found.items() if value is not None and value.shape == ()}


def given_values(graph: Graph, set_values: Mapping[str, Any]) -> dict[str, Array]:
    """The user's values by tensor, in the type of the node that each replaces.

    Parameters
    ----------
    graph : Graph
    set_values : mapping of str to scalar
        By node or tensor name.

    Raises
    ------
    InferenceError
        For a name the graph does not have, a node that is no input or constant, or a value that does not fit its type.
    """
    return {tensor_name(name): _value(graph, tensor_name(name), value) for name, value in set_values.items()}


def _value(graph: Graph, tensor: str, value: Any) -> Array:
    node = graph.find_producer(tensor)
    if node is None:
        settable = [node.name for node in graph if node.op in SETTABLE]
        close = difflib.get_close_matches(node_name(tensor), settable, 3)
        raise InferenceError(
            f"cannot set {node_name(tensor)}: the graph has no such node",
            hint=f"did you mean {', '.join(close)}?" if close else "bnfold inspect lists the inputs",
        )
    if node.op not in SETTABLE:
        raise InferenceError(
            f"cannot set {node.name}: it is a {node.op}, not a placeholder, variable or constant",
            hint="bnfold inspect lists the inputs",
            node=node.name,
        )
    dtype = node.attrs["dtype"]
    number = np.asarray(value)
    if dtype.numpy is None or number.dtype.kind not in "bif" or (number.dtype.kind == "f" and not dtype.is_floating):
        raise InferenceError(
            f"cannot set {node.name} to {value!r}: it is of type {dtype.name}",
            hint=f"give a {dtype.name}",
            node=node.name,
        )
    array: Array = number.astype(dtype.numpy)
    return array
