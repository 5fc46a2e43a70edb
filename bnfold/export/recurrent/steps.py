"""A While whose every step is a step of recurrent cells: which arguments are sequences, states and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

import numpy as np

from bnfold.export.bodies import parameter, source
from bnfold.export.loops import (
    ITEM,
    RESERVED,
    Loop,
    constant_in,
    constant_outside,
    is_counter,
    read_loop,
    same_tensor,
    without_collections,
)
from bnfold.export.recurrent.cells import Cell, Cells
from bnfold.export.recurrent.constants import fold_constants
from bnfold.export.scope import specialised
from bnfold.export.sizes import Sizes
from bnfold.graph import Function, Graph, Node

PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2"})


@dataclass(frozen=True)
class Steps:
    """What a loop does.

    Attributes
    ----------
    cells : list of Cell
    sequences : dict of str to int
        Leaf → the argument with the sequence, time first.
    states : dict of str to int
        Leaf → the argument.
    lists : dict of int to str
        Arguments that are lists with one item for each step → the leaf that is written.
    lasts : dict of int to str
        Arguments that are lists with the item of the last step alone → the leaf that is written.
    lengths : str
        Tensor of the calling graph: after how many steps each row of the batch ends; "" if all are as long.
    """

    cells: list[Cell]
    sequences: dict[str, int]
    states: dict[str, int]
    lists: dict[int, str]
    lasts: dict[int, str]
    lengths: str


def read_steps(graph: Graph, node: Node, wanted: Set[int], sizes: Sizes) -> Steps | None:
    """The recurrent layers that the While ``node`` of ``graph`` is, if it is nothing else.

    Parameters
    ----------
    graph : Graph
    node : Node
    wanted : set of int
        The results of the loop that are read.
    sizes : Sizes
        Of ``graph``.
    """
    body = graph.functions[node.attrs["body"].name].graph
    if not any(inner.op in PRODUCTS for inner in body):
        return None
    loop = read_loop(graph, node, set(wanted))
    counters = {i for i in loop.carried if is_counter(loop, i, start=0)}
    if not loop.limits or counters & wanted or any(not is_counter(loop, i, start=0) for i, _ in loop.limits):
        return None
    reading = _Reading(loop, node, counters)
    steps = reading.steps()
    return steps if steps is not None and _runs_to_the_end(loop, steps, sizes) else None


class _Reading:
    """The body of a loop, with what is known of its arguments."""

    def __init__(self, loop: Loop, node: Node, counters: set[int]) -> None:
        self.loop = loop
        self.counters = counters
        self.last_items = {i: item for i in loop.carried if (item := _overwritten(loop, i))}
        function = without_collections(loop)
        carried = [self.last_items.get(i, tensor) for i, tensor in zip(loop.carried, function.outputs, strict=False)]
        items = function.outputs[len(carried) :]
        values = {i: array for i in loop.constants if (array := constant_outside(loop, i)) is not None}
        shapes = {i: loop.graph.shape_of(node.tensor(i)) for i in range(len(loop.initial))}
        outputs = (*carried, *items)
        body = specialised(replace(function, outputs=outputs), loop.graph.functions, values, shapes)
        self.graph = fold_constants(body)
        self.function = Function(function.name, self.graph, function.inputs, outputs)
        self.following = dict(zip(loop.carried, carried, strict=True))
        self.items = dict(zip(loop.collected, items, strict=True))
        self.lengths: set[int] = set()

    def steps(self) -> Steps | None:
        leaves = dict(self._entries())
        states = {self._argument(i): i for i in self.following if i not in self.counters | self.last_items.keys()}
        following = {leaf: self._unmasked(self.following[i], leaf) for leaf, i in states.items()}
        leaves |= {leaf: leaf for leaf in states}
        masked = len(self.lengths)
        if not states or None in following.values() or masked > 1:
            return None
        cells = Cells(self.graph, {leaf: str(tensor) for leaf, tensor in following.items()}, leaves).find()
        written = {i: self._unmasked(item, None) for i, item in (self.items | self.last_items).items()}
        if cells is None or None in written.values() or len(self.lengths) != masked:
            return None
        if masked and (self.last_items or not self._all_masked(states)):
            return None
        made = {source(self.graph, str(tensor)) for tensor in following.values()}
        if any(source(self.graph, str(tensor)) not in made for tensor in written.values()):
            return None
        sequences = {leaf: self.function.inputs.index(leaf) for leaf in set(leaves.values()) - states.keys()}
        sources = {i: source(self.graph, str(tensor)) for i, tensor in written.items()}
        return Steps(
            cells,
            sequences,
            states,
            {i: sources[i] for i in self.items},
            {i: sources[i] for i in self.last_items},
            self.loop.initial[next(iter(self.lengths))] if masked else "",
        )

    def _argument(self, index: int) -> str:
        return self.function.inputs[index]

    def _entries(self) -> Iterator[tuple[str, str]]:
        """What is read of item ``counter`` of an argument that stays the same, and the argument."""
        for node in self.graph:
            if node.op != "GatherV2":
                continue
            sequence, place = (parameter(self.function, tensor) for tensor in node.inputs[:2])
            axis = self.graph.value(node.inputs[2])
            if sequence in self.loop.constants and place in self.counters and axis is not None and axis.item() == 0:
                yield node.output, self._argument(sequence)

    # Rows that end earlier

    def _unmasked(self, tensor: str, state: str | None) -> str | None:
        """``tensor``, or what it is before the end of a row, if it is then the old ``state`` or, for outputs, zero."""
        node = self.graph.find_producer(source(self.graph, tensor))
        if node is None or node.op not in ("Select", "SelectV2"):
            return tensor
        ended, old, new = node.inputs
        lengths = self._lengths_behind(ended)
        same = source(self.graph, old) == state if state is not None else self._is_zero(old)
        if lengths is None or not same:
            return None
        self.lengths.add(lengths)
        return new

    def _lengths_behind(self, condition: str) -> int | None:
        """The argument ``lengths`` of ``counter >= lengths``."""
        node = self.graph.find_producer(source(self.graph, condition))
        if node is None or node.op not in ("GreaterEqual", "LessEqual"):
            return None
        time, lengths = (parameter(self.function, t) for t in node.inputs[:: 1 if node.op == "GreaterEqual" else -1])
        known = None if lengths is None else self.loop.graph.shape_of(self.loop.initial[lengths])
        if time not in self.counters or lengths not in self.loop.constants or known is None or len(known) != 1:
            return None
        return lengths

    def _all_masked(self, states: dict[str, int]) -> bool:
        tensors = [self.following[i] for i in states.values()] + list(self.items.values())
        nodes = [self.graph.find_producer(source(self.graph, tensor)) for tensor in tensors]
        return all(node is not None and node.op in ("Select", "SelectV2") for node in nodes)

    def _is_zero(self, tensor: str) -> bool:
        index = parameter(self.function, tensor)
        if index is not None and index in self.loop.constants:
            return is_zero(self.loop.graph, self.loop.initial[index])
        return is_zero(self.graph, tensor)


def is_zero(graph: Graph, tensor: str) -> bool:
    """Is every element of ``tensor`` certainly zero?"""
    node = graph.find_producer(source(graph, tensor))
    if node is None:
        return False
    if node.op in ("Fill", "Tile", "BroadcastTo", "Reshape", "ExpandDims", "Cast"):
        return is_zero(graph, node.inputs[1 if node.op == "Fill" else 0])
    value = graph.value(node.output)
    return node.op == "ZerosLike" or (value is not None and value.dtype.kind in "fiu" and not value.any())


def _overwritten(loop: Loop, index: int) -> str:
    """What each step writes to a list of one item, if argument ``index`` is such a list."""
    body = loop.body.graph
    last = body.find_producer(source(body, loop.body.outputs[index]))
    first = loop.graph.find_producer(source(loop.graph, loop.initial[index]))
    if last is None or first is None or ITEM not in last.attrs or RESERVED not in first.attrs:
        return ""
    whole, place, item = last.attrs[ITEM]
    count = loop.graph.value(first.attrs[RESERVED])
    at = constant_in(loop, loop.body, place) if place else None
    certain = count is not None and count.item() == 1 and at is not None and at.item() == 0
    return str(item) if certain and parameter(loop.body, whole) == index else ""


def _runs_to_the_end(loop: Loop, steps: Steps, sizes: Sizes) -> bool:
    """Is there a step for each entry of the sequences, or at least for each before the end of the longest row?"""
    shapes = [sizes.shape(source(loop.graph, loop.initial[i])) for i in steps.sequences.values()]
    if not shapes or None in shapes:
        return False
    lengths = {shape[0] for shape in shapes if shape}
    if len(lengths) != 1 or 0 in {size.known for size in lengths}:
        return False
    (time,) = lengths

    def is_time(tensor: str) -> bool:
        values = sizes.values(_number_behind(loop.graph, tensor))
        return values is not None and len(values) == 1 and values[0] == time

    def covers(tensor: str) -> bool:
        node = loop.graph.find_producer(source(loop.graph, tensor))
        if is_time(tensor) or node is None or node.op != "Minimum":
            return is_time(tensor)
        for one, other in (node.inputs, node.inputs[::-1]):
            longest = _positive(loop.graph, other) if is_time(one) else None
            if longest is not None and (is_time(longest) or _is_longest(loop.graph, longest, steps.lengths)):
                return True
        return False

    for _, limit in loop.limits:
        if not (covers(loop.initial[limit]) if isinstance(limit, int) else time.known == limit.item()):
            return False
    counts = [loop.collected[index].count for index in steps.lists]
    return all(not count or same_tensor(loop.graph, count, np.array(0)) or is_time(count) for count in counts)


def _number_behind(graph: Graph, tensor: str) -> str:
    """Keras takes the maximum of one number."""
    node = graph.find_producer(source(graph, tensor))
    if node is not None and node.op == "Max" and graph.shape_of(node.inputs[0]) == ():
        return source(graph, node.inputs[0])
    return source(graph, tensor)


def _positive(graph: Graph, tensor: str) -> str | None:
    """``x`` of ``max(1, x)``"""
    node = graph.find_producer(source(graph, tensor))
    if node is None or node.op != "Maximum":
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        value = graph.value(source(graph, one))
        if value is not None and value.size == 1 and value.item() == 1:
            return other
    return None


def _is_longest(graph: Graph, tensor: str, lengths: str) -> bool:
    """``reduce_max(lengths)``"""
    node = graph.find_producer(source(graph, tensor))
    return (
        bool(lengths)
        and node is not None
        and node.op == "Max"
        and (source(graph, node.inputs[0]) == source(graph, lengths))
    )
