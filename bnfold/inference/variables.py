"""Which variable stands behind a tensor."""

from __future__ import annotations

import math

from bnfold.graph import Graph, Node, Shape, node_name

VARIABLE_OPS = frozenset({"Variable", "VariableV2", "VarHandleOp"})

ASSIGNMENTS = {
    "Assign": "set",
    "AssignVariableOp": "set",
    "AssignAdd": "add",
    "AssignAddVariableOp": "add",
    "AssignSub": "subtract",
    "AssignSubVariableOp": "subtract",
}
"""Ops that write a variable (input 0) with a value (input 1), and what they do with it."""

SCATTERS = frozenset(
    {"ScatterAdd", "ScatterDiv", "ScatterMax", "ScatterMin", "ScatterMul", "ScatterSub", "ScatterUpdate"}
)

TRANSPARENT = frozenset(
    {
        "Identity",
        "ReadVariableOp",
        "Enter",
        "RefEnter",
        "Switch",
        "RefSwitch",
        "RefIdentity",
        "Cast",
        "Reshape",
        "Squeeze",
        "ExpandDims",
        "StopGradient",
        "PreventGradient",
        "EnsureShape",
        "CheckNumerics",
    }
)
"""Ops whose first output holds the numbers of their first input, in another shape or precision at most."""


def static_size(shape: Shape | None) -> int | None:
    """Number of elements of a tensor of ``shape``; None where it is not known."""
    sizes = [size for size in shape if size is not None] if shape is not None else None
    if shape is None or sizes is None or len(sizes) < len(shape):
        return None
    return math.prod(sizes)


def source_of(graph: Graph, tensor: str) -> str:
    """The tensor whose numbers ``tensor`` holds: up through reads, reshapes, casts and switches."""
    while (node := graph.find_producer(tensor)) is not None and node.op in TRANSPARENT:
        tensor = node.inputs[0]
    return tensor


def without_writes(graph: Graph) -> Graph:
    """``graph`` with each op that writes a variable and hands on its new value replaced by the variable.

    Some training graphs normalise by what an update has just assigned.
    """
    graph = graph.copy()
    for node in list(graph):
        if node.op in ASSIGNMENTS or node.op in SCATTERS:
            graph.redirect(node.output, node.inputs[0])
    return graph


def variable_behind(graph: Graph, tensor: str) -> Node | None:
    """The variable that ``tensor`` is a reading of (or a reference to), or None."""
    node = graph.get(node_name(source_of(graph, tensor)))
    return node if node is not None and node.op in VARIABLE_OPS else None


def variables_behind(graph: Graph, tensor: str) -> tuple[str, ...]:
    """Names of the variables that ``tensor`` holds: one, or the slices of a partitioned one, or none."""
    node = graph.get(node_name(source_of(graph, tensor)))
    if node is None:
        return ()
    if node.op in VARIABLE_OPS:
        return (node.name,)
    if node.op in ("ConcatV2", "Concat"):
        slices = node.inputs[:-1] if node.op == "ConcatV2" else node.inputs[1:]
        names = [variable.name for t in slices if (variable := variable_behind(graph, t)) is not None]
        return tuple(names) if len(names) == len(slices) else ()
    return ()
