"""What the user asked `load` for, as every reader gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """The arguments of `load`.

    Attributes
    ----------
    source : object
        A path, or the model itself.
    path : Path
        The source as a path; ``.`` for a model.
    tags : tuple of str or None
    signature : str or None
    rename_variables : mapping of str to str
    custom_objects : mapping of str to object
    model : Keras model, tf.function and the like, or None
        What computes the graph of a checkpoint that holds none.
    """

    source: Any
    path: Path = field(default_factory=Path)
    tags: tuple[str, ...] | None = None
    signature: str | None = None
    rename_variables: Mapping[str, str] = field(default_factory=dict)
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    model: Any = None
