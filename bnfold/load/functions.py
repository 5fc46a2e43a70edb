"""Function calls inlined: TensorFlow 2 writes a model as calls of functions that call functions.

What is left in the library afterwards are the bodies of control flow (If, While, Case), their own calls inlined too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import Function, FunctionRef, Graph, Node, node_name

CALL_OPS: Mapping[str, str] = {
    "PartitionedCall": "f",
    "StatefulPartitionedCall": "f",
    "TPUPartitionedCall": "f",
    "BatchFunction": "f",
}
"""Op → the attribute that names the function it calls, with the op's inputs as its arguments."""

_MOST_NODES = 1_000_000
_DEEPEST = 100
_DAMAGED = "the file is damaged: copy it again, or save the model again"


@dataclass(frozen=True)
class Inlined:
    """A graph without calls.

    Attributes
    ----------
    graph : Graph
    moved : mapping of str to str
        For each output tensor of a call, the tensor that has its value now.
    """

    graph: Graph
    moved: Mapping[str, str]

    def tensor(self, name: str) -> str:
        """The name of tensor ``name`` of the graph before inlining."""
        return self.moved.get(name, name)


def inline_calls(graph: Graph) -> Inlined:
    """``graph`` with every call replaced by the function's nodes.

    Inlined nodes keep the names they have in their function where the graph has no such names yet, and are put
    under the call's name otherwise. Arguments that hold resources are replaced by the variables' handles.

    Raises
    ------
    LoadError
        When a call names no function of the library, a function calls itself, or the calls would grow to more than
        a million nodes.
    """
    if not graph.functions:
        return Inlined(graph, {})
    inliner = _Inliner(graph.functions)
    nodes, moved = inliner.inline(graph, depth=0)
    flat = Graph(nodes, producer=graph.producer)
    flat.types = dict(graph.types)
    flat.functions = inliner.kept
    return Inlined(flat, moved)


def behind_copies(graph: Graph, tensor: str) -> str:
    """The tensor that ``tensor`` is a copy of: functions return nodes called ``Identity``, layers have better names."""
    node = graph.find_producer(tensor)
    while node is not None and node.op == "Identity" and (source := graph.find_producer(node.inputs[0])) is not None:
        if source.op in ("Placeholder", "VarHandleOp"):
            break
        tensor, node = node.inputs[0], source
    return tensor


def function_of(node: Node, library: Mapping[str, Function]) -> str | None:
    """The name of the function that ``node`` calls, or None for a node that is no call."""
    if node.op in library:  # before TensorFlow 1.14 a call's op was the function's name
        return node.op
    attr = CALL_OPS.get(node.op)
    if attr is None:
        return None
    ref = node.attrs.get(attr)
    return ref.name if isinstance(ref, FunctionRef) else ""


class _Inliner:
    """Flattens each function once, callees first."""

    def __init__(self, library: Mapping[str, Function]) -> None:
        self._library = library
        self._flat: dict[str, Function | None] = {}
        self._count = 0
        self.kept: dict[str, Function] = {}

    def inline(self, graph: Graph, *, depth: int) -> tuple[list[Node], dict[str, str]]:
        calls = {node.name: name for node in graph if (name := function_of(node, self._library)) is not None}
        for node in graph:
            if node.name not in calls:
                self._keep_bodies(node, depth)
        if not calls:
            return list(graph), {}
        taken = {node.name for node in graph}
        nodes: list[Node] = []
        moved: dict[str, str] = {}
        ends: dict[str, tuple[str, ...]] = {}
        for node in graph:
            if node.name not in calls:
                nodes.append(node)
                continue
            body = self._flatten(calls[node.name], node, depth)
            self._spend(len(body.graph), node)
            copied, outputs = _copy(node, body, taken)
            nodes += copied
            moved.update((node.tensor(index), tensor) for index, tensor in enumerate(outputs))
            ends[node.name] = _ends(copied)
        moved = {tensor: _follow(tensor, moved) for tensor in moved}
        return [_rewire(node, moved, ends) for node in nodes], moved

    def _flatten(self, name: str, call: Node, depth: int) -> Function:
        if name not in self._library:
            raise LoadError(
                f"{call.name} calls {name!r}, a function that the file lacks or garbles", hint=_DAMAGED, node=call.name
            )
        if name not in self._flat:
            if depth > _DEEPEST:
                raise LoadError(f"functions call functions more than {_DEEPEST} deep", hint=_DAMAGED, node=call.name)
            self._flat[name] = None  # entered
            function = self._library[name]
            nodes, moved = self.inline(function.graph, depth=depth + 1)
            graph = Graph(nodes, producer=function.graph.producer)
            outputs = tuple(moved.get(tensor, tensor) for tensor in function.outputs)
            self._flat[name] = replace(function, graph=graph, outputs=outputs)
        flat = self._flat[name]
        if flat is None:
            raise LoadError(
                f"the function {name} calls itself",
                hint="only loops written as While have an ONNX form",
                node=call.name,
            )
        return flat

    def _keep_bodies(self, node: Node, depth: int) -> None:
        for ref in _references(node.attrs.values()):
            if ref.name in self._library and ref.name not in self.kept:
                self.kept[ref.name] = self._flatten(ref.name, node, depth)

    def _spend(self, nodes: int, call: Node) -> None:
        """Count before copying: thirty functions that each call the one before twice would be a billion nodes."""
        self._count += nodes
        if self._count > _MOST_NODES:
            raise LoadError(
                f"inlining the graph's functions gives more than {_MOST_NODES} nodes", hint=_DAMAGED, node=call.name
            )


