"""Regular expressions of RE2 that say no more than a list of literal texts."""

from __future__ import annotations

import string

_SPECIAL = frozenset(".^$*+?()[]{}|")
_LETTERS = {"t": "\t", "n": "\n", "f": "\f", "r": "\r", "v": "\v"}
_CLASSES = {"s": "\t\n\f\r ", "d": string.digits}
_MOST_CHARACTERS = 64


def literals(pattern: str) -> list[str] | None:
    """The texts that ``pattern`` matches, all of one character if there are several; None if they are no such list.

    >>> literals(r"a\\.b"), literals(r"[,;!-$]"), literals("a|b"), literals("a+")
    (['a.b'], [',', ';', '!', '"', '#', '$'], ['a', 'b'], None)
    """
    if pattern.startswith("[") and pattern.endswith("]"):
        return _of_class(pattern[1:-1])
    texts = [_plain(part) for part in pattern.split("|")]
    if not pattern or any(not text for text in texts):
        return None
    found = [text for text in texts if text]
    return found if len(found) == 1 or all(len(text) == 1 for text in found) else None


def _plain(part: str) -> str | None:
    """The text of a part without operators; None if it has some."""
    text, letters = "", iter(part)
    for letter in letters:
        if letter == "\\":
            escaped = _escaped(next(letters, ""))
            if escaped is None or len(escaped) != 1:
                return None
            text += escaped
        elif letter in _SPECIAL:
            return None
        else:
            text += letter
    return text


def _escaped(letter: str) -> str | None:
    """What a backslash and ``letter`` match, one of these characters; None for what is not on the list."""
    if letter in _LETTERS:
        return _LETTERS[letter]
    if letter in _CLASSES:
        return _CLASSES[letter]
    return letter if letter in string.punctuation and letter else None


def _of_class(inside: str) -> list[str] | None:
    """The characters of ``[inside]``."""
    if not inside or inside.startswith("^") or "[:" in inside:
        return None
    found: list[str] = []
    position, open_range = 0, False
    while position < len(inside):
        letter = inside[position]
        if letter == "]" and position:
            return None  # the class ends here, and more follows
        is_dash = letter == "-" and found and 0 < position < len(inside) - 1 and not open_range
        if is_dash:
            open_range, position = True, position + 1
            continue
        escaped: str | None = letter
        if letter == "\\":
            position += 1
            escaped = _escaped(inside[position]) if position < len(inside) else None
        if escaped is None or (open_range and len(escaped) != 1):
            return None
        found += _range(found[-1], escaped)[1:] if open_range else escaped
        open_range, position = False, position + 1
    return list(dict.fromkeys(found)) if len(found) <= _MOST_CHARACTERS else None


def _range(first: str, last: str) -> list[str]:
    return [chr(code) for code in range(ord(first), min(ord(last), ord(first) + _MOST_CHARACTERS) + 1)]


def plain_rewrite(rewrite: str) -> str | None:
    """The text of a replacement in which no group is named; None if one is."""
    text, letters = "", iter(rewrite)
    for letter in letters:
        if letter == "\\":
            letter = next(letters, "")
            if letter != "\\":
                return None
        text += letter
    return text
