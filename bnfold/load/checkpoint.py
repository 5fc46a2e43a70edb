"""TensorFlow 1 checkpoints: the training graph from the ``.meta``, its variables from the ``.data``."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.errors import LoadError
from bnfold.graph.stages import Note, SourceModel, Variable
from bnfold.load.checkpoint_files import CheckpointFiles, checkpoint_files
from bnfold.load.fingerprint import fingerprint
from bnfold.load.functions import inline_calls
from bnfold.load.meta_graph import decode_collections, decode_signatures, saved_variables
from bnfold.load.protos import decode_graph, read_message
from bnfold.load.request import Request
from bnfold.load.resources import pass_by_value
from bnfold.load.tables import fill_tables
from bnfold.load.tensor_file import TensorFile
from bnfold.load.variables import bind_variables
from bnfold.load.vocabulary import Vocabularies

_STEP = "global_step"


def load_checkpoint(request: Request) -> SourceModel:
    """The checkpoint that the path names: a directory, a prefix, or one of its files.

    A variable that is missing from the checkpoint or does not fit the graph is no error here: its ``read`` raises,
    and only what inference needs is read.

    Raises
    ------
    LoadError
        When a file of the checkpoint is missing, truncated, corrupt, or of another kind.
    """
    files, notes = checkpoint_files(request.path)
    label = files.prefix.name
    assert files.meta is not None
    meta_graph = read_message(
        files.meta, "protobuf.meta_graph", "MetaGraphDef", what="a TensorFlow graph (a MetaGraphDef)"
    )
    if not meta_graph.graph_def.node:
        raise LoadError(f"{files.meta.name} holds no graph", hint="it is another kind of file, or an empty export")
    graph = decode_graph(meta_graph.graph_def, files.meta.name)
    tensors = TensorFile(files.pattern, files.data, label, compressed=files.index is None)
    saved = saved_variables(graph, meta_graph, label)
    graph = fill_tables(inline_calls(graph).graph, Vocabularies(files.meta.parent), tensors)
    graph = pass_by_value(graph)
    variables = bind_variables(graph, tensors, saved, request.rename_variables, label)
    collections = decode_collections(graph, meta_graph)
    return SourceModel(
        path=request.path,
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
