"""Variables that a branch or a loop body only reads, read outside of it and passed in by value.

TensorFlow 2 passes a variable into If and While as a handle. As a value it can be frozen like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bnfold.graph import DType, Function, FunctionRef, Graph, Node, Shape, TensorType, node_name
from bnfold.graph.dtypes import RESOURCE
from bnfold.load.saver import variable_behind


@dataclass(frozen=True)
class _ControlFlow:
    """Where an op keeps its bodies and the types of what it passes to them.

    Attributes
    ----------
    bodies : tuple of str
        Attributes that name functions.
    types : str
        Attribute with the types of the arguments.
    first : int
        Index of the first input that is an argument.
    loops : bool
        Whether the arguments are also the results.
    """

    bodies: tuple[str, ...]
    types: str
    first: int
    loops: bool = False


_IF = _ControlFlow(("then_branch", "else_branch"), "Tin", 1)
_CASE = _ControlFlow(("branches",), "Tin", 1)
_WHILE = _ControlFlow(("cond", "body"), "T", 0, loops=True)

CONTROL_FLOW: Mapping[str, _ControlFlow] = {
    "If": _IF,
    "StatelessIf": _IF,
    "Case": _CASE,
    "StatelessCase": _CASE,
    "While": _WHILE,
    "StatelessWhile": _WHILE,
}

_READS: Mapping[str, str] = {
    "ReadVariableOp": "Identity",
    "ResourceGather": "Gather",
    "ResourceGatherNd": "GatherNd",
    "VariableShape": "Shape",
}
"""Op on a handle → the op that gives the same from the value."""


def pass_by_value(graph: Graph) -> Graph:
    """``graph`` with a read in front of each conditional and loop that reads a variable and does not write it."""
    passed = graph.copy()
    library = _Library(passed.functions)
    for node in graph:
        kind = CONTROL_FLOW.get(node.op)
        if kind is not None:
            _pass(passed, node, kind, library)
    return passed


def _pass(graph: Graph, node: Node, kind: _ControlFlow, library: _Library) -> None:
    values: dict[int, TensorType] = {}
    inputs = list(node.inputs)
    for position, dtype in enumerate(node.attrs.get(kind.types) or ()):
        index = position + kind.first
        variable = variable_behind(graph, inputs[index]) if dtype == RESOURCE else None
        if variable is None or variable.op != "VarHandleOp":
            continue
        if all(library.only_reads(body, position, kind) for body in bodies_of(node, kind)):
            if kind.loops:
                graph.redirect(node.tensor(position), inputs[index])
            values[position] = TensorType(variable.attrs["dtype"], variable.attrs.get("shape"))
            inputs[index] = _read_once(graph, variable)
    if values:
        graph.replace(library.retyped(node.with_inputs(inputs), kind, values))


def _read_once(graph: Graph, variable: Node) -> str:
    name = f"{variable.name}/Read/ReadVariableOp"
    found = graph.get(name)
    if found is None or found.op != "ReadVariableOp" or found.inputs != (variable.output,):
        name = graph.fresh_name(name)
        graph.add(Node(name, "ReadVariableOp", (variable.output,), {"dtype": variable.attrs["dtype"]}))
    return f"{name}:0"


def bodies_of(node: Node, kind: _ControlFlow) -> Iterator[str]:
    """Names of the functions that control flow ``node`` runs."""
    for attr in kind.bodies:
        value = node.attrs.get(attr)
        yield from (ref.name for ref in (value if isinstance(value, list) else [value]) if isinstance(ref, FunctionRef))


class _Library:
    """The functions of a graph, and copies of them that take values for handles."""

    def __init__(self, functions: dict[str, Function]) -> None:
        self._functions = functions
        self._copies: dict[tuple[str, tuple[int, ...]], str] = {}

    def only_reads(self, name: str, position: int, kind: _ControlFlow) -> bool:
        """Whether function ``name`` does nothing with its argument at ``position`` but read it, or loop with it."""
        function = self._functions.get(name)
        if function is None or position >= len(function.inputs):
            return False
        copies = _copies_of(function.graph, function.inputs[position])
        returned = [index for index, tensor in enumerate(function.outputs) if tensor in copies]
        if returned and not (kind.loops and returned == [position]):
            return False
        return all(self._is_read(reader, tensor) for tensor in copies for reader in function.graph.readers(tensor))

    def _is_read(self, reader: Node, tensor: str) -> bool:
        if reader.op in _READS or reader.op == "Identity":
            return bool(reader.attrs.get("batch_dims", 0) == 0)
        kind = CONTROL_FLOW.get(reader.op)
        if kind is None:
            return False
        positions = _positions(reader, kind, tensor)
        return all(self.only_reads(body, p, kind) for body in bodies_of(reader, kind) for p in positions)

    def retyped(self, node: Node, kind: _ControlFlow, values: Mapping[int, TensorType]) -> Node:
        """Control flow ``node`` whose arguments at the positions of ``values`` are values of those types."""
        attrs: dict[str, Any] = dict(node.attrs)
        types = list(attrs[kind.types])
        for position, value in values.items():
            types[position] = value.dtype
        attrs[kind.types] = types
        if kind.loops and attrs.get("output_shapes"):
            shapes: list[Shape | None] = list(attrs["output_shapes"])
            for position, value in values.items():
                shapes[position] = value.shape
            attrs["output_shapes"] = shapes
        for attr in kind.bodies:
            bodies = attrs[attr]
            attrs[attr] = (
                [self._copied(ref, values) for ref in bodies]
                if isinstance(bodies, list)
                else self._copied(bodies, values)
            )
        return replace(node, attrs=attrs)

    def _copied(self, ref: FunctionRef, values: Mapping[int, TensorType]) -> FunctionRef:
        key = (ref.name, tuple(sorted(values)))
        if key not in self._copies:
            self._copies[key] = name = self._fresh_name(f"{ref.name}_by_value")
            self._functions[name] = replace(self._with_values(self._functions[ref.name], values), name=name)
        return FunctionRef(self._copies[key], ref.attrs)

    def _fresh_name(self, stem: str) -> str:
        name, number = stem, 0
        while name in self._functions:
            number += 1
            name = f"{stem}_{number}"
        return name

    def _with_values(self, function: Function, values: Mapping[int, TensorType]) -> Function:
        graph = function.graph.copy()
        nested: dict[str, dict[int, TensorType]] = {}
        for position, value in values.items():
            argument = graph[node_name(function.inputs[position])]
            for tensor in _copies_of(graph, argument.output):
                for reader in graph.readers(tensor):
                    kind = CONTROL_FLOW.get(reader.op)
                    if kind is not None:
                        for inner in _positions(reader, kind, tensor):
                            nested.setdefault(reader.name, {})[inner] = value
                    else:
                        graph.replace(_by_value(reader, value.dtype))
            graph.replace(argument.with_attrs(dtype=value.dtype, shape=value.shape))
        for name, inner_values in nested.items():
            graph.replace(self.retyped(graph[name], CONTROL_FLOW[graph[name].op], inner_values))
        return replace(function, graph=graph)


def _copies_of(graph: Graph, handle: str) -> list[str]:
    """``handle`` and what Identities make of it."""
    found = [handle]
    for tensor in found:
        found += [reader.output for reader in graph.readers(tensor) if reader.op == "Identity"]
        found += [
            reader.tensor(position)
            for reader in graph.readers(tensor)
            if (kind := CONTROL_FLOW.get(reader.op)) is not None and kind.loops
            for position in _positions(reader, kind, tensor)
        ]
    return found


def _positions(node: Node, kind: _ControlFlow, tensor: str) -> list[int]:
    """At which positions ``node`` passes ``tensor`` to its bodies."""
    return [index - kind.first for index, name in enumerate(node.inputs) if index >= kind.first and name == tensor]


def _by_value(reader: Node, dtype: DType) -> Node:
    """``reader`` of a handle as a reader of the value."""
    if reader.op in ("ResourceGather", "ResourceGatherNd"):
        attrs = {"Tparams": dtype, "Tindices": reader.attrs["Tindices"]}
        return Node(reader.name, _READS[reader.op], reader.inputs, attrs, reader.controls)
    if reader.op == "VariableShape":
        attrs = {"T": dtype, "out_type": reader.attrs["out_type"]}
        return Node(reader.name, "Shape", reader.inputs, attrs, reader.controls)
    return Node(reader.name, "Identity", reader.inputs, {"T": dtype}, reader.controls)
