"""Lists of tensors, in the graph and in the functions it calls, become tensors.

A list is a variant in TensorFlow 2 (TensorList) and a resource with a float for its history in TensorFlow 1
(TensorArray). Here the tensor of its items, stacked, takes its place: then the types of all that is made of it are
known, and ONNX' own ops on tensors do the work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from bnfold.errors import ExportError
from bnfold.export.bodies import CALLS, calls
from bnfold.export.loops import ITEM
from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.conditionals import UNTYPED
from bnfold.export.rewrites.list_ops import Site
from bnfold.export.rewrites.list_reads import LIST_OPS, PIECEWISE
from bnfold.export.rewrites.shapes import find_shapes
from bnfold.export.rewrites.stacks import Maker, Pieces, Stack
from bnfold.graph import Function, FunctionRef, Graph, Node, Shape, constant, node_name
from bnfold.graph.evaluate import infer_types

_PASSES = frozenset({"Identity", "StopGradient"})
_KEEP_ITEMS = frozenset({"BroadcastTo", "ConcatV2", "StridedSlice"})


@rewrites(order=-20)
def lists_as_tensors(graph: Graph, kept: Set[str]) -> None:
    """Rewrite every op on lists that has a form without; what is left is refused for lack of a lowering."""
    if not any(node.op in LIST_OPS for body in _graphs(graph) for node in body):
        return
    del kept  # no output of a model is a list
    lists = _Lists(graph.functions)
    stacks: dict[str, Stack] = {}
    lists.rewrite(graph, stacks)
    if lists.refused:
        return  # for lack of a lowering the op is reported, with all others
    lists.settle()
    for tensor in stacks:
        graph.types.pop(tensor, None)  # it was a handle's type
    find_shapes(graph)


def _graphs(graph: Graph) -> Iterator[Graph]:
    yield graph
    yield from (function.graph for function in graph.functions.values())


class _Lists:
    """Rewrites a graph and, for the kinds of lists they are called with, the functions of its library."""

    def __init__(self, library: dict[str, Function]) -> None:
        self.library = library
        self.refused = False
        self.pending: list[tuple[Graph, str, str]] = []
        self.ranks: dict[str, tuple[int | None, ...]] = {}
        self.typed: dict[str, Graph] = {}

    def rewrite(self, graph: Graph, stacks: dict[str, Stack]) -> None:
        """Edit ``graph`` in place; ``stacks`` holds the lists among its tensors and gets those that it makes."""
        for node in graph.topological():
            if node.op in LIST_OPS:
                self._rewrite_op(graph, node, stacks)
            elif any(tensor in stacks for tensor in node.inputs) or node.op in CALLS:
                self._pass_on(graph, node, stacks)

    def _rewrite_op(self, graph: Graph, node: Node, stacks: dict[str, Stack]) -> None:
        pending: list[tuple[str, str]] = []
        if node.op not in PIECEWISE and any(isinstance(stacks.get(tensor), Pieces) for tensor in node.inputs):
            self.refused = True
            return
        site = Site(node, Maker(graph, node.name), stacks, graph.shape_of, pending)
        try:
            results = LIST_OPS[node.op](site)
        except KeyError:  # it reads a list that was made in some way that is not known here
            results = None
        if results is None:
            self.refused = True
            return
        self.pending += [(graph, *entry) for entry in pending]
        stacks.update((node.tensor(index), stack) for index, stack in site.new.items())
        dtypes = [
            site.new[i].dtype if i in site.new else graph.types[node.tensor(i)].dtype for i in range(len(results))
        ]
        if len(results) == 1:
            graph.replace(Node(node.name, "Identity", results, {"T": dtypes[0]}))
        else:
            graph.replace(Node(node.name, "IdentityN", results, {"T": dtypes}))

    # Ops that take lists as they come

    def _pass_on(self, graph: Graph, node: Node, stacks: dict[str, Stack]) -> None:
        known = [stacks.get(tensor) for tensor in node.inputs]
        if node.op in _PASSES and known[0] is not None:
            stacks[node.output] = known[0]
            graph.replace(node.with_attrs(T=known[0].dtype))
        elif node.op == "IdentityN":
            dtypes = [stack.dtype if stack else dtype for stack, dtype in zip(known, node.attrs["T"], strict=True)]
            stacks.update((node.tensor(index), stack) for index, stack in enumerate(known) if stack)
            graph.replace(node.with_attrs(T=dtypes))
        elif node.op in CALLS:
            if any(isinstance(stack, Pieces) for stack in known):  # their items and lengths are out here
                self.refused = True
            else:
                self._call(graph, node, known, stacks)

    def _call(self, graph: Graph, node: Node, known: Sequence[Stack | None], stacks: dict[str, Stack]) -> None:
        """If, Case or While: new functions in which the lists among the arguments are tensors."""
        first, attrs = CALLS[node.op]
        kinds = tuple(stack and replace(stack, items=()) for stack in known[first:])
        shapes = [graph.shape_of(tensor) for tensor in node.inputs[first:]]
        ranks = tuple(None if s is None or stack else len(s) for s, stack in zip(shapes, kinds, strict=True))
        changes: dict[str, object] = {}
        results: Sequence[Stack | None] = ()
        for attr in attrs:
            value = node.attrs[attr]
            references = value if isinstance(value, list) else [value]
            renamed = []
            for reference in references:
                name, results = self._function(reference.name, kinds)
                self.ranks.setdefault(name, ranks)
                renamed.append(FunctionRef(name, reference.attrs))
            changes[attr] = renamed if isinstance(value, list) else renamed[0]
        if node.op.endswith("While"):
            results = kinds
            changes["T"] = _dtypes(node.attrs["T"], kinds)
        else:
            changes["Tin"] = _dtypes(node.attrs["Tin"], kinds)
            changes["Tout"] = _dtypes(node.attrs["Tout"], results)
        declared = node.attrs.get("output_shapes") or []
        changes["output_shapes"] = [_shape(s) if s else own for s, own in zip(results, declared, strict=False)]
        if any(kinds) or any(results):
            changes[UNTYPED] = True
        graph.replace(node.with_attrs(**changes))
        stacks.update((node.tensor(index), stack) for index, stack in enumerate(results) if stack)

    def _function(self, name: str, kinds: tuple[Stack | None, ...]) -> tuple[str, list[Stack | None]]:
        """The name of function ``name`` for arguments of these ``kinds``, and the kinds of its results."""
        function = self.library[name]
        new = _fresh(self.library, name) if any(kinds) else name
        body, stacks = self._typed(function, kinds)
        self.rewrite(body, stacks)
        self.library[new] = Function(new, body, function.inputs, function.outputs)
        results = [stacks.get(tensor) for tensor in function.outputs]
        return new, [stack and replace(stack, items=()) for stack in results]  # the items are inside

    def _typed(self, function: Function, kinds: Sequence[Stack | None]) -> tuple[Graph, dict[str, Stack]]:
        body = function.graph.copy()
        body.functions = self.library
        body.types = infer_types(body)
        stacks = {}
        for tensor, stack in zip(function.inputs, kinds, strict=True):
            if stack is not None:
                argument = body[node_name(tensor)]
                body.replace(argument.with_attrs(dtype=stack.dtype, shape=_shape(stack)))
                stacks[tensor] = stack
        return body, stacks

    # Items of a rank that only what is written tells

    def settle(self) -> None:
        """Give the lists that were made without a rank the one of the items written to them, if there are any."""
        for graph, stack, shape in self.pending:
            rank = self._item_rank(graph, stack)
            if rank is not None:
                graph.replace(constant(node_name(shape), np.ones(rank, np.int32)))

    def _item_rank(self, graph: Graph, tensor: str) -> int | None:
        seen: set[tuple[int, str]] = set()
        ahead = [(graph, tensor)]
        while ahead:
            where, current = ahead.pop()
            if (id(where), current) in seen:
                continue
            seen.add((id(where), current))
            for reader in where.readers(current):
                if (rank := _tells_rank(where, reader)) is not None:
                    return rank
                ahead.extend(self._beyond(where, reader, current))
        return None

    def _beyond(self, graph: Graph, reader: Node, tensor: str) -> Iterator[tuple[Graph, str]]:
        """Where the list goes on from ``reader``."""
        index = reader.inputs.index(tensor)
        if reader.op in _PASSES or (reader.op in _KEEP_ITEMS and index == 0):
            yield graph, reader.output
        elif reader.op == "IdentityN":
            yield graph, reader.tensor(index)
        elif reader.op in CALLS:
            for name in calls(reader):
                function = self.library[name]
                yield self._with_types(function), function.inputs[index - CALLS[reader.op][0]]
            if reader.op.endswith("While"):
                yield graph, reader.tensor(index)

    def _with_types(self, function: Function) -> Graph:
        """The function's graph, once rewritten, with types for arguments of the ranks they are called with."""
        if function.name not in self.typed:
            graph = function.graph.copy()
            for tensor, rank in zip(function.inputs, self.ranks[function.name], strict=True):
                argument = graph[node_name(tensor)]
                if argument.attrs["shape"] is None and rank is not None:
                    graph.replace(argument.with_attrs(shape=(None,) * rank))
            graph.functions = self.library
            graph.types = infer_types(graph)
            self.typed[function.name] = graph
        return self.typed[function.name]


