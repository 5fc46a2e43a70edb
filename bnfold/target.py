"""Where a model is written: checked before the work starts, replaced at once when it is done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
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

    def staged(self) -> AbstractContextManager[Path]:
        """A path of the same name in a temporary directory beside the target; see `replacing`."""
        return replacing(self.path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path of the same name in a temporary directory beside ``path``.

    Files written beside it take their places (that of its name last) when the block ends; on any exception they go
    and what was at ``path`` stays as it was.

    Raises
    ------
    ExportError
        When the disk refuses.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=".bnfold-", dir=path.parent))
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}", hint="choose another place") from error
    try:
        yield folder / path.name
        for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):
            os.replace(file, path.parent / file.name)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}", hint="is the disk full?") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def require_apart(path: Path, others: Iterable[object]) -> None:
    """Refuse a path at which one of ``others`` is: it would be written over.

    Parameters
    ----------
    path : Path
    others : iterable of object
        What is no path (a model in memory, None) is passed over.

    Raises
    ------
    ExportError
    """
    place = os.path.realpath(path)
    for other in others:
        if isinstance(other, (str, os.PathLike)) and os.path.realpath(os.fsdecode(other)) == place:
            raise ExportError(f"{path} is named twice: it would be written over", hint="name another file")


def require_writable(path: Path) -> None:
    """Refuse a path that no file can be written to.

    Raises
    ------
    ExportError
    """
    if os.path.isdir(path):
        raise ExportError(f"cannot write {path}: it is a directory", hint="name a file")
    if not os.path.isdir(path.parent):
        raise ExportError(f"cannot write {path}: there is no directory {path.parent}", hint=f"mkdir -p {path.parent}")
    require_writable_under(path)


def require_writable_under(path: Path) -> None:
    """Refuse a path that no file can be written to, not even once the directories on the way to it are made.

    Raises
    ------
    ExportError
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a directory that may not be entered
        raise ExportError(f"cannot write {path}: {error.strerror}", hint="choose another place") from error
    folder = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not folder.is_dir():
        raise ExportError(f"cannot write {path}: {folder} is no directory", hint="choose another place")
    if not os.access(folder, os.W_OK | os.X_OK) or (os.path.exists(path) and not os.access(path, os.W_OK)):
        raise ExportError(f"cannot write {path}: permission denied", hint="choose another place")
