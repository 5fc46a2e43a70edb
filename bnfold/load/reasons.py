"""The one sentence of a library's exception that tells a user something."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_IN_LAYER = re.compile(r"Exception encountered when calling [^\n]*\s+(\S[^\n]*)")
_LONGEST = 300


def reason(error: BaseException) -> str:
    """What went wrong, in one line.

    TensorFlow puts it last, after the user's own frames; Keras after the configurations of all that is around it,
    or in the middle of the arguments of a layer.
    """
    text = _COLOUR.sub("", str(error)).rpartition("Exception encountered: ")[2].strip()
    if found := _IN_LAYER.search(text):
        return found[1][:_LONGEST]
    lines = text.splitlines() or [type(error).__name__]
    line = lines[-1] if lines[0].startswith("in user code") else lines[0]
    return line.strip()[:_LONGEST]
