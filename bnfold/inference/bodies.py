"""Function bodies of a frozen graph: what was a variable's handle at the call is its value now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bnfold.graph import DType, Function, FunctionRef, Graph, Node, node_name

ARGUMENT_TYPES: Mapping[str, tuple[str, int]] = {
    "If": ("Tin", 1),
    "StatelessIf": ("Tin", 1),
    "Case": ("Tin", 1),
    "StatelessCase": ("Tin", 1),
    "While": ("T", 0),
    "StatelessWhile": ("T", 0),
}
"""Op → the attribute with the types of its functions' arguments, and the input at which they begin."""


READS = frozenset({"ReadVariableOp"})

GATHERS: Mapping[str, str] = {"ResourceGather": "Gather", "ResourceGatherNd": "GatherNd"}
"""Look-ups in a variable by its handle → the same in a tensor, of one signature."""

PASSES: Mapping[str, int] = {"Identity": 1, "Switch": 2, "Merge": 1, "Enter": 1, "Exit": 1, "NextIteration": 1}
"""Ops that hand a handle on → how many of their outputs are it."""


def freeze_bodies(graph: Graph, values: Mapping[str, DType]) -> None:
    """Give the functions that ``graph`` calls values where they took handles, in place.

    Each call gets functions of its own, as two calls may pass different variables.

    Parameters
    ----------
    graph : Graph
        Its variables are constants already.
    values : mapping of str to DType
        Tensors that were handles → the type of the value that they are now.
    """
    _freeze(graph, dict(values), graph)


def _freeze(graph: Graph, values: dict[str, DType], library: Graph) -> None:
    for node in graph.topological():
        taken = [values.get(tensor) for tensor in node.inputs]
        if not any(taken):
            continue
        if node.op in READS:
            graph.replace(Node(node.name, "Identity", node.inputs, {"T": values[node.inputs[0]]}))
        elif node.op in PASSES:
            dtype = next(dtype for dtype in taken if dtype is not None)
            graph.replace(node.with_attrs(T=dtype))
            values.update((node.tensor(index), dtype) for index in range(PASSES[node.op]))
        elif node.op in GATHERS:
            attrs = {"Tparams": values[node.inputs[0]], "Tindices": node.attrs["Tindices"]}
            graph.replace(Node(node.name, GATHERS[node.op], node.inputs, attrs))
        elif node.op in ARGUMENT_TYPES:
            _freeze_call(graph, node, taken, values, library)


def _freeze_call(graph: Graph, node: Node, taken: list[DType | None], values: dict[str, DType], library: Graph) -> None:
    types, first = ARGUMENT_TYPES[node.op]
    arguments = taken[first:]
    attrs = dict(node.attrs)
    attrs[types] = [new or old for new, old in zip(arguments, attrs[types], strict=True)]
    for key, value in attrs.items():
        if isinstance(value, FunctionRef):
            attrs[key] = _specialised(library, value, arguments)
        elif isinstance(value, list) and value and isinstance(value[0], FunctionRef):
            attrs[key] = [_specialised(library, ref, arguments) for ref in value]
    if types == "T":  # a loop gives what it takes
        values.update({node.tensor(index): dtype for index, dtype in enumerate(arguments) if dtype is not None})
    graph.replace(replace(node, attrs=attrs))


def _specialised(library: Graph, ref: FunctionRef, arguments: list[DType | None]) -> FunctionRef:
    function = library.functions[ref.name]
    body = function.graph.copy()
    values: dict[str, DType] = {}
    for tensor, dtype in zip(function.inputs, arguments, strict=True):
        if dtype is not None:
            values[tensor] = dtype
            body.replace(body[node_name(tensor)].with_attrs(dtype=dtype, shape=None))
    name = library.fresh_function_name(f"{ref.name}_frozen")
    library.functions[name] = Function(name, body, function.inputs, function.outputs)
    _freeze(body, values, library)
    return replace(ref, name=name)


def called_functions(graph: Graph) -> dict[str, Function]:
    """The functions of the library that ``graph`` calls, and that those call."""
    found: dict[str, Function] = {}
    stack = _called(graph)
    while stack:
        name = stack.pop()
        if name not in found and name in graph.functions:
            found[name] = graph.functions[name]
            stack.extend(_called(found[name].graph))
    return found


def _called(graph: Graph) -> list[str]:
    attrs = (attr for node in graph for attr in node.attrs.values())
    refs = (ref for attr in attrs for ref in (attr if isinstance(attr, list) else [attr]))
    return [ref.name for ref in refs if isinstance(ref, FunctionRef)]
