"""Lookups in tables whose entries are known, as ops that TensorFlow has without any state.

`Unique` hashes: of the table's keys followed by the keys that are looked up it gives, for each, the place where it
came first, which is its row in the table or lies beyond it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnfold.graph import DType, Graph, Node, constant
from bnfold.graph.dtypes import INT64
from bnfold.load.vocabulary import Entries

TABLES = frozenset(
    {
        "HashTable", "HashTableV2", "AnonymousHashTable", "MutableHashTable", "MutableHashTableV2",
        "AnonymousMutableHashTable", "MutableHashTableOfTensors", "MutableHashTableOfTensorsV2",
        "AnonymousMutableHashTableOfTensors", "MutableDenseHashTable", "MutableDenseHashTableV2",
        "AnonymousMutableDenseHashTable",
    }
)  # fmt: skip

LOOKUPS = frozenset({"LookupTableFind", "LookupTableFindV2"})
SIZES = frozenset({"LookupTableSize", "LookupTableSizeV2"})


def handles_of(graph: Graph, table: Node) -> list[str]:
    """The tensors that are the handle of ``table``: of all nodes that share its resource, through Identities."""
    name = _resource(table)
    found = [node.output for node in graph if node.op in TABLES and _resource(node) == name]
    for tensor in found:
        found += [reader.output for reader in graph.readers(tensor) if reader.op in ("Identity", "RefIdentity")]
    return found


def _resource(table: Node) -> str:
    return str(table.attrs.get("shared_name") or table.name)


def behind_identities(graph: Graph, tensor: str) -> str:
    while (node := graph.find_producer(tensor)) is not None and node.op == "Identity":
        tensor = node.inputs[0]
    return tensor


def expand(graph: Graph, table: str, entries: Entries, size: int | None = None) -> None:
    """Replace the lookups in ``table``, a node of ``graph``, in place; it has ``size`` entries, or all these."""
    size = len(entries.keys) if size is None else size
    keys: str | None = None
    for handle in handles_of(graph, graph[table]):
        for reader in graph.readers(handle):
            if reader.op in SIZES:
                graph.replace(constant(reader.name, np.array(size, np.int64)))
            elif reader.op in LOOKUPS:
                if keys is None:
                    dtype: DType = reader.attrs["Tin"]
                    keys = graph.add(constant(graph.fresh_name(f"{table}/keys"), entries.keys, dtype)).output
                _expand_lookup(graph, reader, keys, entries)


def _expand_lookup(graph: Graph, lookup: Node, keys: str, entries: Entries) -> None:
    key_dtype, value_dtype = lookup.attrs["Tin"], lookup.attrs["Tout"]

    def add(name: str, op: str, inputs: tuple[str, ...], **attrs: object) -> str:
        return graph.add(Node(graph.fresh_name(f"{lookup.name}/{name}"), op, inputs, attrs)).output

    def ints(name: str, values: list[int] | int) -> str:
        return graph.add(constant(graph.fresh_name(f"{lookup.name}/{name}"), np.array(values, np.int64))).output

    _, asked, default = lookup.inputs
    flat = add("flat", "Reshape", (asked, ints("vector", [-1])), T=key_dtype, Tshape=INT64)
    both = add("both", "ConcatV2", (keys, flat, ints("first", 0)), T=key_dtype, Tidx=INT64, N=2)
    unique = graph.add(
        Node(graph.fresh_name(f"{lookup.name}/unique"), "Unique", (both,), {"T": key_dtype, "out_idx": INT64})
    )
    count = len(entries.keys)
    begin = ints("begin", [count])
    places = add("places", "Slice", (unique.tensor(1), begin, ints("rest", [-1])), T=INT64, Index=INT64)
    bounded = add("bounded", "Minimum", (places, ints("none", count)), T=INT64)
    shape = add("shape", "Shape", (asked,), T=key_dtype, out_type=INT64)
    rows = add("rows", "Reshape", (bounded, shape), T=INT64, Tshape=INT64)
    values = _with_default(graph, lookup, entries, default, add, ints)
    attrs = {"Tparams": value_dtype, "Tindices": INT64, "Taxis": INT64, "batch_dims": 0}
    axis = ints("axis", 0)
    graph.replace(Node(lookup.name, "GatherV2", (values, rows, axis), attrs, lookup.controls))


def _with_default(
    graph: Graph,
    lookup: Node,
    entries: Entries,
    default: str,
    add: Callable[..., str],
    ints: Callable[[str, list[int] | int], str],
) -> str:
    """The table's values and, in the row after them, the default."""
    dtype: DType = lookup.attrs["Tout"]
    shape = entries.values.shape[1:]
    known = graph.value(behind_identities(graph, default))
    if known is not None and known.size == int(np.prod(shape)):
        row = np.asarray(known, entries.values.dtype).reshape(1, *shape)
        values = np.concatenate([entries.values.reshape(len(entries.keys), *shape), row])
        return graph.add(constant(graph.fresh_name(f"{lookup.name}/values"), values, dtype)).output
    held = graph.add(constant(graph.fresh_name(f"{lookup.name}/values"), entries.values, dtype)).output
    last = add("default", "Reshape", (default, ints("row", [1, *shape])), T=dtype, Tshape=INT64)
    return add("values_and_default", "ConcatV2", (held, last, ints("rows_axis", 0)), T=dtype, Tidx=INT64, N=2)
