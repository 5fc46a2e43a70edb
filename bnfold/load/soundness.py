"""Whether the nodes of a graph are what their ops say: as many inputs, and the attributes there and of their kinds.

A file that was damaged, or written by hand, may parse and make no sense. Every other module relies on what is refused
here, and so does TensorFlow, which ends the process over some of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from bnfold.errors import LoadError
from bnfold.graph import DType, FunctionRef, Graph, Node, node_name, output_index
from bnfold.graph.graph_def import op_definition

_HINT = "the file is damaged: copy it again, or save the model again"

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str, bytes),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "type": (DType,),
    "shape": (tuple, type(None)),
    "tensor": (np.ndarray,),
    "func": (FunctionRef,),
}
"""Type of an attribute in an ``OpDef`` → what it is decoded to."""


@dataclass(frozen=True)
class _Form:
    """What an op's definition asks of its nodes.

    Attributes
    ----------
    attrs : mapping of str to tuple of type
        What each attribute is decoded to.
    inputs, outputs : tuple of (str or None)
        For each argument the attribute that holds its length, or None for an argument that is one tensor.
    """

    attrs: Mapping[str, tuple[type, ...]]
    inputs: tuple[str | None, ...]
    outputs: tuple[str | None, ...]


@cache
def _form(op: str) -> _Form | None:
    """The form of ``op``, or None for an op that TensorFlow does not know."""
    definition = op_definition(op)
    if definition is None:
        return None
    attrs = {attr.name: (list,) if attr.type.startswith("list(") else _KINDS[attr.type] for attr in definition.attr}
    return _Form(attrs, _lengths(definition.input_arg), _lengths(definition.output_arg))


def _lengths(arguments: Any) -> tuple[str | None, ...]:
    return tuple(argument.number_attr or argument.type_list_attr or None for argument in arguments)


def refuse_unsound(graph: Graph, label: str) -> None:
    """Refuse a graph with a node that cannot be what its op says, or that is fed by itself outside of a loop.

    A function of the library that has such a node is left out, as one is that cannot be decoded.

    Raises
    ------
    LoadError
    """
    if (fault := next(_faults(graph), None)) is not None:
        node, text = fault
        raise LoadError(f"the graph in {label} makes no sense: {node.name}, a {node.op}, {text}", hint=_HINT)
    for name, function in list(graph.functions.items()):
        complete = all(node_name(tensor) in function.graph for node in function.graph for tensor in node.inputs)
        if not complete or next(_faults(function.graph), None) is not None:
            del graph.functions[name]


def _faults(graph: Graph) -> Iterator[tuple[Node, str]]:
    """Nodes that make no sense, each with what is wrong with it."""
    for node in graph:
        form = _form(node.op)
        if form is not None and (text := _misfit(node, form)) is not None:
            yield node, text
        for tensor in node.inputs:
            if (count := _outputs_of(graph, tensor)) is not None and output_index(tensor) >= count:
                yield node, f"reads {tensor}, an output that {node_name(tensor)} does not have"


def _misfit(node: Node, form: _Form) -> str | None:
    for name, kinds in form.attrs.items():
        if name not in node.attrs:
            return f"has no attribute {name}"
        if not isinstance(node.attrs[name], kinds):
            return f"has {node.attrs[name]!r:.40} for its attribute {name}"
    if node.op == "Const" and (dtype := node.attrs["dtype"]).numpy is not None:
        value = node.attrs["value"].dtype
        if value != dtype.numpy:
            return f"holds {value} in place of {dtype}"
    expected = _count(node, form.inputs)
    return None if len(node.inputs) == expected else f"has {len(node.inputs)} inputs in place of {expected}"


def _outputs_of(graph: Graph, tensor: str) -> int | None:
    """How many outputs the producer of ``tensor`` has; None where that cannot be told."""
    producer = graph.find_producer(tensor)
    form = None if producer is None else _form(producer.op)
    if producer is None or form is None or not all(name is None or name in producer.attrs for name in form.outputs):
        return None
    return _count(producer, form.outputs)


def _count(node: Node, lengths: tuple[str | None, ...]) -> int:
    return sum(1 if name is None else _length(node.attrs[name]) for name in lengths)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else int(value)