def _tells_rank(graph: Graph, node: Node) -> int | None:
    """The rank of the items, where ``node`` writes one to the list, or reads it whole."""
    if ITEM in node.attrs:
        shape = _shape_of_item(graph, node.attrs[ITEM][2])
        return None if shape is None else len(shape)
    if node.op == "EnsureShape":
        shape = graph.shape_of(node.output)
        return None if shape is None else len(shape) - 1
    return None


def _shape_of_item(graph: Graph, item: str) -> Shape | None:
    """The result of a branch that was Switch and Merge has a shape once its functions have been looked into."""
    if (shape := graph.shape_of(item)) is not None or not any(UNTYPED in node.attrs for node in graph):
        return shape
    part = graph.pruned([item])
    try:
        find_shapes(part)
    except ExportError:
        return None
    return part.shape_of(item)


def _shape(stack: Stack) -> Shape | None:
    return None if stack.item is None else (None, *stack.item)


def _dtypes(own: Sequence[object], kinds: Sequence[Stack | None]) -> list[object]:
    return [stack.dtype if stack else dtype for stack, dtype in zip(kinds, own, strict=True)]


def _fresh(library: Mapping[str, object], name: str) -> str:
    number = 1
    while f"{name}/lists_{number}" in library:
        number += 1
    return f"{name}/lists_{number}"
