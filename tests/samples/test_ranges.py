"""The range of an input, read off what the graph does to it first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnfold.errors import VerificationError
from bnfold.graph.stages import BatchNorm
from bnfold.samples.ranges import InputRange, input_range

PREPARED: dict[str, tuple[Callable[[Any, Any], Any], str, float, float]] = {
    "divided by 127.5, less 1": (lambda tf, x: x / 127.5 - 1.0, "uniform", 0, 255),
    "times 1/255": (lambda tf, x: x * (1 / 255), "uniform", 0, 255),
    "less 128": (lambda tf, x: tf.nn.relu(x - 128.0), "uniform", 0, 255),
    "less the mean pixel": (lambda tf, x: x - np.float32([123.68, 116.78, 103.94]), "uniform", 0, 255),
    "a small scale before a large one": (lambda tf, x: (x * 1.0) / 255.0, "uniform", 0, 255),
    "less 0.5, times 2": (lambda tf, x: (x - 0.5) * 2.0, "uniform", 0, 1),
    "reshaped first": (lambda tf, x: tf.reshape(x, (-1, 12)) / 255.0, "uniform", 0, 255),
    "nothing": (lambda tf, x: tf.nn.relu(x), "normal", -1, 1),
    "a constant after the first layer": (
        lambda tf, x: tf.matmul(tf.reshape(x, (-1, 3)), np.ones((3, 2), np.float32)) / 255.0, "normal", -1, 1
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PREPARED)
def test_range_is_that_of_the_preprocessing_when_there_is_some(nets: Any, case: str) -> None:
    build, kind, low, high = PREPARED[case]
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4, 3), name="x")
        tf.identity(build(tf, x), name="y")
    inference = nets.inference_graph(built, ["x:0"], ["y:0"])
    found = input_range(inference, inference.inputs[0])
    assert (found.kind, found.low, found.high) == (kind, low, high)


def test_range_is_the_number_of_rows_when_an_integer_looks_one_up(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        words = tf.compat.v1.placeholder(tf.int64, (None, 5), name="words")
        tf.gather(np.ones((37, 4), np.float32), words, name="y")
        tf.one_hot(tf.compat.v1.placeholder(tf.int32, (None,), name="label"), 6, name="z")
    inference = nets.inference_graph(built, ["words:0", "label:0"], ["y:0", "z:0"])
    words, label = (input_range(inference, endpoint) for endpoint in inference.inputs)
    assert (words.kind, words.low, words.high) == ("integer", 0, 37)
    assert (label.kind, label.low, label.high) == ("integer", 0, 6)
    drawn = words.draw((1000,), np.random.default_rng(0), np.dtype(np.int64))
    assert set(drawn) == set(range(37))


def test_range_is_the_number_of_rows_when_keras_looks_one_up(nets: Any) -> None:
    """Indices of an Embedding may be fed as floats, and those below 0 count from the end."""
    tf = nets.tf
    with tf.Graph().as_default() as built:
        words = tf.compat.v1.placeholder(tf.float32, (None, 5), name="words")
        index = tf.cast(words, tf.int32)
        tf.gather(np.ones((4, 3), np.float32), tf.where(index < 0, index + 4, index), name="y")
    inference = nets.inference_graph(built, ["words:0"], ["y:0"])
    found = input_range(inference, inference.inputs[0])
    assert (found.kind, found.low, found.high) == ("integer", 0, 4)
    assert found.draw((9,), np.random.default_rng(0), np.dtype(np.float32)).dtype == np.float32


def test_range_is_the_smallest_number_of_rows_when_several_are_looked_up(nets: Any) -> None:
    """Feature columns make a sparse tensor of what is fed, and look up each number once."""
    tf = nets.tf
    with tf.Graph().as_default() as built:
        kind = tf.compat.v1.placeholder(tf.int64, (None,), name="kind")
        present = tf.gather_nd(kind, tf.where(tf.not_equal(kind, -1)))
        tf.gather(np.ones((7, 3), np.float32), tf.unique(present).y, name="y")
        tf.gather(np.ones((5, 3), np.float32), kind, name="z")
    inference = nets.inference_graph(built, ["kind:0"], ["y:0", "z:0"])
    found = input_range(inference, inference.inputs[0])
    assert (found.kind, found.low, found.high) == ("integer", 0, 5)


def test_range_is_that_of_lengths_when_nothing_tells_of_a_number_for_each_sample(nets: Any) -> None:
    """An attention over a sequence of length 0 is NaN; an identity of 0, as in padding, is a word like others."""
    tf = nets.tf
    with tf.Graph().as_default() as built:
        tf.identity(tf.compat.v1.placeholder(tf.int32, (None,), name="lengths"), name="y")
        tf.identity(tf.compat.v1.placeholder(tf.int32, (None, 5), name="words"), name="z")
    inference = nets.inference_graph(built, ["lengths:0", "words:0"], ["y:0", "z:0"])
    lengths, words = (input_range(inference, endpoint) for endpoint in inference.inputs)
    assert (lengths.low, lengths.high, words.low, words.high) == (1, 10, 0, 10)


def test_range_is_that_of_the_statistics_when_a_batch_norm_comes_first(nets: Any) -> None:
    inference = nets.two_norms()
    norm = BatchNorm(
        "first", "FusedBatchNormV3", "inference", "image:0", "y:0", (), 3, None, None,
        np.full(3, 50.0), np.full(3, 16.0), 0.0,
    )  # fmt: skip
    found = input_range(replace(inference, batch_norms=(norm,)), inference.inputs[0])
    assert (found.kind, found.low, found.high) == ("normal", 46.0, 54.0)
    drawn = found.draw((20000,), np.random.default_rng(0), np.dtype(np.float32))
    assert drawn.mean() == pytest.approx(50, abs=0.1)
    assert drawn.std() == pytest.approx(4, abs=0.1)


def test_sample_is_refused_when_its_shape_is_absurd() -> None:
    with pytest.raises(VerificationError, match=r"\[1, 1099511627776\] is too large") as caught:
        InputRange("normal", -1.0, 1.0, "").draw((1, 1 << 40), np.random.default_rng(0), np.dtype(np.float32))
    assert "--input" in (caught.value.hint or "")
