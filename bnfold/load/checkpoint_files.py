"""Which files make up a TensorFlow 1 checkpoint: from a directory, a prefix or one of the files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bnfold.errors import LoadError
from bnfold.graph.stages import Note
from bnfold.load.state_file import STATE_FILE, paths_in, tails_of

_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")
_MEMBER = re.compile(r"(?P<prefix>.+?)(?:\.meta|\.index|\.data-\d{5}-of-\d{5})", re.DOTALL)
_STEP = re.compile(r".*-(\d+)", re.DOTALL)


@dataclass(frozen=True)
class CheckpointFiles:
    """The files of one checkpoint.

    Attributes
    ----------
    prefix : Path
        The name that they share: ``runs/model.ckpt-34000``.
    meta : Path or None
        The graph; None where it was not asked for.
    index : Path or None
        Where each variable is; None for Saver V1, which keeps that in the data files.
    data : tuple of Path
        The values, every shard.
    pattern : str
        What TensorFlow's reader takes for these files.
    """

    prefix: Path
    meta: Path | None
    index: Path | None
    data: tuple[Path, ...]
    pattern: str

    @property
    def all(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.meta, self.index, *self.data) if path is not None)

    @property
    def step(self) -> int | None:
        """The global step that Saver appended to the name."""
        return step_in_name(self.prefix.name)


def step_in_name(name: str) -> int | None:
    found = _STEP.fullmatch(name)
    return int(found[1]) if found and len(found[1]) < 19 else None


def checkpoint_files(source: Path, *, graph: bool = True) -> tuple[CheckpointFiles, tuple[Note, ...]]:
    """The checkpoint that ``source`` names, all its files present.

    Parameters
    ----------
    source : Path
        A directory, a prefix, or one of a checkpoint's files.
    graph : bool
        Whether the ``.meta`` is wanted too.

    Raises
    ------
    LoadError
        When there is none, or a file of it is missing.
    """
    if source.name == STATE_FILE and source.is_file():
        source = source.parent
    prefix, notes = _choose(source) if source.is_dir() else (_prefix_of(source), ())
    files = _complete(prefix, graph)
    if files.meta is not None and files.meta != _with_suffix(prefix, ".meta"):
        notes += (Note("note", "graph-borrowed", f"{prefix.name} has no .meta of its own: took {files.meta.name}"),)
    return files, notes


def _prefix_of(path: Path) -> Path:
    member = _MEMBER.fullmatch(path.name)
    return path.with_name(member["prefix"]) if member else path


def is_checkpoint(path: Path) -> bool:
    """Whether ``path`` is a directory with a checkpoint or its state file, a prefix, or one of a checkpoint's files."""
    if path.is_dir():
        return (path / STATE_FILE).is_file() or bool(prefixes_in(path))
    if _MEMBER.fullmatch(path.name) or (path.name == STATE_FILE and path.is_file()):
        return True
    return exists(path) and (not path.is_file() or _with_suffix(path, ".meta").is_file())


def prefixes_in(directory: Path) -> list[Path]:
    """The prefixes of the checkpoints of which ``directory`` holds an index, a graph or data, in order of name."""
    found = {m["prefix"] for path in directory.iterdir() if (m := _MEMBER.fullmatch(path.name))}
    return [directory / name for name in sorted(found)]


def exists(prefix: Path) -> bool:
    """Whether any file of a checkpoint called ``prefix`` is there; False for what no file can be called."""
    if any(os.path.isfile(f"{prefix}{suffix}") for suffix in ("", ".meta", ".index")):
        return True
    return os.path.isdir(prefix.parent) and bool(_data(prefix) or _data_v1(prefix))


# A directory


def _choose(directory: Path) -> tuple[Path, tuple[Note, ...]]:
    """The checkpoint that the state file names, else the newest in ``directory``."""
    named = list(paths_in(directory / STATE_FILE))
    resolved = [prefix for path in named if (prefix := _resolve(directory, path)) is not None]
    if resolved and _resolve(directory, named[0]) == resolved[0]:
        return resolved[0], ()
    present = prefixes_in(directory)
    if not present:
        raise LoadError(f"no checkpoint in {directory}", hint=_hint_for_empty(directory, named))
    newest = resolved[0] if resolved else max(present, key=_age)
    if len(present) == 1 and not named:
        return newest, ()
    others = ", ".join(p.name for p in present if p != newest)
    reason = (
        f"the file 'checkpoint' names {named[0]!r}, which is not here" if named else "there is no file 'checkpoint'"
    )
    note = Note(
        "note",
        "checkpoint-chosen",
        f"{reason}: took {newest.name}" + (f", not {others}" if others else ""),
        hint="pass the prefix of the checkpoint you mean" if others else None,
    )
    return newest, (note,)


def _age(prefix: Path) -> tuple[bool, int, float]:
    """Sorts the newest last: complete ones over torn ones, then by step, then by time of writing."""
    files = [_with_suffix(prefix, ".meta"), _with_suffix(prefix, ".index")]
    complete = all(path.is_file() for path in files)
    written = max((path.stat().st_mtime for path in files if path.is_file()), default=0.0)
    step = step_in_name(prefix.name)
    return complete, -1 if step is None else step, written


def _resolve(directory: Path, path: str) -> Path | None:
    return next((place for place in tails_of(path, directory) if exists(place)), None)


