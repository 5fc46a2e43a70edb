"""Variables become constants, and what depends on constants alone is computed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

import numpy as np

from bnfold.errors import InferenceError
from bnfold.graph import Array, DType, Graph, Node, constant, node_name
from bnfold.graph.evaluate import LARGE, run, with_types
from bnfold.graph.graph_def import op_definition
from bnfold.inference.bodies import called_functions, freeze_bodies
from bnfold.inference.variables import VARIABLE_OPS, static_size

PASS_THROUGH = frozenset(
    {
        "CheckNumerics",
        "CheckNumericsV2",
        "PlaceholderWithDefault",
        "PreventGradient",
        "Print",
        "RefIdentity",
        "Snapshot",
        "StopGradient",
    }
)
"""Ops whose output is their first input; what else they do concerns training or debugging only."""

BY_REFERENCE = frozenset({"RefEnter", "RefExit", "RefMerge", "RefNextIteration", "RefSelect", "RefSwitch"})
"""Control flow of variables; of values it goes without the prefix."""

IMPURE = frozenset(
    {
        "Assert",
        "ControlTrigger",
        "Enter",
        "Exit",
        "LoopCond",
        "Merge",
        "NextIteration",
        "NoOp",
        "Placeholder",
        "Switch",
    }
)
"""Ops without state that nevertheless give no value when asked for one outside their place."""


def freeze(graph: Graph, read: Callable[[str], Array], *, judged_later: Container[str] = ()) -> Graph:
    """Put the value of every variable into the graph.

    Parameters
    ----------
    graph : Graph
        Pruned to the outputs.
    read : callable
        The value of the variable of a given node name.
    judged_later : container of str
        Variables whose values may be anything here: moving statistics are judged by layer.

    Raises
    ------
    InferenceError
        When a weight holds NaN or infinities; all such variables are named.
    """
    frozen = graph.copy()
    poisoned = []
    handles: dict[str, DType] = {}
    for node in graph:
        if node.op in VARIABLE_OPS:
            value = np.asarray(read(node.name))
            if node.name not in judged_later and value.dtype.kind == "f" and not np.isfinite(value).all():
                poisoned.append(f"{node.name} ({np.count_nonzero(~np.isfinite(value))} of {value.size} values)")
            frozen.replace(constant(node.name, value, node.attrs["dtype"]))
            if node.op == "VarHandleOp":
                handles[node.output] = node.attrs["dtype"]
        elif node.op in PASS_THROUGH:
            frozen.replace(_identity(node))
        elif node.op in BY_REFERENCE:
            frozen.replace(replace(node, op=node.op.removeprefix("Ref")))
        elif node.op == "VariableShape":
            attrs = {"T": frozen[node_name(node.inputs[0])].attrs["dtype"], "out_type": node.attrs["out_type"]}
            frozen.replace(Node(node.name, "Shape", node.inputs, attrs))
    if poisoned:
        raise InferenceError(
            f"the weights hold NaN or infinite values: {', '.join(poisoned)}",
            hint="the training diverged, or the checkpoint is damaged; take an earlier one",
        )
    freeze_bodies(frozen, handles)
    frozen.functions = called_functions(frozen)
    return frozen


def _identity(node: Node) -> Node:
    return Node(node.name, "Identity", node.inputs[:1], {"T": node.attrs.get("T") or node.attrs["dtype"]})


def fold_constants(graph: Graph, outputs: Iterable[str], *, like: Graph | None = None) -> Graph:
    """Compute what depends on constants alone, and what depends on static shapes alone.

    A tensor that is large and larger than what it is made of (a Fill, a Tile) is left to run time. A constant
    behind an Identity is the constant itself.

    Parameters
    ----------
    graph : Graph
        Without variables.
    outputs : iterable of str
        Tensors whose names must stay.
    like : Graph, optional
        A typed graph, whose types are taken where it is the same: see `with_types`.

    Returns
    -------
    Graph
        Pruned to ``outputs``; ``types`` are set.
    """
    outputs = list(outputs)
    graph = with_types(graph, like=like)
    _fold_static_shapes(graph)
    kept = set(outputs)
    fixed = _constant_nodes(graph)
    for name in fixed:
        node = graph[name]
        if node.op == "Identity" and node.output not in kept:
            graph.redirect(node.output, node.inputs[0])
    border = _border(graph, fixed, kept)
    for tensor, value in zip(border, _values(graph, border), strict=True):
        _put(graph, tensor, value, kept)
    types = graph.types
    graph = graph.pruned(outputs)
    graph.types = {tensor: kind for tensor, kind in types.items() if node_name(tensor) in graph}
    return graph


def _fold_static_shapes(graph: Graph) -> None:
    for node in list(graph):
        if node.op != "Shape":
            continue
        shape = graph.shape_of(node.inputs[0])
        if shape is not None and None not in shape:
            out_type = node.attrs["out_type"]
            graph.replace(constant(node.name, np.array(shape, dtype=out_type.numpy), out_type))


def _constant_nodes(graph: Graph) -> dict[str, None]:
    """Names of the nodes that depend on constants alone, in topological order."""
    fixed: dict[str, None] = {}
    for node in graph.topological():
        if node.op == "Const" or (_is_foldable(graph, node) and all(node_name(t) in fixed for t in node.inputs)):
            fixed[node.name] = None
    return fixed


def _is_foldable(graph: Graph, node: Node) -> bool:
    """Whether ``node`` always gives the same arrays for the same inputs (a tensor list is no array)."""
    definition = op_definition(node.op)
    if not node.inputs or definition is None or definition.is_stateful or node.op in IMPURE:
        return False
    return (kind := graph.type_of(node.output)) is None or kind.dtype.numpy is not None


def _border(graph: Graph, fixed: Mapping[str, None], outputs: set[str]) -> list[str]:
    """The computed constant tensors that something not constant reads, or that are outputs."""
    found = []
    for name in fixed:
        if graph[name].op == "Const":
            continue
        for tensor in dict.fromkeys([*graph.outputs_read(name), *(t for t in outputs if node_name(t) == name)]):
            if tensor in outputs or any(reader.name not in fixed for reader in graph.readers(tensor)):
                found.append(tensor)
    return found


def _values(graph: Graph, tensors: list[str]) -> list[Array | None]:
    """The values of constant ``tensors``; None for those that would blow the graph up."""
    if not tensors:
        return []
    small = [tensor for tensor in tensors if not _grows(graph, tensor)]
    values = dict(zip(small, run(graph.pruned(small), small), strict=True)) if small else {}
    return [values.get(tensor) for tensor in tensors]


def _grows(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is large, and larger than the largest constant that it is made of."""
    shape = graph.shape_of(tensor)
    size = static_size(shape) or 1
    if size <= LARGE:
        return False
    sources = graph.topological([tensor])
    largest: int = max(node.attrs["value"].size for node in sources if node.op == "Const")
    return size > 2 * largest


def _put(graph: Graph, tensor: str, value: Array | None, outputs: set[str]) -> None:
    if value is None:
        return
    value = np.asarray(value)
    node = graph[node_name(tensor)]
    dtype = graph.types[tensor].dtype
    if tensor == node.output and len(graph.outputs_read(node.name)) <= 1:
        graph.replace(constant(node.name, value, dtype))
        return
    name = graph.fresh_name(tensor.replace(":", "_"))
    graph.types[f"{name}:0"] = graph.types[tensor]
    graph.add(constant(name, value, dtype))
    if tensor not in outputs:
        graph.redirect(tensor, f"{name}:0")
