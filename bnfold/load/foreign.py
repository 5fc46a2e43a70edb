"""Files that hold models, but not of a kind that bnfold reads: known by their first bytes, refused with a way out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bnfold.errors import LoadError


@dataclass(frozen=True)
class Foreign:
    """A kind of file: what its first bytes match, what it is, what to do instead."""

    head: re.Pattern[bytes]
    what: str
    hint: str


FOREIGN = (
    Foreign(
        re.compile(rb"....TFL3", re.DOTALL),
        "a TensorFlow Lite file, already converted",
        "pass the checkpoint, SavedModel or Keras file that it was made from",
    ),
    Foreign(
        # ModelProto begins with ir_version (field 1, 3 or more; a SavedModel has its schema version 1 there), then
        # the producer's name or the graph
        re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]"),
        "an ONNX file already",
        "pass the checkpoint, SavedModel or Keras file that it was made from",
    ),
    Foreign(
        re.compile(rb"\x80[\x02-\x05]"),
        "a Python pickle, which is never executed",
        "save the model as a checkpoint, a SavedModel or a Keras file",
    ),
    Foreign(re.compile(rb"\x1f\x8b"), "a gzip archive", "unpack it, and pass the directory or file inside"),
    Foreign(re.compile(rb"\x93NUMPY"), "a NumPy array", "pass the model, not its data"),
)


def refuse_foreign(path: Path) -> None:
    """Refuse the file ``path`` if it is of a kind in `FOREIGN`.

    Raises
    ------
    LoadError
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(16)
    for kind in FOREIGN:
        if kind.head.match(head):
            raise LoadError(f"{path.name} is {kind.what}", hint=kind.hint)
