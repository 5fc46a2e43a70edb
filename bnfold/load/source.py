"""What the user named, and which reader takes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph.stages import SourceModel
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.checkpoint import load_checkpoint
from bnfold.load.checkpoint_files import is_checkpoint
from bnfold.load.foreign import refuse_foreign
from bnfold.load.frozen_graph import load_frozen_graph
from bnfold.load.keras_model import is_keras_file, load_keras_file
from bnfold.load.memory import source_in_memory
from bnfold.load.request import Request
from bnfold.load.saved_model import is_saved_model, load_saved_model
from bnfold.load.values_only import load_values

Reader = Callable[[Request], SourceModel]

KINDS: tuple[tuple[Callable[[Path], bool], Reader], ...] = (
    (is_saved_model, load_saved_model),
    (is_checkpoint, load_checkpoint),
    (is_keras_file, load_keras_file),
    (Path.is_file, load_frozen_graph),
)
"""How each kind of source is known, by what is there and what it begins with, and what reads it; the first wins."""

_WITH_NAMED_VALUES = ("checkpoint", "saved model")
_OF_SAVED_MODELS = "tags and signature (--tags, --signature) are of SavedModels; --input and --output name tensors"

_MODEL_FILES = (".pb", ".pbtxt", ".keras", ".h5", ".hdf5")


def load(
    source: Any,
    *,
    tags: str | Sequence[str] | None = None,
    signature: str | None = None,
    rename_variables: Mapping[str, str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    model: Callable[..., Any] | None = None,
) -> SourceModel:
    """Read a trained model: its graph as it was saved, its variables still on disk.

    Parameters
    ----------
    source : path or model
        A TensorFlow 1 checkpoint (a directory, a prefix, or its ``.meta``), a frozen graph, a SavedModel, a Keras
        file; or a Keras model, a ``tf.function`` with an input signature, or a ConcreteFunction.
    tags : str or sequence of str, optional
        Which graph of a SavedModel that holds several.
    signature : str, optional
        Which signature of a SavedModel; ``serving_default`` unless said.
    rename_variables : mapping of str to str, optional
        Beginnings of variable names in the graph, and what the checkpoint has in their place.
    custom_objects : mapping of str to object, optional
        Layers and functions that a Keras file uses and Keras does not have.
    model : callable, optional
        A Keras model or ``tf.function``: what computes the graph of a checkpoint that holds values only. The model
        itself keeps the values it has.

    Raises
    ------
    LoadError
        When ``source`` is missing, damaged, or holds no graph.
    TypeError
        When ``source`` is neither a path nor a model.
    """
    request = Request(
        source=source,
        tags=None if tags is None else _tags(tags),
        signature=signature,
        rename_variables=rename_variables or {},
        custom_objects=custom_objects or {},
        model=model,
    )
    if not isinstance(source, (str, os.PathLike)):
        return _refuse_vain(source_in_memory(source), request)
    path = Path(os.fsdecode(source))
    try:
        return _read(replace(request, path=_only_model_in(path)))
    except OSError as error:
        hint = "check that the file is there and may be read"
        raise LoadError(f"cannot read {error.filename or path}: {error.strerror or error}", hint=hint) from None


def _tags(tags: str | Sequence[str]) -> tuple[str, ...]:
    """``serve,gpu`` in parts; an empty text is the graph without tags."""
    return tuple(tag for tag in tags.split(",") if tag) if isinstance(tags, str) else tuple(tags)


def _read(request: Request) -> SourceModel:
    if request.model is not None:
        return _refuse_vain(load_values(request), request)
    refuse_foreign(request.path)
    reader = next((read for matches, read in KINDS if matches(request.path)), load_checkpoint)
    if request.path.exists():
        tensorflow()  # here, for the errors it meets on its way and keeps hold every frame above it and what is in it
    return _refuse_vain(reader(request), request)


def _refuse_vain(model: SourceModel, request: Request) -> SourceModel:
    """``model``, if all that was asked for can be had of its kind.

    Raises
    ------
    LoadError
        When a word of the user's would change nothing.
    """
    asked = {"tags": request.tags, "signature": request.signature}
    if model.kind != "saved model" and (vain := [word for word, given in asked.items() if given is not None]):
        raise LoadError(f"{model.label} is a {model.kind}: it has no {' and no '.join(vain)}", hint=_OF_SAVED_MODELS)
    if request.rename_variables and model.kind not in _WITH_NAMED_VALUES:
        raise LoadError(
            f"{model.label} is a {model.kind}: there are no names to look its variables up under",
            hint="rename_variables (--rename-variables) is of checkpoints; leave it out",
        )
    return model


def _only_model_in(path: Path) -> Path:
    """The model file in a directory that has just one, and no SavedModel or checkpoint; else ``path``.

    Raises
    ------
    LoadError
        When there are several.
    """
    if not path.is_dir() or is_saved_model(path) or is_checkpoint(path):
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in _MODEL_FILES and file.is_file())
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise LoadError(f"no checkpoint in {path}, but {len(files)} other models", hint=f"pass one of them: {names}")
    return files[0] if files else path
