"""What a Saver wrote: which variable of the graph went into the checkpoint under which name, and which slice of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bnfold.graph import Graph, Node, node_name
from bnfold.load.protos import parse

VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp")

_SAVE_OPS: Mapping[str, int] = {"SaveV2": 3, "SaveSlices": 3, "Save": 2}
"""Op → number of inputs before the tensors: file name, names and, but for Save, slices."""

_COPIES = ("Identity", "ReadVariableOp", "Enter", "RefIdentity")


@dataclass(frozen=True)
class Slice:
    """Part of a partitioned variable: where it begins and ends in the whole, an axis an element."""

    whole: tuple[int, ...]
    parts: tuple[slice, ...]


@dataclass(frozen=True)
class SavedAs:
    """The name of a variable in the checkpoint; ``part`` is None where it is all of that tensor."""

    key: str
    part: Slice | None = None


def saved_by(graph: Graph, save_tensor: str) -> dict[str, SavedAs]:
    """What the Saver with ``save_tensor`` as its last op writes, by the name of the variable's node.

    A graph may hold several Savers with other names for the same variables (moving averages restored under the
    weights' names, say): only the one that the MetaGraph names is followed.
    """
    saved: dict[str, SavedAs] = {}
    if node_name(save_tensor) not in graph:
        return saved
    for node in graph.topological([save_tensor], controls=True):
        if node.op in _SAVE_OPS:
            for name, target in _written(graph, node):
                saved.setdefault(name, target)
    return saved


def _written(graph: Graph, save: Node) -> Iterator[tuple[str, SavedAs]]:
    first = _SAVE_OPS[save.op]
    names = graph.value(save.inputs[1])
    slices = graph.value(save.inputs[2]) if first == 3 else None
    if names is None:
        return
    keys = [_text(name) for name in names.ravel()]
    specs = [""] * len(keys) if slices is None else [_text(spec) for spec in slices.ravel()]
    for key, spec, tensor in zip(keys, specs, save.inputs[first:], strict=False):
        variable = variable_behind(graph, tensor)
        if variable is not None:
            yield variable.name, SavedAs(key, _parse_slice(spec))


def with_originals(graph: Graph, saved: Mapping[str, SavedAs]) -> dict[str, SavedAs]:
    """``saved``, and for each copy in it also the variable that it was made of, where that is not saved itself.

    Saving a model of Keras 3 as part of a ``tf.Module`` makes copies of its variables: the copies are saved, and the
    functions read the originals.
    """
    originals = dict(saved)
    for node in graph:
        if node.op != "AssignVariableOp" or (target := saved.get(node_name(node.inputs[0]))) is None:
            continue
        original = variable_behind(graph, node.inputs[1])
        if original is not None:
            originals.setdefault(original.name, target)
    return originals


def variable_behind(graph: Graph, tensor: str) -> Node | None:
    """The variable whose value ``tensor`` is, through reads and copies; None where it is computed."""
    node = graph.find_producer(tensor)
    for _ in range(len(graph)):
        if node is None or node.op in VARIABLE_OPS:
            return node
        if node.op not in _COPIES or not node.inputs:
            return None
        node = graph.find_producer(node.inputs[0])
    return None


def _parse_slice(spec: str) -> Slice | None:
    """``"10 4 0,5:-"``: rows 0 to 5, all columns, of a tensor of shape (10, 4). Empty: the whole tensor."""
    *sizes, axes = spec.split(" ")
    if not sizes:
        return None
    whole = tuple(int(size) for size in sizes)
    return Slice(whole, tuple(_parse_axis(axis) for axis in axes.split(":")))


def _parse_axis(axis: str) -> slice:
    if axis == "-":
        return slice(None)
    start, length = axis.split(",")
    return slice(int(start), int(start) + int(length))


def listed_in_collections(definitions: Iterable[Any]) -> dict[str, SavedAs]:
    """Name and slice of each partition among ``VariableDef`` protos, by the name of the variable's node."""
    listed = {}
    for definition in definitions:
        info = definition.save_slice_info_def
        if info.full_name:
            starts_and_sizes = zip(info.var_offset, info.var_shape, strict=False)
            parts = tuple(slice(start, start + size) for start, size in starts_and_sizes)
            listed[node_name(definition.variable_name)] = SavedAs(info.full_name, Slice(tuple(info.full_shape), parts))
    return listed


def variable_definitions(graph: Graph, values: Iterable[bytes]) -> list[Any]:
    """The ``VariableDef`` protos among the ``values`` of a collection: those that name a variable of ``graph``."""
    found = []
    for value in values:
        definition = parse(value, "framework.variable", "VariableDef")
        node = graph.get(node_name(definition.variable_name)) if definition is not None else None
        if node is not None and node.op in VARIABLE_OPS:
            found.append(definition)
    return found


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
