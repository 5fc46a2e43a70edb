"""Protos from files that may be anything: parsed, or refused before they cost memory."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import DType, Graph
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import message
from bnfold.load.soundness import refuse_unsound

_MOST_BYTES = 1 << 31
"""Of all constants of a graph together: a proto holds no more, and real graphs fill no more by repeating a value."""


def parse(data: bytes, module: str, name: str) -> Any | None:
    """``data`` as the message ``name`` in binary form, or None when it is not one."""
    from google.protobuf.message import DecodeError

    proto = message(module, name)
    try:
        proto.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return proto


def parse_text(data: bytes, module: str, name: str) -> Any | None:
    """``data`` as the message ``name`` in text form, or None when it is not one."""
    from google.protobuf import text_format

    proto = message(module, name)
    try:
        text_format.Parse(data.decode(), proto)
    except (text_format.ParseError, ValueError, RecursionError):
        return None
    return proto


def read_message(path: Path, module: str, name: str, *, what: str) -> Any:
    """The message ``name`` in the file ``path``, in binary or in text form.

    Raises
    ------
    LoadError
        When it is neither; ``what`` says in the message what was expected.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise LoadError(f"{path.name} is not {what}: it has more than 2 GiB", hint="no message of protobuf is so long")
    data = path.read_bytes()
    if not data:
        raise LoadError(f"{path.name} is empty", hint="the file was not copied whole; copy it again")
    proto = parse(data, module, name)
    if proto is None:
        proto = parse_text(data, module, name)
    if proto is None:
        raise LoadError(
            f"{path.name} is not {what}", hint="it is truncated, corrupt or another kind of file; copy it again"
        )
    return proto


def decode_graph(graph_def: Any, label: str) -> Graph:
    """The `Graph` in ``graph_def``.

    Raises
    ------
    LoadError
        When the proto parses but makes no graph: two nodes of one name, unknown element types, constants whose
        values do not fit their shapes, nodes that are not what their ops say.
    """
    _refuse_hollow_constants(graph_def, label)
    try:
        graph = from_graph_def(graph_def)
    except (ValueError, TypeError, KeyError, IndexError, MemoryError, OverflowError) as error:
        raise LoadError(
            f"the graph in {label} cannot be decoded: {type(error).__name__}: {error}",
            hint="the file is corrupt, or of a TensorFlow newer than the one installed here",
        ) from None
    refuse_unsound(graph, label)
    return graph


def _refuse_hollow_constants(graph_def: Any, label: str) -> None:
    """Before anything is allocated: a constant may store one value and claim any number of elements."""
    claimed = 0
    for nodes in (graph_def.node, *(function.node_def for function in graph_def.library.function)):
        for node in nodes:
            if node.op != "Const":
                continue
            claimed += _claimed_bytes(node.attr["value"].tensor)
            if claimed > _MOST_BYTES:
                raise LoadError(
                    f"the constants in {label} claim more than 2 GiB, with {node.name}",
                    hint="the file is corrupt: no graph of TensorFlow holds so much",
                    node=node.name,
                )


def _claimed_bytes(tensor: Any) -> int:
    count = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    return count * _item_size(tensor.dtype) if count > 0 else 0


@cache
def _item_size(number: int) -> int:
    """Bytes of an element, by the number of its type; an unknown one is refused when it is decoded."""
    try:
        dtype = DType.of_tf(number).numpy
    except (ValueError, KeyError):
        return 1
    return 1 if dtype is None else dtype.itemsize
