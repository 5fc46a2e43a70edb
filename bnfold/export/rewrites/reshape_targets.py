"""Reshapes whose shape is computed from the input's, to what can be said of it now."""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from bnfold.export.placement import STAND_INS
from bnfold.export.rewrites import rewrites
from bnfold.export.size import Size
from bnfold.export.sizes import Sizes, Values
from bnfold.graph import Graph, Node, Shape, TensorType, constant, node_name


@rewrites(order=20)
def resolve_reshape_targets(graph: Graph, kept: Set[str]) -> None:
    """``[Shape(x)[0], -1]`` is ``[-1, 3136]`` when the rest of ``x`` is known to hold 3136."""
    for node in [node for node in graph if node.op == "Reshape" and _is_computed(graph, node)]:
        shape = graph.shape_of(node.output)
        assert shape is not None
        graph.replace(_with_target(graph, node, shape))
        _drop_unread(graph, node.inputs[1], kept)
    open_ones = [node for node in graph if node.op == "Reshape" and _is_open(graph, node)]
    if not open_ones:
        return
    sizes = Sizes(graph)
    for node in open_ones:
        if node.output in graph.types and (found := sizes.reshaped(node)) is not None:
            _resolve(graph, sizes, node, found)


def _is_computed(graph: Graph, node: Node) -> bool:
    """Does the target take nodes to compute, although TensorFlow knows all of it but one size?"""
    shape = graph.shape_of(node.output)
    known = shape is not None and shape.count(None) <= 1 and 0 not in shape
    return known and graph.value(node.inputs[1]) is None


def _with_target(graph: Graph, node: Node, shape: Shape) -> Node:
    name = graph.fresh_name(f"{node.name}/target")
    target = graph.add(constant(name, np.array([-1 if size is None else size for size in shape], np.int64)))
    graph.types[target.output] = TensorType(target.attrs["dtype"], (len(shape),))
    return node.with_inputs([node.inputs[0], target.output]).with_attrs(Tshape=target.attrs["dtype"])


def _drop_unread(graph: Graph, tensor: str, kept: Set[str]) -> None:
    """Remove what computed ``tensor`` and nothing else."""
    names = [node_name(tensor)]
    while names:
        node = graph.get(names.pop())
        if node is None or node.op == "Placeholder" or graph.consumers(node.name):
            continue
        if not any(node_name(output) == node.name for output in kept):
            graph.remove(node.name)
            names += map(node_name, node.inputs)


def _is_open(graph: Graph, node: Node) -> bool:
    shape = graph.shape_of(node.output)
    return shape is None or shape.count(None) > 1


def _resolve(graph: Graph, sizes: Sizes, node: Node, found: Values) -> None:
    shape: Shape = tuple(None if size is None else size.known for size in found)
    if shape.count(None) <= 1 and 0 not in shape:
        node = _with_target(graph, node, shape)
    before = sizes.shape(node.inputs[0])
    if before is not None and None not in found:
        stands = _stand_ins(before, [size for size in found if size is not None])
        node = node.with_attrs(**{STAND_INS: stands})
    graph.replace(node)
    graph.types[node.output] = TensorType(graph.types[node.output].dtype, shape)


def _stand_ins(before: Sequence[Size], after: Sequence[Size]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The sizes on both sides, with a prime in place of each unknown one, so that their products can be compared."""
    primes: dict[str, int] = {}

    def number(size: Size) -> int | None:
        if len(size.terms) != 1:
            return None
        ((symbols, factor),) = size.terms
        for symbol in symbols:
            factor *= primes.setdefault(symbol, _PRIMES[len(primes) % len(_PRIMES)])
        return factor

    numbers = [[number(size) for size in side] for side in (before, after)]
    if len(primes) > len(_PRIMES) or any(None in side for side in numbers):
        return None
    first, second = (tuple(size for size in side if size is not None) for side in numbers)
    return first, second


_PRIMES = (1000003, 1000033, 1000037, 1000039, 1000081, 1000099, 1000117, 1000121)
"""Larger than the factors that real sizes have."""