def _references(values: Iterable[Any]) -> Iterator[FunctionRef]:
    for value in values:
        if isinstance(value, FunctionRef):
            yield value
        elif isinstance(value, list):
            yield from (item for item in value if isinstance(item, FunctionRef))


def _copy(call: Node, body: Function, taken: set[str]) -> tuple[list[Node], tuple[str, ...]]:
    """The nodes of ``body`` with the inputs of ``call`` for its arguments, and what its results are called now."""
    if len(call.inputs) != len(body.inputs):
        raise LoadError(
            f"{call.name} gives {len(call.inputs)} arguments to {body.name}, which takes {len(body.inputs)}",
            hint=_DAMAGED,
            node=call.name,
        )
    arguments = dict(zip(body.inputs, call.inputs, strict=True))
    places = {node_name(tensor) for tensor in body.inputs}
    inner = [node for node in body.graph if node.name not in places]
    names = _new_names([node.name for node in inner], call.name, taken)
    taken.update(names.values())

    def tensor(name: str) -> str:
        if name in arguments:
            return arguments[name]
        head = node_name(name)
        return names.get(head, head) + name[len(head) :]

    copied = [
        Node(
            names[node.name],
            node.op,
            tuple(tensor(name) for name in node.inputs),
            node.attrs,
            tuple(names[name] for name in node.controls if name in names) or (() if node.inputs else call.controls),
        )
        for node in inner
    ]
    return copied, tuple(tensor(name) for name in body.outputs)


def _new_names(names: list[str], call: str, taken: set[str]) -> dict[str, str]:
    """A name for each inlined node: its own, unless its outermost scope holds a name that is taken."""
    clashing = {name.partition("/")[0] for name in names if name in taken}
    new = {name: name for name in names if name.partition("/")[0] not in clashing}
    used = set(new)
    for name in names:
        if name not in new:
            free, number = f"{call}/{name}", 0
            while free in taken or free in used:
                number += 1
                free = f"{call}/{name}_{number}"
            new[name] = free
            used.add(free)
    return new


def _ends(nodes: list[Node]) -> tuple[str, ...]:
    """The nodes that nothing else in ``nodes`` waits for: what a control input on the call stands for."""
    awaited = {node_name(tensor) for node in nodes for tensor in node.inputs}
    awaited.update(name for node in nodes for name in node.controls)
    return tuple(node.name for node in nodes if node.name not in awaited)


def _follow(tensor: str, moved: Mapping[str, str]) -> str:
    """Where ``tensor`` is at last: a call may return the argument that another call computed."""
    for _ in range(len(moved) + 1):
        if tensor not in moved:
            return tensor
        tensor = moved[tensor]
    raise LoadError(f"{tensor} is its own input", hint=_DAMAGED)


def _rewire(node: Node, moved: Mapping[str, str], ends: Mapping[str, tuple[str, ...]]) -> Node:
    inputs = tuple(moved.get(tensor, tensor) for tensor in node.inputs)
    controls: tuple[str, ...] = ()
    for name in node.controls:
        controls += ends.get(name, (name,))
    return (
        node if (inputs, controls) == (node.inputs, node.controls) else replace(node, inputs=inputs, controls=controls)
    )
