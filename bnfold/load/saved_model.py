"""SavedModels of TensorFlow 1 and 2, read from their protos: nothing in them is run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import Graph
from bnfold.graph.stages import Note, Signature, SourceModel
from bnfold.load.checkpoint_files import data_files
from bnfold.load.fingerprint import fingerprint
from bnfold.load.functions import Inlined, behind_copies, inline_calls
from bnfold.load.lookups import TABLES
from bnfold.load.meta_graph import decode_collections, decode_signatures, saved_variables
from bnfold.load.protos import decode_graph, read_message
from bnfold.load.request import Request
from bnfold.load.resources import pass_by_value
from bnfold.load.saver import VARIABLE_OPS, with_originals
from bnfold.load.tables import fill_tables
from bnfold.load.tensor_file import TensorFile
from bnfold.load.variables import bind_variables, without_values
from bnfold.load.vocabulary import Vocabularies

FILES = ("saved_model.pb", "saved_model.pbtxt")

_SERVE = ("serve",)
_DEFAULT = "serving_default"


def load_saved_model(request: Request) -> SourceModel:
    """The SavedModel in a directory, or whose ``saved_model.pb`` is named.

    Of a TensorFlow 2 model, which is a library of functions, the graph is what its signature computes, calls
    inlined; of a TensorFlow 1 model it is everything.

    Raises
    ------
    LoadError
        When files are missing or damaged, or when the tags or the signature are not there or not unique.
    """
    file = saved_model_file(request.path)
    label = file.parent.name or str(file.parent)
    proto = read_message(file, "protobuf.saved_model", "SavedModel", what="a SavedModel")
    meta_graph, notes = _choose_meta_graph(proto, request.tags, label)
    graph = decode_graph(meta_graph.graph_def, label)
    signatures = _choose_signatures(meta_graph, request.signature, label)
    saved = saved_variables(graph, meta_graph, label)
    if _is_version_2(meta_graph):
        saved = with_originals(graph, saved)
        graph = _what_is_served(graph, signatures)
    flat = inline_calls(graph)
    prefix = file.parent / "variables" / "variables"
    values = _value_files(prefix)
    tensors = TensorFile(str(prefix), values[1:], label) if values else None
    graph = fill_tables(flat.graph, Vocabularies(file.parent, _assets(meta_graph)), tensors)
    flat = replace(flat, graph=pass_by_value(graph))
    if tensors is not None:
        variables = bind_variables(flat.graph, tensors, saved, request.rename_variables, label)
    else:
        variables = without_values(flat.graph, f"{label} has no directory 'variables'", "copy the whole directory")
    return SourceModel(
        path=request.path,
        kind="saved model",
        label=label,
        graph=flat.graph,
        variables=variables,
        signatures=tuple(_moved(signature, flat) for signature in signatures),
        collections=decode_collections(flat.graph, meta_graph),
        fingerprint=fingerprint([file, *values]),
        notes=notes,
    )


def is_saved_model(path: Path) -> bool:
    """Whether ``path`` is a directory with a SavedModel, or its ``saved_model.pb``."""
    return saved_model_file(path).is_file() and saved_model_file(path).name in FILES


def saved_model_file(path: Path) -> Path:
    """The file with the graph: ``path`` itself, or in the directory ``path``."""
    if path.is_file():
        return path
    return next((path / name for name in FILES if (path / name).is_file()), path / FILES[0])


def _value_files(prefix: Path) -> tuple[Path, ...]:
    index = prefix.with_name(prefix.name + ".index")
    if not prefix.parent.is_dir() or not any(prefix.parent.iterdir()):
        return ()
    if not index.is_file():
        raise LoadError(f"{index} is missing", hint="copy the whole directory of the SavedModel")
    return (index, *data_files(prefix))


# Which graph, which signature


def _choose_meta_graph(proto: Any, tags: tuple[str, ...] | None, label: str) -> tuple[Any, tuple[Note, ...]]:
    by_tags = {tuple(sorted(m.meta_info_def.tags)): m for m in proto.meta_graphs if m.graph_def.node}
    if not by_tags:
        raise LoadError(f"the SavedModel {label} holds no graph", hint="it is another kind of file, or truncated")
    offered = "; ".join(",".join(found) or "(none)" for found in by_tags)
    if tags is not None:
        if tuple(sorted(tags)) not in by_tags:
            raise LoadError(f"{label} has no graph tagged {','.join(tags)}", hint=f"its graphs are tagged: {offered}")
        return by_tags[tuple(sorted(tags))], ()
    if len(by_tags) == 1:
        return next(iter(by_tags.values())), ()
    if _SERVE not in by_tags:
        raise LoadError(f"{label} holds {len(by_tags)} graphs", hint=f"choose one by its tags with --tags: {offered}")
    note = Note("note", "tags-chosen", f"took the graph tagged serve of {label}; it holds: {offered}")
    return by_tags[_SERVE], (note,)


def _choose_signatures(meta_graph: Any, wanted: str | None, label: str) -> tuple[Signature, ...]:
    """The signature asked for; else all, the default first. TensorFlow 2 has no graph but a signature's."""
    signatures = {signature.name: signature for signature in decode_signatures(meta_graph)}
    if wanted is not None:
        if wanted not in signatures:
            raise LoadError(f"{label} has no signature {wanted!r}", hint=_did_you_mean(wanted, signatures))
        return (signatures[wanted],)
    default = signatures.get(_DEFAULT)
    if not _is_version_2(meta_graph):
        return tuple(sorted(signatures.values(), key=lambda signature: signature is not default))
    if default is None and len(signatures) > 1:
        names = ", ".join(signatures)
        raise LoadError(f"{label} has {len(signatures)} signatures", hint=f"choose one with --signature: {names}")
    if not signatures:
        raise LoadError(
            f"the SavedModel {label} has no signature, so nothing says what it computes",
            hint="save it with signatures=..., or pass one of its functions from Python: "
            "bnfold.convert(tf.saved_model.load(path).f.get_concrete_function(...))",
        )
    return (default or next(iter(signatures.values())),)


def _did_you_mean(wanted: str, names: Iterable[str]) -> str:
    near = get_close_matches(wanted, list(names), 1)
    return f"did you mean {near[0]}?" if near else f"it has: {', '.join(names) or 'none'}"


def _is_version_2(meta_graph: Any) -> bool:
    return bool(meta_graph.HasField("object_graph_def"))


def _what_is_served(graph: Graph, signatures: Iterable[Signature]) -> Graph:
    """What the signatures' tensors depend on, without the functions that save and restore; all variables stay.

    Tables stay too, and the calls that fill them.
    """
    ends = [tensor for s in signatures for tensor in (*s.inputs.values(), *s.outputs.values())]
    variables = [node.output for node in graph if node.op in VARIABLE_OPS]
    tables = [reader.output for node in graph if node.op in TABLES for reader in graph.readers(node.output)]
    return graph.pruned([*ends, *variables, *tables], controls=True)


def _assets(meta_graph: Any) -> dict[str, str]:
    """Where each asset is, from the model's folder on, by the tensor with its path."""
    return {asset.tensor_info.name: f"assets/{asset.filename}" for asset in meta_graph.asset_file_def}


def _moved(signature: Signature, flat: Inlined) -> Signature:
    """``signature`` with the tensors that its outputs are now; those of a TensorFlow 1 graph keep their names."""
    outputs = {
        argument: behind_copies(flat.graph, flat.tensor(name)) if name in flat.moved else name
        for argument, name in signature.outputs.items()
    }
    return Signature(signature.name, dict(signature.inputs), outputs)
