"""Normalisations by a sample's own moments, which TensorFlow writes as some ten nodes and ONNX as one.

    mean = Mean(x)    variance = Mean(SquaredDifference(x, mean))    factor = Rsqrt(variance + epsilon) · gamma
    x · factor + (beta - mean · factor)

with the moments over the last axis is a layer norm, over all axes but the first and the last an instance norm. Gamma
and beta are constants with one number for each channel, or absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.graph import Array, Graph, Node, TensorType, constant
from bnfold.graph.dtypes import FLOAT32

_SUM = frozenset({"Add", "AddV2"})


@dataclass(frozen=True)
class _Moments:
    """What the pattern says.

    Attributes
    ----------
    x : str
        What is normalised.
    axes : tuple of int
        What the moments are over.
    epsilon : float
    gamma, beta : ndarray or None
    inside : set of str
        The nodes between ``x`` and the result.
    """

    x: str
    axes: tuple[int, ...]
    epsilon: float
    gamma: Array | None
    beta: Array | None
    inside: Set[str]


@rewrites(order=6)
def find_moment_norms(graph: Graph, kept: Set[str]) -> None:
    for name in [node.name for node in graph if node.op in _SUM and node.attrs.get("T") == FLOAT32]:
        node = graph.get(name)
        found = None if node is None else next(_matches(graph, node), None)
        if node is not None and found is not None and not _is_seen(graph, node, found.inside, kept):
            _replace(graph, node, found)


def _matches(graph: Graph, node: Node) -> Iterator[_Moments]:
    for scaled, shift in (node.inputs, node.inputs[::-1]):
        product = graph.find_producer(scaled)
        if product is None or product.op != "Mul":
            continue
        for x, factor in (product.inputs, product.inputs[::-1]):
            found = _match(graph, x, factor, shift)
            if found is not None:
                yield _Moments(**{**found.__dict__, "inside": found.inside | {product.name}})


def _match(graph: Graph, x: str, factor: str, shift: str) -> _Moments | None:
    root, gamma, inside = _scaled_root(graph, factor)
    total = None if root is None else graph.find_producer(root.inputs[0])
    if root is None or total is None or total.op not in _SUM:
        return None
    variance_name, epsilon = _and_constant(graph, total)
    variance = None if variance_name is None else graph.find_producer(variance_name)
    axes = _averaged_axes(graph, variance)
    if variance is None or axes is None or epsilon is None or epsilon.size != 1:
        return None
    squares = graph.find_producer(variance.inputs[0])
    if squares is None or squares.op != "SquaredDifference" or x not in squares.inputs:
        return None
    mean = squares.inputs[1] if squares.inputs[0] == x else squares.inputs[0]
    average = graph.find_producer(mean)
    if average is None or _averaged_axes(graph, average) != axes or average.inputs[0] != x:
        return None
    shifted = _shift(graph, shift, mean, factor)
    if shifted is None:
        return None
    beta, others = shifted
    inside = inside | others | {root.name, total.name, variance.name, squares.name, average.name}
    return _Moments(x, axes, float(epsilon.flat[0]), gamma, beta, inside)


def _scaled_root(graph: Graph, factor: str) -> tuple[Node | None, Array | None, set[str]]:
    """The Rsqrt in ``factor``, and the gamma that it is multiplied by."""
    node = graph.find_producer(factor)
    if node is None or node.op != "Mul":
        return (node, None, set()) if node is not None and node.op == "Rsqrt" else (None, None, set())
    root_name, gamma = _and_constant(graph, node)
    root = None if root_name is None else graph.find_producer(root_name)
    return (root, gamma, {node.name}) if root is not None and root.op == "Rsqrt" else (None, None, set())


def _shift(graph: Graph, shift: str, mean: str, factor: str) -> tuple[Array | None, set[str]] | None:
    """The beta in ``beta - mean · factor``, and the nodes of that; None where it is something else."""
    node = graph.find_producer(shift)
    if node is None:
        return None
    if node.op == "Sub":
        beta, product = graph.value(node.inputs[0]), graph.find_producer(node.inputs[1])
        is_product = product is not None and product.op == "Mul" and set(product.inputs) == {mean, factor}
        return (beta, {node.name, product.name}) if is_product and product is not None and beta is not None else None
    if node.op in _SUM:
        other, beta = _and_constant(graph, node)
        rest = None if other is None else _shift(graph, other, mean, factor)
        return None if rest is None or rest[0] is not None or beta is None else (beta, rest[1] | {node.name})
    if node.op != "Mul" or factor not in node.inputs:
        return None
    negated = graph.find_producer(node.inputs[1] if node.inputs[0] == factor else node.inputs[0])
    if negated is None or negated.op != "Neg" or negated.inputs[0] != mean:
        return None
    return None, {node.name, negated.name}


def _and_constant(graph: Graph, node: Node) -> tuple[str | None, Array | None]:
    """The operand that is no constant, and the one that is."""
    for tensor, other in (node.inputs, node.inputs[::-1]):
        array = graph.value(tensor)
        if array is not None:
            return other, array
    return None, None


def _averaged_axes(graph: Graph, node: Node | None) -> tuple[int, ...] | None:
    """The axes of a Mean that keeps them."""
    if node is None or node.op != "Mean" or not node.attrs.get("keep_dims"):
        return None
    axes, shape = graph.value(node.inputs[1]), graph.shape_of(node.inputs[0])
    if axes is None or shape is None:
        return None
    return tuple(sorted({int(axis) % len(shape) for axis in axes.flat}))


def _is_seen(graph: Graph, node: Node, inside: Set[str], kept: Set[str]) -> bool:
    """Does anything but the pattern read what is inside it?"""
    for name in inside:
        output = graph[name].output
        if output in kept or any(reader.name not in inside | {node.name} for reader in graph.readers(output)):
            return True
    return False


def _replace(graph: Graph, node: Node, found: _Moments) -> None:
    shape = graph.shape_of(found.x)
    if shape is None or len(shape) < 2 or shape[-1] is None:
        return
    last = len(shape) - 1
    op = {(last,): "LayerNorm", tuple(range(1, last)): "InstanceNorm"}.get(found.axes)
    gamma, beta = (_per_channel(array, shape[-1], start) for array, start in ((found.gamma, 1), (found.beta, 0)))
    if op is None or gamma is None or beta is None or graph.shape_of(node.output) != shape:
        return
    names = []
    for stem, array in (("gamma", gamma), ("beta", beta)):
        parameter = graph.add(constant(graph.fresh_name(f"{node.name}/{stem}"), array))
        graph.types[parameter.output] = TensorType(FLOAT32, array.shape)
        names.append(parameter.output)
    graph.replace(Node(node.name, op, (found.x, *names), {"T": FLOAT32, "epsilon": found.epsilon}))
    for name in found.inside:
        graph.remove(name)


def _per_channel(array: Array | None, channels: int, start: int) -> Array | None:
    """One number for each channel; ``start`` where there is no array, None where it varies along other axes."""
    if array is None:
        return np.full(channels, start, np.float32)
    if array.size not in (1, channels) or array.shape[-1:] != (array.size,) * bool(array.ndim):
        return None
    return np.broadcast_to(array.reshape(-1), (channels,)).copy()
