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


@pytest.mark.parametrize("axes", [0, -1, [0, 1], [1, 0], []])
@pytest.mark.parametrize("keep", [False, True])
def test_strings_of_an_axis_are_joined(axes, keep):
    def build(a):
        return raw.ReduceJoin(inputs=a, reduction_indices=tf.constant(axes, tf.int32), keep_dims=keep, separator="+")

    assert_lowers(build, {"a": WORDS}, opsets=(20, 23))
    assert_lowers(build, {"a": WORDS}, {"a": np.repeat(WORDS, 3, 1)}, dynamic=True, opsets=(20,))


def test_strings_of_an_axis_are_joined_when_there_are_many_or_none():
    build = lambda a: tf.strings.reduce_join(a, 1, separator=", ")  # noqa: E731
    many = np.array([[f"{i}{j}" for j in range(40)] for i in range(2)], object)
    assert_lowers(build, {"a": many}, opsets=(20,))
    assert_lowers(build, {"a": WORDS}, {"a": many}, {"a": many[:, :0]}, dynamic=True, opsets=(20,))


TEXTS = np.array([["banana", "a.b.a", ""], ["a", "[x]  \t", "ÄaÄ"]], object)


@pytest.mark.parametrize(
    ("pattern", "rewrite", "everywhere"),
    [
        ("a", "bb", True),
        ("an", "", True),
        ("a", "_", False),
        (r"a\.b", r"\\", True),
        ("[ab.]", "_", True),
        (r"[\s\[\]]+", "", True),
        ("a|n", "", True),
        ("[a-n]", "-", True),
        ("Ä", "é", True),
    ],
)
def test_literal_text_is_replaced(pattern, rewrite, everywhere):
    def build(a):
        fed = raw.RegexReplace(input=a, pattern=pattern, rewrite=rewrite, replace_global=everywhere)
        return [tf.strings.regex_replace(a, pattern, rewrite, replace_global=everywhere), fed]

    assert_lowers(build, {"a": TEXTS}, dynamic=True, opsets=(20,))


@pytest.mark.parametrize(
    ("pattern", "rewrite", "reason"),
    [
        ("a+", "b", "cannot replace what 'a\\+' matches"),
        (r"(a)n", r"\1", "only literal text"),
        ("[ab]", "xa", "one after another"),
        ("^a", "", "only literal text"),
    ],
)
def test_pattern_is_refused_when_it_is_no_literal_text(pattern, rewrite, reason):
    with pytest.raises(ExportError, match=reason):
        assert_lowers(lambda a: tf.strings.regex_replace(a, pattern, rewrite), {"a": TEXTS}, opsets=(20,))


def test_strings_are_split_at_any_of_several_characters():
    build = lambda a: raw.StringSplit(input=a, delimiter=" ,|", skip_empty=False)  # noqa: E731
    assert_lowers(build, {"a": np.array(["a b,c||d", "", "|x"], object)}, opsets=(20,))
    with pytest.raises(ExportError, match="single bytes"):
        assert_lowers(lambda a: raw.StringSplit(input=a, delimiter=""), {"a": LINES}, opsets=(20,))


def test_truth_is_written():
    assert_lowers(tf.strings.as_string, {"a": np.array([True, False])})


def test_strings_are_compared():
    def build(a, b):
        return [tf.equal(a, b), tf.not_equal(a[:, :1], b), tf.equal(a, "x"), *tf.compat.v1.setdiff1d(a[0], b[:, 0])]

    other = np.array([["Ab c", "y"], ["x", ""]], object)
    assert_lowers(build, {"a": WORDS, "b": other}, dynamic=True, opsets=(13, 18, 19))
