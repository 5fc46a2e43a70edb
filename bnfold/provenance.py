"""What a file says of its source: where it is, what it names, and whether that still holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold import metadata
from bnfold.errors import VerificationError
from bnfold.graph import node_name, tensor_name
from bnfold.options import SourceOptions

if TYPE_CHECKING:
    from bnfold.graph.stages import Endpoint, InferenceGraph, SourceModel
    from bnfold.verify import OnnxModel


def written_by_bnfold(path: Path) -> tuple[Path, metadata.Origin]:
    """The source of the model at ``path``, and how it was read, from the file's metadata.

    Raises
    ------
    VerificationError
        When bnfold did not write it, or the source is not there any more.
    """
    from bnfold.verify import OnnxModel

    origin = metadata.origin(OnnxModel(path).proto)
    if origin.path is None:
        raise VerificationError(f"{path} was made from an object in memory", hint="bnfold.check(object, model)")
    places = (Path(origin.path), path.parent / origin.path)
    if (source := next((place for place in places if _exists(place)), None)) is None:
        raise VerificationError(
            f"the source of {path}, {origin.path}, is not there any more",
            hint="bnfold check SOURCE MODEL.onnx names the source by hand",
        )
    return source, origin


def said_of(certified: Mapping[str, Any] | None, source: SourceModel, model: str) -> tuple[str, ...]:
    """What the certificate in a file says that is not so of the source that the user named, or of the file."""
    said = []
    if certified is not None and certified.get("source_sha256") != source.fingerprint:
        said.append(f"{source.label} is not the source that the file was made from, or has changed since")
    if certified is not None and certified.get("model_sha256") != model:
        said.append("the model has been changed since it was written")
    return tuple(said)


def _exists(source: Path) -> bool:
    """Whether ``source`` is a file, a folder or the prefix of a checkpoint."""
    from bnfold.load.checkpoint_files import exists

    try:
        return os.path.exists(source) or exists(source)
    except OSError:  # what no file can be called, or nobody may see
        return False


def named_by(model: OnnxModel, source: SourceModel, options: SourceOptions) -> SourceOptions:
    """``options`` with the inputs and outputs that ``model`` names, where ``source`` has tensors of these names."""
    inputs = [tensor_name(value.name) for value in model.inputs]
    outputs = [tensor_name(value.name) for value in model.outputs]
    if options.inputs is None and all(node_name(name) in source.graph for name in inputs):
        options = replace(options, inputs=dict.fromkeys(inputs))
    if options.outputs is None and all(node_name(name) in source.graph for name in outputs):
        options = replace(options, outputs=outputs)
    return options


def credited(reference: InferenceGraph, asked: SourceOptions) -> InferenceGraph:
    """``reference`` with the file given as the reason for the inputs and outputs that the user did not name."""

    def by_file(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        return tuple(
            replace(each, reason="named by the file") if each.reason == "named by the user" else each
            for each in endpoints
        )

    inputs = reference.inputs if asked.inputs is not None else by_file(reference.inputs)
    outputs = reference.outputs if asked.outputs is not None else by_file(reference.outputs)
    return replace(reference, inputs=inputs, outputs=outputs)
