"""Regular expressions that say no more than a list of texts."""

from __future__ import annotations

import pytest

from bnfold.export.patterns import literals, plain_rewrite


@pytest.mark.parametrize(
    ("pattern", "texts"),
    [
        ("a-b", ["a-b"]),
        (r"a\.\\b\n", ["a.\\b\n"]),
        ("a|b", ["a", "b"]),
        ("[abca]", ["a", "b", "c"]),
        ("[+-]", ["+", "-"]),
        ("[-+]", ["-", "+"]),
        (r"[,-\.x]", [",", "-", ".", "x"]),
        (r"[\]\d]", ["]", *"0123456789"]),
    ],
)
def test_texts_of_a_pattern_are_listed(pattern, texts):
    assert literals(pattern) == texts


@pytest.mark.parametrize(
    "pattern", ["", "a+", "ab|c", "a|", "[^a]", "[]", "[a]b]", "[[:alpha:]]", r"\d", r"\s+", r"\w", "a{2}", "[ -~]"]
)
def test_other_patterns_are_no_list(pattern):
    assert literals(pattern) is None


def test_rewrite_is_plain_unless_it_names_a_group():
    assert plain_rewrite(r"a\\b") == r"a\b"
    assert plain_rewrite(r"a\1") is None