def _hint_for_empty(directory: Path, named: list[str]) -> str:
    if named:
        return f"its file 'checkpoint' names {named[0]!r}; put the .meta, .index and .data files of that beside it"
    below = sorted({p.parent.relative_to(directory) for p in _few(directory.glob("*/*.index"))})
    if below:
        return "there is one in " + " and in ".join(str(directory / path) for path in below[:3])
    return "pass the directory with the .meta, .index and .data files, or their common prefix"


def _few(paths: Iterable[Path]) -> list[Path]:
    return [path for path, _ in zip(paths, range(100), strict=False)]


# A prefix


def _complete(prefix: Path, graph: bool) -> CheckpointFiles:
    if not exists(prefix):
        raise LoadError(f"no checkpoint at {prefix}", hint=_neighbours(prefix))
    meta, index = _meta(prefix) if graph else None, _with_suffix(prefix, ".index")
    if index.is_file():
        return CheckpointFiles(prefix, meta, index, data_files(prefix), str(prefix))
    return _complete_v1(prefix, meta, index)


def _meta(prefix: Path) -> Path:
    """The graph of ``prefix``: its own, else the last one that the same Saver wrote (``write_meta_graph=False``)."""
    own = _with_suffix(prefix, ".meta")
    if own.is_file():
        return own
    stem = _stem(prefix.name)
    siblings = [path for path in prefix.parent.glob("*.meta") if _stem(path.name.removesuffix(".meta")) == stem]
    if siblings:
        return max(siblings, key=lambda path: _age(path.with_suffix("")))
    raise LoadError(
        f"the checkpoint {prefix.name} has no graph: {own.name} is missing in {own.parent}",
        hint=_hint_for_graph(prefix),
    )


def _stem(name: str) -> str:
    """``model.ckpt`` of ``model.ckpt-34000``."""
    return name if step_in_name(name) is None else name.rpartition("-")[0]


def _hint_for_graph(prefix: Path) -> str:
    above = prefix.parent.parent
    if (above / "saved_model.pb").is_file():
        return f"these are the values of a SavedModel: pass its directory, {above}"
    return (
        "copy the .meta that Saver wrote with it; a TensorFlow 2 checkpoint never has one: use "
        "bnfold.convert(checkpoint, model=...) from Python with the function or Keras model it was saved from"
    )


def data_files(prefix: Path) -> tuple[Path, ...]:
    """Every data file of the checkpoint ``prefix``.

    Raises
    ------
    LoadError
        When one is missing.
    """
    data = _data(prefix)
    _require_every_shard(prefix, data)
    return data


def _complete_v1(prefix: Path, meta: Path | None, index: Path) -> CheckpointFiles:
    """Saver V1 (before TensorFlow 0.12): the data is in ``prefix`` itself, or in shards named after it."""
    data = _data_v1(prefix)
    if not data or _data(prefix):
        raise LoadError(
            f"the checkpoint {prefix.name} has no index: {index.name} is missing in {index.parent}",
            hint="copy all files of the checkpoint: .meta, .index and every .data-*",
        )
    if data == (prefix,):
        return CheckpointFiles(prefix, meta, None, data, _escape(str(prefix)))
    _require_every_shard(prefix, data)
    count = data[0].name[-5:]
    return CheckpointFiles(prefix, meta, None, data, f"{_escape(str(prefix))}-?????-of-{count}")


def _require_every_shard(prefix: Path, data: tuple[Path, ...]) -> None:
    hint = "copy all files of the checkpoint: .meta, .index and every .data-*"
    if not data:
        raise LoadError(f"the checkpoint {prefix.name} has no values: {prefix.name}.data-* is missing", hint=hint)
    counts = {path.name[-5:] for path in data}
    if len(counts) > 1:
        kinds = " and ".join(f"of {int(count)}" for count in sorted(counts))
        raise LoadError(
            f"{prefix.name} has data files of two writings: {kinds} shards", hint="keep the ones the .index belongs to"
        )
    present = {int(path.name[-14:-9]) for path in data}
    absent = [number for number in range(int(counts.pop())) if number not in present]
    if absent:
        raise LoadError(f"shard {absent[0]} of the checkpoint {prefix.name} is missing in {prefix.parent}", hint=hint)


def _neighbours(prefix: Path) -> str:
    folder = prefix.parent
    if not folder.is_dir():
        return f"there is no directory {folder}"
    near = [path.name for path in prefixes_in(folder)]
    if near:
        return "that directory has " + ", ".join(near[:5])
    return "pass a directory with a checkpoint, or its prefix without .index"


def _with_suffix(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)


def _data(prefix: Path) -> tuple[Path, ...]:
    return _shards(prefix, ".data")


def _data_v1(prefix: Path) -> tuple[Path, ...]:
    return (prefix,) if prefix.is_file() else _shards(prefix, "")


def _shards(prefix: Path, infix: str) -> tuple[Path, ...]:
    head = prefix.name + infix
    paths = prefix.parent.glob(f"{glob.escape(head)}-?????-of-?????")
    return tuple(sorted(path for path in paths if _SHARD.fullmatch(path.name[len(head) :])))


def _escape(path: str) -> str:
    """TensorFlow's V1 reader takes a glob pattern, with a backslash before what is meant as it stands."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)
