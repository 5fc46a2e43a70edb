"""Large weights that have been written are read from their file from then on, and need no memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnfold.export.initializers import raw_size
from bnfold.export.lowered import Lowered
from bnfold.export.write import Place
from bnfold.graph import Array, Graph

LARGE = 2**20
"""Bytes from which an array is worth a mapping."""


def mapped(lowered: Lowered, places: Mapping[str, Place]) -> Lowered:
    """``lowered``, as `write` wrote it to ``places``, its large weights mapped into memory."""
    found = {
        name: _mapped(array, places[name])
        for name, array in lowered.weights.items()
        if name in places and array.nbytes >= LARGE and raw_size(array) == array.nbytes
    }
    return Lowered(lowered.shell, {**lowered.weights, **found})


def _mapped(array: Array, place: Place) -> Array:
    raw = np.memmap(place.path, np.uint8, "r", place.offset, (array.nbytes,))
    return raw.view(array.dtype).reshape(array.shape)


def map_constants(graph: Graph, before: Mapping[str, Array], after: Mapping[str, Array], *, kept: Graph) -> None:
    """Let the constants of ``graph`` that became weights be views of the mapped ones, in place.

    Parameters
    ----------
    graph : Graph
        What was lowered.
    before, after : mapping of str to ndarray
        Weights by name, as they were (views of the constants) and as `mapped` gives them.
    kept : Graph
        Constants that it has too stay in memory: what the file is compared with must not come from the file.
    """
    if graph is kept:
        return
    views: dict[int, list[str]] = {}
    for name, array in before.items():
        if after[name] is not array:
            views.setdefault(id(_owner(array)), []).append(name)
    others = {id(_owner(node.attrs["value"])) for node in kept if node.op == "Const"}
    for node in [node for node in graph if node.op == "Const"]:
        array = node.attrs["value"]
        if (owner := id(_owner(array))) in others:
            continue
        seen = (_seen_as(array, before[name], after[name]) for name in views.get(owner, ()))
        if (view := next((view for view in seen if view is not None), None)) is not None:
            graph.replace(node.with_attrs(value=view))


def _owner(array: Array) -> Array:
    """The array whose memory ``array`` is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _seen_as(array: Array, stored: Array, mapped: Array) -> Array | None:
    """``mapped`` with its axes as ``array`` has them, of which ``stored`` is the same memory, its axes permuted."""
    if array.size != stored.size or array.dtype != stored.dtype or array.ctypes.data != stored.ctypes.data:
        return None
    here, there = _wide_axes(array), _wide_axes(stored)
    if sorted(here) != sorted(there):
        return None
    sizes = [size for _, size in there]
    return mapped.reshape(sizes).transpose([there.index(axis) for axis in here]).reshape(array.shape)


def _wide_axes(array: Array) -> list[tuple[int, int]]:
    """Stride and size of the axes that have more than one element."""
    return [(stride, size) for stride, size in zip(array.strides, array.shape, strict=True) if size != 1]
