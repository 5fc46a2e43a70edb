"""What the user named, and which reader takes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph.stages import SourceModel
from bnfold.load.checkpoint import load_checkpoint


def load(
    source: str | os.PathLike[str],
    *,
    tags: Sequence[str] | None = None,
    signature: str | None = None,
    rename_variables: Mapping[str, str] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    model: Callable[..., Any] | None = None,
) -> SourceModel:
    """Read a trained model: its graph as it was saved, its variables still on disk.

    Parameters
    ----------
    source : path
        A checkpoint: a directory, a prefix, or its ``.meta``.
    rename_variables : mapping of str to str, optional
        Beginnings of variable names in the graph, and what the checkpoint has in their place.

    Raises
    ------
    LoadError
        When ``source`` is missing, damaged, or holds no graph.
    """
    path = Path(os.fspath(source))
    try:
        return load_checkpoint(path, rename_variables or {})
    except OSError as error:
        raise LoadError(f"cannot read {error.filename or path}: {error.strerror or error}") from None
