"""Strings."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

WORDS = np.array([["Ab c", "x"], ["ÄB,c", ""]], dtype=object)
LINES = np.array(["a b  c", "", "d", " e f "], dtype=object)


def test_strings_are_joined():
    def build(a, b):
        return tf.strings.join([a, b, "!"]), tf.strings.join([a, a], separator="--"), tf.strings.join([a])

    assert_lowers(build, {"a": WORDS, "b": WORDS.T}, opsets=(20, 22))
    with pytest.raises(ExportError, match="StringJoin before opset 20"):
        assert_lowers(build, {"a": WORDS, "b": WORDS.T}, opsets=(18,))


def test_case_is_changed_of_ascii_letters():
    assert_lowers(lambda a: (tf.strings.lower(a), tf.strings.upper(a)), {"a": WORDS}, opsets=(13, 20))
    with pytest.raises(ExportError, match="ASCII"):
        assert_lowers(lambda a: tf.strings.lower(a, encoding="utf-8"), {"a": WORDS})


def test_patterns_match():
    build = lambda a: (tf.strings.regex_full_match(a, "[A-z, ]+"), raw.RegexFullMatch(input=a, pattern="x|"))  # noqa: E731
    assert_lowers(build, {"a": WORDS}, opsets=(20,))


@pytest.mark.parametrize(("separator", "most"), [(" ", -1), (" ", 1), ("", -1)])
def test_strings_are_split(separator, most):
    assert_lowers(lambda a: raw.StringSplitV2(input=a, sep=separator, maxsplit=most), {"a": LINES}, opsets=(20,))


@pytest.mark.parametrize("skip", [True, False])
def test_strings_are_split_at_a_character(skip):
    assert_lowers(lambda a: raw.StringSplit(input=a, delimiter=" ", skip_empty=skip), {"a": LINES}, opsets=(20,))


def test_numbers_are_written_and_read():
    numbers = np.array([0, -17, 123456789], np.int64)
    assert_lowers(lambda a: (tf.strings.as_string(a), tf.strings.as_string(tf.cast(a, tf.int32))), {"a": numbers})
    digits = np.array(["0", "-17.5", "1e3"], dtype=object)
    assert_lowers(lambda a: tf.strings.to_number(a), {"a": digits})
    assert_lowers(lambda a: tf.strings.to_number(a, tf.int64), {"a": np.array(["12", "-3"], dtype=object)})
