"""What a MetaGraph says beside its graph: collections, signatures, and what its Saver wrote."""

from __future__ import annotations

from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import Graph, node_name
from bnfold.graph.stages import Signature
from bnfold.load.functions import inline_calls
from bnfold.load.saver import SavedAs, listed_in_collections, saved_by, variable_definitions


def decode_collections(graph: Graph, meta_graph: Any) -> dict[str, tuple[str, ...]]:
    """The MetaGraph's collections of ops, tensors and variables.

    Ops and tensors are named as they were saved (``train_op``, ``loss:0``), variables by their nodes.
    """
    collections = {}
    for key, collection in meta_graph.collection_def.items():
        names = tuple(collection.node_list.value)
        definitions = variable_definitions(graph, collection.bytes_list.value)
        names += tuple(node_name(definition.variable_name) for definition in definitions)
        if names:
            collections[key] = tuple(dict.fromkeys(names))
    return collections


def decode_signatures(meta_graph: Any) -> tuple[Signature, ...]:
    """The signatures that the MetaGraph declares, with the tensors of each argument in the graph."""
    return tuple(
        Signature(name, _tensors(proto.inputs), _tensors(proto.outputs))
        for name, proto in sorted(meta_graph.signature_def.items())
        if proto.outputs and not name.startswith("__saved_model_")
    )


def _tensors(infos: Any) -> dict[str, str]:
    return {argument: info.name for argument, info in sorted(infos.items()) if info.name}


def saved_variables(graph: Graph, meta_graph: Any, label: str) -> dict[str, SavedAs]:
    """Name and slice in the checkpoint of each variable, by the name of its node, from the MetaGraph's own Saver.

    Raises
    ------
    LoadError
        When the Saver's constants make no sense.
    """
    values = [value for c in meta_graph.collection_def.values() for value in c.bytes_list.value]
    partitions = listed_in_collections(variable_definitions(graph, values))
    last = meta_graph.saver_def.save_tensor_name
    if not last:
        return partitions
    try:
        saver = inline_calls(graph.pruned([last], controls=True))
        return {**partitions, **saved_by(saver.graph, saver.tensor(last))}
    except ValueError as error:
        raise LoadError(
            f"the Saver in the graph of {label} makes no sense: {error}", hint="the file is corrupt; copy it again"
        ) from None
