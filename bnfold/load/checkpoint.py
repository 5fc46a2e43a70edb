"""TensorFlow 1 checkpoints: the training graph from the ``.meta``, its variables from the ``.data``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import Graph, node_name
from bnfold.graph.stages import Note, Signature, SourceModel, Variable
from bnfold.load.checkpoint_files import CheckpointFiles, checkpoint_files
from bnfold.load.fingerprint import fingerprint
from bnfold.load.protos import decode_graph, read_message
from bnfold.load.saver import SavedAs, listed_in_collections, saved_by, variable_definitions
from bnfold.load.tensor_file import TensorFile
from bnfold.load.variables import bind_variables

_STEP = "global_step"


def load_checkpoint(source: Path, rename_variables: Mapping[str, str]) -> SourceModel:
    """The checkpoint that ``source`` names: a directory, a prefix, or one of its files.

    A variable that is missing from the checkpoint or does not fit the graph is no error here: its ``read`` raises,
    and only what inference needs is read.

    Raises
    ------
    LoadError
        When a file of the checkpoint is missing, truncated, corrupt, or of another kind.
    """
    files, notes = checkpoint_files(source)
    label = files.prefix.name
    meta_graph = read_message(
        files.meta, "protobuf.meta_graph", "MetaGraphDef", what="a TensorFlow graph (a MetaGraphDef)"
    )
    if not meta_graph.graph_def.node:
        raise LoadError(f"{files.meta.name} holds no graph", hint="it is another kind of file, or an empty export")
    graph = decode_graph(meta_graph.graph_def, files.meta.name)
    tensors = TensorFile(files.pattern, files.data, label, compressed=files.index is None)
    saved = {**_partitions(graph, meta_graph), **_by_saver(graph, meta_graph, label)}
    variables = bind_variables(graph, tensors, saved, rename_variables, label)
    collections = decode_collections(graph, meta_graph)
    return SourceModel(
        path=source,
        kind="checkpoint",
        label=label,
        graph=graph,
        variables=variables,
        signatures=decode_signatures(meta_graph),
        collections=collections,
        step=_step(files, variables, collections),
        fingerprint=fingerprint(files.all),
        notes=notes + _prefix_note(variables),
    )


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
    )


def _tensors(infos: Any) -> dict[str, str]:
    return {argument: info.name for argument, info in sorted(infos.items()) if info.name}


def _by_saver(graph: Graph, meta_graph: Any, label: str) -> dict[str, SavedAs]:
    try:
        return saved_by(graph, meta_graph.saver_def.save_tensor_name)
    except ValueError as error:
        raise LoadError(
            f"the Saver in the graph of {label} makes no sense: {error}", hint="the .meta is corrupt; copy it again"
        ) from None


def _partitions(graph: Graph, meta_graph: Any) -> dict[str, SavedAs]:
    values = [value for c in meta_graph.collection_def.values() for value in c.bytes_list.value]
    return listed_in_collections(variable_definitions(graph, values))


def _step(
    files: CheckpointFiles, variables: Mapping[str, Variable], collections: Mapping[str, tuple[str, ...]]
) -> int | None:
    for name in (*collections.get(_STEP, ()), _STEP):
        variable = variables.get(name)
        if variable is None or variable.key is None:
            continue
        try:
            value = variable.read()
        except LoadError:
            continue
        if value.size == 1 and value.dtype.kind in "iu":
            return int(value.item())
    return files.step


def _prefix_note(variables: Mapping[str, Variable]) -> tuple[Note, ...]:
    """Said at once when nothing is found: then it is the names, not a variable that was left out."""
    if not variables or any(variable.key is not None for variable in variables.values()):
        return ()
    try:
        next(iter(variables.values())).read()
    except LoadError as error:
        return (Note("warning", "names-differ", "none of the graph's variables is in the checkpoint", hint=error.hint),)
    return ()
