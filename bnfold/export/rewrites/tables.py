"""Lookups in tables: ONNX has one op for what `load.tables` writes as a `Unique` over keys and what is looked up."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node
from bnfold.graph.dtypes import INT64

KEYS = frozenset({"string", "int32", "int64"})
"""The dtypes of TensorFlow's keys; ONNX looks them up as strings or int64."""

VALUES = frozenset({"string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool", "float32"})


@dataclass(frozen=True)
class _Lookup:
    """The tensors that are looked up, and the keys of the table."""

    asked: str
    keys: str


@rewrites(order=-20)
def find_lookups(graph: Graph, kept: Set[str]) -> None:
    """A lookup of scalars is a TableLookup; of anything else the rows are looked up, and gathered."""
    for node in [node for node in graph if node.op == "GatherV2" and not node.attrs.get("batch_dims")]:
        lookup = _behind(graph, node.inputs[1], kept)
        if lookup is None:
            continue
        key_dtype, value_dtype = graph.types[lookup.asked].dtype, graph.types[node.output].dtype
        values = graph.value(node.inputs[0])
        if key_dtype.name not in KEYS:
            continue
        if values is not None and values.ndim == 1 and value_dtype.name in VALUES:
            inputs = (lookup.asked, lookup.keys, node.inputs[0])
            graph.replace(Node(node.name, "TableLookup", inputs, {"T": value_dtype}))
        else:
            rows = graph.producer_of(node.inputs[1])
            graph.replace(Node(rows.name, "TableRow", (lookup.asked, lookup.keys), {"T": INT64}))


def _behind(graph: Graph, rows: str, kept: Set[str]) -> _Lookup | None:
    """Follow ``Reshape(Minimum(Slice(Unique(Concat(keys, Reshape(asked)))[1])))``."""
    made = [rows]
    for op in ("Reshape", "Minimum", "Slice", "Unique", "ConcatV2"):
        node = graph.find_producer(made[-1])
        if node is None or node.op != op or made[-1] in kept or len(graph.readers(made[-1])) > 1:
            return None
        if op == "Unique" and made[-1] != node.tensor(1):
            return None
        made.append(node.inputs[0])
    both = graph.producer_of(made[-2])
    if len(both.inputs) != 3 or (keys := graph.value(both.inputs[0])) is None:
        return None
    flat = graph.find_producer(both.inputs[1])
    if flat is None or flat.op != "Reshape" or not _reads_after(graph, made, len(keys)):
        return None
    if graph.type_of(flat.inputs[0]) is None or not _gives_shape_of(graph, rows, flat.inputs[0]):
        return None
    return _Lookup(flat.inputs[0], both.inputs[0])


def _reads_after(graph: Graph, made: list[str], count: int) -> bool:
    """Whether the places are those behind ``count`` keys, the ones beyond the table bounded by ``count``."""
    least, cut = graph.producer_of(made[1]), graph.producer_of(made[2])
    bound, begin, size = graph.value(least.inputs[1]), graph.value(cut.inputs[1]), graph.value(cut.inputs[2])
    numbers = [None if value is None else value.reshape(-1).tolist() for value in (bound, begin, size)]
    return numbers == [[count], [count], [-1]]


def _gives_shape_of(graph: Graph, rows: str, asked: str) -> bool:
    shape = graph.producer_of(rows).inputs[1]
    node = graph.find_producer(shape)
    if node is not None and node.op == "Shape":
        return node.inputs[0] == asked
    known, wanted = graph.value(shape), graph.shape_of(asked)
    return known is not None and wanted is not None and known.tolist() == list(wanted)
