"""The values of the small tensors that steer a graph: flags, and the logic and arithmetic over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from bnfold.graph import Array, Graph, Node, node_name

SMALL = 16
"""Constants of more elements steer nothing and are not followed."""

RULES: Mapping[str, Callable[..., Any]] = {
    "Identity": lambda x: x,
    "StopGradient": lambda x: x,
    "Enter": lambda x: x,
    "LogicalNot": np.logical_not,
    "LogicalAnd": np.logical_and,
    "LogicalOr": np.logical_or,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Neg": np.negative,
    "Squeeze": np.squeeze,
}

REDUCTIONS: Mapping[str, Callable[..., Any]] = {"All": np.all, "Any": np.any}


def evaluate_scalar(node: Node, inputs: Sequence[str], values: MutableMapping[str, Array]) -> None:
    """Enter the value of ``node``'s output into ``values`` if it follows from what is known.

    Parameters
    ----------
    node : Node
    inputs : sequence of str
        The tensors it reads.
    values : mutable mapping of str to ndarray
    """
    if node.output in values:
        return
    if node.op == "Const":
        if node.attrs["value"].size <= SMALL:
            values[node.output] = node.attrs["value"]
        return
    arguments = [values[tensor] for tensor in inputs if tensor in values]
    if (short := _short_circuit(node, arguments)) is not None:
        values[node.output] = short
    elif arguments and len(arguments) == len(inputs):
        result = _apply(node, arguments)
        if result is not None:
            values[node.output] = result


def _short_circuit(node: Node, arguments: list[Array]) -> Array | None:
    """``False and x``, ``True or x``: known although ``x`` is not."""
    if node.op == "LogicalAnd" and any(not a.all() for a in arguments if a.size == 1):
        return np.asarray(False)
    if node.op == "LogicalOr" and any(a.all() for a in arguments if a.size == 1):
        return np.asarray(True)
    return None


def _apply(node: Node, arguments: list[Array]) -> Array | None:
    if node.op in RULES:
        return np.asarray(RULES[node.op](*arguments))
    if node.op == "Cast" and node.attrs["DstT"].numpy is not None:
        return arguments[0].astype(node.attrs["DstT"].numpy)
    if node.op == "Reshape" and arguments[0].size == 1 and arguments[1].size == 0:
        return arguments[0].reshape(())
    if node.op in REDUCTIONS and arguments[0].size == 1:
        return np.asarray(REDUCTIONS[node.op](arguments[0]))
    return None


def few_sources(graph: Graph, tensor: str, most: int = 2 * SMALL) -> list[Node] | None:
    """What ``tensor`` is computed from, in order; None where that is more than ``most`` nodes."""
    names: set[str] = set()
    stack = [node_name(tensor)]
    while stack:
        name = stack.pop()
        if name in names or name not in graph:
            continue
        names.add(name)
        if len(names) > most:
            return None
        stack.extend(node_name(t) for t in graph[name].inputs)
    return graph.topological([tensor])


def known_scalar(graph: Graph, tensor: str) -> float | None:
    """The number that ``tensor`` always is, where it follows from a few constants."""
    sources = few_sources(graph, tensor)
    values: dict[str, Array] = {}
    for node in sources or ():
        evaluate_scalar(node, node.inputs, values)
    value = values.get(tensor)
    return float(value.item()) if value is not None and value.size == 1 and value.dtype.kind in "fiu" else None


def is_rate(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is a decay, or is computed from one and from scalars such as the global step alone."""
    leaves = [node for node in few_sources(graph, tensor) or () if not node.inputs]
    return bool(leaves) and all(
        node.attrs["value"].size <= 1 if node.op == "Const" else node.attrs.get("shape") == () for node in leaves
    )
