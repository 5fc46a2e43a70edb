"""The entries of a lookup table that a text file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from bnfold.graph import Array, DType, Node

WHOLE_LINE = -2
LINE_NUMBER = -1
"""In place of the number of a column: what of a line is the key, or the value."""

_FOLDERS = (".", "assets")


class UnreadableError(Exception):
    """Why the entries of a table are not known."""


@dataclass(frozen=True)
class Entries:
    """What a table maps.

    Attributes
    ----------
    keys : ndarray of shape (n,)
        Each once.
    values : ndarray of shape (n, …)
    """

    keys: Array
    values: Array


@dataclass(frozen=True)
class Vocabularies:
    """Where a model's vocabulary files are.

    Attributes
    ----------
    folder : Path or None
        The model's; no file outside of it is read.
    assets : mapping of str to str
        Names of a SavedModel's assets, by the tensor that holds the file's path.
    """

    folder: Path | None = None
    assets: Mapping[str, str] = field(default_factory=dict)

    def find(self, tensor: str, written: str) -> Path:
        """The file that ``tensor``, whose content is the path ``written``, stands for.

        A graph holds the path that the file had on the machine that wrote it. Here it is the file of that name in
        the model's folder, or among its assets.

        Raises
        ------
        UnreadableError
            When there is none.
        """
        name = self.assets.get(tensor, written)
        if self.folder is None:
            raise UnreadableError(f"its vocabulary is a file, {name}, and the model came without files")
        base = self.folder.resolve()
        last = PureWindowsPath(name).name if "\\" in name else PurePosixPath(name).name
        for candidate in (base / name, *(base / folder / last for folder in _FOLDERS)):
            path = candidate.resolve()
            if path.is_relative_to(base) and path.is_file():
                return path
        raise UnreadableError(
            f"its vocabulary, {written}, is not in the model's folder: copy {last or 'the file'} to {self.folder}"
        )


def read_entries(path: Path, node: Node, key_dtype: DType, value_dtype: DType) -> Entries:
    """The entries that ``node``, an InitializeTableFromTextFile, reads from the file ``path``.

    Raises
    ------
    UnreadableError
        When the file has no such columns, or other numbers in them.
    """
    lines = [line.replace(b"\r", b"") for line in path.read_bytes().split(b"\n")]
    lines = lines[:-1] if not lines[-1] else lines
    if (count := node.attrs["vocab_size"]) >= 0:
        if len(lines) < count:
            raise UnreadableError(f"its vocabulary, {path.name}, has {len(lines)} lines, and {count} are wanted")
        lines = lines[:count]
    if b"" in lines:
        raise UnreadableError(f"line {lines.index(b'') + 1} of its vocabulary, {path.name}, is empty")
    delimiter = node.attrs["delimiter"]
    delimiter = delimiter.encode() if isinstance(delimiter, str) else delimiter
    try:
        keys = _column(lines, node.attrs["key_index"], delimiter, node.attrs["offset"], key_dtype)
        values = _column(lines, node.attrs["value_index"], delimiter, node.attrs["offset"], value_dtype)
    except (ValueError, IndexError, OverflowError):
        raise UnreadableError(f"its vocabulary, {path.name}, has not the columns that it reads") from None
    return distinct(keys, values)


def _column(lines: list[bytes], index: int, delimiter: bytes, offset: int, dtype: DType) -> Array:
    assert dtype.numpy is not None
    if index == LINE_NUMBER:
        return np.arange(offset, offset + len(lines)).astype(dtype.numpy)
    texts = lines if index == WHOLE_LINE else [line.split(delimiter)[index] for line in lines]
    if dtype.name == "string":
        return np.array(texts, object)
    read = float if dtype.is_floating else int
    return np.array([read(text) for text in texts], dtype.numpy)


def distinct(keys: Array, values: Array) -> Entries:
    """Entries without those that come twice.

    Raises
    ------
    UnreadableError
        When a key has two values, which TensorFlow refuses too.
    """
    keys = keys.reshape(-1)
    if len(values) != len(keys):
        raise UnreadableError(f"it has {len(keys)} keys and {len(values)} values")
    first: dict[object, int] = {}
    for index, key in enumerate(keys.tolist()):
        known = first.setdefault(key, index)
        if known != index and np.any(values[known] != values[index]):
            raise UnreadableError(f"its key {key!r} has two values")
    kept = list(first.values())
    return Entries(keys[kept], values[kept]) if len(kept) < len(keys) else Entries(keys, values)
