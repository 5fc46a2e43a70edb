"""Where a model is written: checked before the work starts, replaced at once when it is done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bnfold.errors import ExportError

FORMATS = {".onnx": "onnx", ".pb": "pb"}


@dataclass(frozen=True)
class Target:
    """A path that a model can be written to.

    Attributes
    ----------
    path : Path
    format : {"onnx", "pb"}
    """

    path: Path
    format: str

    @staticmethod
    def at(path: str | Path) -> Target:
        """The target at ``path``.

        Raises
        ------
        ValueError
            When the suffix names no format.
        ExportError
            When nothing can be written there.
        """
        path = Path(path)
        if path.suffix not in FORMATS:
            raise ValueError(f"{path} ends in neither of {', '.join(FORMATS)}")
        require_writable(path)
        return Target(path, FORMATS[path.suffix])

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """A path of the same name in a temporary directory beside the target.

        Files written beside it take their places (the model last) when the block ends; on any exception they go
        and the target stays as it was.

        Raises
        ------
        ExportError
            When the disk refuses.
        """
        try:
            folder = Path(tempfile.mkdtemp(prefix=".bnfold-", dir=self.path.parent))
        except OSError as error:
            raise ExportError(f"cannot write {self.path}: {error.strerror}", hint="choose another place") from error
        try:
            yield folder / self.path.name
            for file in sorted(folder.iterdir(), key=lambda file: file.name == self.path.name):
                os.replace(file, self.path.parent / file.name)
        except OSError as error:
            raise ExportError(f"cannot write {self.path}: {error.strerror}", hint="is the disk full?") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def require_writable(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises
    ------
    ExportError
    """
    if path.is_dir():
        raise ExportError(f"cannot write {path}: it is a directory", hint="name a file")
    if not path.parent.is_dir():
        raise ExportError(f"cannot write {path}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}")
    require_writable_under(path)


def require_writable_under(path: Path) -> None:
    """Refuse a path that no file can be written to, not even once the directories on the way to it are made.

    Raises
    ------
    ExportError
    """
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise ExportError(f"cannot write {path}: {folder} is no directory", hint="choose another place")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ExportError(f"cannot write {path}: permission denied", hint="choose another place")
