"""Lookup tables, whose entries are written when a session begins: found, and made part of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bnfold.graph import Array, DType, Graph, Node, constant, output_index
from bnfold.graph.dtypes import INT64, RESOURCE, STRING
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import op_definition
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.lookups import LOOKUPS, TABLES, behind_identities, expand, handles_of
from bnfold.load.tensor_file import TensorFile
from bnfold.load.vocabulary import Entries, UnreadableError, Vocabularies, distinct, read_entries

_FROM_TENSORS = frozenset(
    {"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2", "LookupTableInsert",
     "LookupTableInsertV2"}
)  # fmt: skip
_FROM_FILE = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
WRITERS = _FROM_TENSORS | _FROM_FILE

_HASHES = frozenset({"StringToHashBucketFast", "StringToHashBucketStrong", "StringToHashBucket"})

UNFILLED = "_unfilled"
"""The attribute of a table without entries that says why."""


def fill_tables(graph: Graph, vocabularies: Vocabularies, tensors: TensorFile | None = None) -> Graph:
    """``graph`` with the entries of its tables in it, and the lookups as ops on them.

    A table whose entries are not in the file, or are written while the graph runs, stays; it has the reason as
    its attribute `UNFILLED`.

    Parameters
    ----------
    graph : Graph
        As saved, the initialisation of the tables included.
    vocabularies : Vocabularies
    tensors : TensorFile, optional
        The checkpoint, where a Saver puts the entries of mutable tables.
    """
    if not any(node.op in TABLES for node in graph):
        return graph
    filled = graph.copy()
    _fill_only_buckets(filled)
    for table in [node for node in graph if node.op in TABLES]:
        try:
            entries = _entries(graph, table, vocabularies, tensors)
        except UnreadableError as error:
            filled.replace(filled[table.name].with_attrs(**{UNFILLED: str(error)}))
            continue
        expand(filled, table.name, entries)
    return filled


def fill_live_tables(graph: Graph, captured: Mapping[str, Any]) -> Graph:
    """``graph`` of a traced function with the entries of the tables that it captured, as they are now.

    Parameters
    ----------
    graph : Graph
        Without calls.
    captured : mapping of str to tensor
        What was captured, by the name of its placeholder.
    """
    filled = graph.copy()
    _fill_only_buckets(filled)
    for name, handle in captured.items():
        place = filled.get(name)
        if place is None or place.attrs.get("dtype") != RESOURCE or not hasattr(handle, "numpy"):
            continue
        lookups = [reader for reader in filled.readers(place.output) if reader.op in LOOKUPS]
        if lookups:
            key_dtype, value_dtype = lookups[0].attrs["Tin"], lookups[0].attrs["Tout"]
            entries, size = _live_entries(handle, key_dtype, value_dtype)
            attrs = {"key_dtype": key_dtype, "value_dtype": value_dtype}
            filled.replace(Node(name, "HashTableV2", attrs=attrs))
            expand(filled, name, entries, size)
    return filled


def _live_entries(handle: Any, key_dtype: DType, value_dtype: DType) -> tuple[Entries, int]:
    """What the table holds, and how many entries that are.

    A dense table hands out its empty buckets too. They all have one key, which may not be looked up.
    """
    raw = tensorflow().raw_ops
    keys, values = raw.LookupTableExportV2(table_handle=handle, Tkeys=key_dtype.tf, Tvalues=value_dtype.tf)
    size = int(raw.LookupTableSizeV2(table_handle=handle).numpy())
    return distinct(keys.numpy(), _like_buckets(values.numpy(), keys.numpy())), size


def _like_buckets(values: Array, keys: Array) -> Array:
    """Scalar values of a dense table come as rows of one, as its keys do."""
    return values.reshape(-1) if keys.ndim == 2 and values.ndim == 2 and values.shape[1] == 1 else values


def _entries(graph: Graph, table: Node, vocabularies: Vocabularies, tensors: TensorFile | None) -> Entries:
    readers = [reader for handle in handles_of(graph, table) for reader in graph.readers(handle)]
    writers = [reader for reader in readers if reader.op in WRITERS]
    if not writers:
        raise UnreadableError(
            "nothing in the file fills it: save the graph with its initialisation, or as a SavedModel"
        )
    found = [_written(graph, writer, table, vocabularies, tensors) for writer in writers]
    if any(not _same(other, found[0]) for other in found[1:]):
        raise UnreadableError(f"it is written by several: {', '.join(writer.name for writer in writers)}")
    return found[0]


def _same(one: Entries, other: Entries) -> bool:
    return np.array_equal(one.keys, other.keys) and np.array_equal(one.values, other.values)


def _written(
    graph: Graph, writer: Node, table: Node, vocabularies: Vocabularies, tensors: TensorFile | None
) -> Entries:
    if writer.op in _FROM_FILE:
        tensor = _path_behind(graph, writer.inputs[1])
        path = graph.value(tensor)
        if path is None and tensor not in vocabularies.assets:
            raise UnreadableError("the path of its vocabulary is fed")
        file = vocabularies.find(tensor, "" if path is None else _text(path.item()))
        return read_entries(file, writer, table.attrs["key_dtype"], table.attrs["value_dtype"])
    keys, values = (_value(graph, tensor, tensors) for tensor in writer.inputs[1:3])
    entries = distinct(keys, _like_buckets(values, keys))
    if len(table.inputs) != 2:
        return entries
    unused = [_value(graph, tensor, tensors).item() for tensor in table.inputs]  # of a dense table: its empty buckets
    kept = [index for index, key in enumerate(entries.keys.tolist()) if key not in unused]
    return Entries(entries.keys[kept], entries.values[kept])


def _path_behind(graph: Graph, tensor: str) -> str:
    """TensorFlow 2 keeps the path of an asset in a variable, which is assigned when the model is loaded."""
    tensor = behind_identities(graph, tensor)
    node = graph.find_producer(tensor)
    if node is None or node.op != "ReadVariableOp":
        return tensor
    writers = [reader for reader in graph.readers(node.inputs[0]) if reader.op == "AssignVariableOp"]
    return behind_identities(graph, writers[0].inputs[1]) if len(writers) == 1 else tensor


def _text(item: bytes | str) -> str:
    return item.decode(errors="replace") if isinstance(item, bytes) else item


def _value(graph: Graph, tensor: str, tensors: TensorFile | None) -> Array:
    """The value of ``tensor``: a constant, what a Saver restores, or what is computed from constants alone."""
    tensor = behind_identities(graph, tensor)
    value = graph.value(tensor)
    if value is not None:
        return value
    node = graph.find_producer(tensor)
    if node is not None and node.op == "RestoreV2" and tensors is not None:
        names = graph.value(node.inputs[1])
        key = "" if names is None else _text(names.reshape(-1)[output_index(tensor)])
        if key in tensors:
            return tensors.read(key)
    needed = graph.pruned([tensor])
    if any(node.op != "Const" and not _is_pure(node) for node in needed):
        raise UnreadableError("its entries are computed when the graph runs")
    try:
        return np.asarray(run(needed, [tensor])[0])
    except Exception as error:
        raise UnreadableError(f"its entries cannot be computed: {type(error).__name__}") from None


def _is_pure(node: Node) -> bool:
    definition = op_definition(node.op)
    return bool(node.inputs) and definition is not None and not definition.is_stateful


def _fill_only_buckets(graph: Graph) -> None:
    """Where keys beyond a table have one bucket, no hash is needed: it is number 0."""
    for node in list(graph):
        if node.op in _HASHES and node.attrs["num_buckets"] == 1:
            shape = Node(
                graph.fresh_name(f"{node.name}/shape"), "Shape", node.inputs[:1], {"T": STRING, "out_type": INT64}
            )
            zero = constant(graph.fresh_name(f"{node.name}/zero"), np.array(0, np.int64))
            inputs = (graph.add(shape).output, graph.add(zero).output)
            graph.replace(Node(node.name, "Fill", inputs, {"T": INT64, "index_type": INT64}, node.controls))
