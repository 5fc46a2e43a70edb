"""The text file in which a Saver keeps the paths of the checkpoints in a directory, as they were on its machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

STATE_FILE = "checkpoint"

_LIMIT = 1 << 20
_DEEPEST = 16
"""How many of a foreign path's parts may lie below the directory."""


def paths_in(state: Path) -> Iterator[str]:
    """The paths in a state file: the latest checkpoint, then the others from the last saved to the first.

    It is read as text, a line at a time: a file that is not a state file gives nothing.
    """
    try:
        with state.open("rb") as file:
            text = file.read(_LIMIT)
    except OSError:
        return
    latest = re.findall(rb'^\s*model_checkpoint_path:\s*["\'](.*)["\']\s*$', text, re.MULTILINE)
    saved = re.findall(rb'^\s*all_model_checkpoint_paths:\s*["\'](.*)["\']\s*$', text, re.MULTILINE)
    yield from (_unescape(path) for path in [*latest[:1], *reversed(saved)])


def _unescape(text: bytes) -> str:
    """Protobuf's text form writes a backslash as two, and some versions write bytes beyond ASCII in octal."""

    def byte(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if code.isdigit() else code

    return re.sub(rb"\\([0-3][0-7]{2}|\D)", byte, text).decode(errors="replace")


def tails_of(path: str, directory: Path) -> Iterator[Path]:
    """Where in ``directory`` the checkpoint ``path``, written on whatever machine, may be.

    Absolute, Windows' and foreign paths are tried from their longest tail to their last part; no place is outside
    of ``directory``.
    """
    parts = [part for part in re.split(r"[\\/]+", path) if part not in ("", ".")]
    parts = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
    for start in range(max(0, len(parts) - _DEEPEST), len(parts)):
        yield directory.joinpath(*parts[start:])
