"""Inputs that the user names are the file's inputs: read or not, whatever the ops behind them usually do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from saved_graphs import tf, v1

import bnfold

X = np.array([[0.5, -2.0, 3.0], [-0.25, 4.0, 1.5]], np.float32)
EXACT = 1e-6
"""rtol: one op in float32."""


def frozen(path: Path, build: Callable[..., Any], feeds: dict[str, Any]) -> np.ndarray:
    """Write the graph of ``build`` to ``path``; its output on ``feeds``, by TensorFlow."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        arguments = {name: v1.placeholder(tf.as_dtype(v.dtype), v.shape, name) for name, v in feeds.items()}
        output = tf.identity(build(*arguments.values()), name="output")
        path.write_bytes(graph.as_graph_def().SerializeToString())
        return session.run(output, {f"{name}:0": value for name, value in feeds.items()})


def converted(folder: Path, build: Callable[..., Any], feeds: dict[str, Any], **options: Any) -> bnfold.Conversion:
    """The conversion, once it gives in onnxruntime, fed with all of ``feeds``, what TensorFlow gives."""
    truth = frozen(folder / "graph.pb", build, feeds)
    conversion = bnfold.convert(folder / "graph.pb", inputs=dict.fromkeys(feeds), outputs=["output"], **options)
    session = onnxruntime.InferenceSession(conversion.model.SerializeToString())
    [result] = session.run(None, {f"{name}:0": value for name, value in feeds.items()})
    if truth.dtype == object:
        assert [text.decode() for text in truth.ravel()] == list(result.ravel())
    else:
        assert result.dtype == truth.dtype
        np.testing.assert_allclose(result, truth, rtol=EXACT)
    return conversion


UNREAD: dict[str, tuple[Callable[..., Any], dict[str, Any], list[str]]] = {
    "nothing reads it": (lambda x, y: x * 3.0, {"x": X, "y": X[0]}, ["y:0"]),
    "it stands before those that are read": (lambda y, x: x * 3.0, {"y": X[0], "x": X}, ["y:0"]),
    "its shape alone is read and is known": (lambda x: tf.shape(x), {"x": X}, ["x:0"]),
    "zeros are made like it": (lambda x: tf.zeros_like(x) - 2.0, {"x": X}, ["x:0"]),
    "the output is a constant": (lambda x: tf.constant([3.0, -4.0]), {"x": X}, ["x:0"]),
    "it is the rate of a dropout that goes": (
        lambda x, keep: v1.nn.dropout(x, keep_prob=keep),
        {"x": X, "keep": np.array(1, np.float32)},
        ["keep:0"],
    ),
}


@pytest.mark.parametrize("case", UNREAD)
def test_placeholder_stays_an_input_when_the_user_names_it_and(case: str, tmp_path: Path) -> None:
    build, feeds, unread = UNREAD[case]
    conversion = converted(tmp_path, build, feeds)
    assert conversion.report.equal
    assert [value.name for value in conversion.model.graph.input] == [f"{name}:0" for name in feeds]
    notes = [note for note in conversion.report.notes if note.kind == "input-unread"]
    assert [list(note.nodes) for note in notes] == [unread]


def test_placeholder_goes_when_nothing_reads_it_and_nobody_names_it(tmp_path: Path) -> None:
    frozen(tmp_path / "graph.pb", lambda x, y: x * 3.0, {"x": X, "y": X[0]})
    conversion = bnfold.convert(tmp_path / "graph.pb", outputs=["output"], check=False)
    assert [value.name for value in conversion.model.graph.input] == ["x:0"]


@pytest.mark.parametrize("flag", [False, True])
def test_flag_stays_an_input_when_the_user_names_it_and_only_its_name_says_that_it_trains(
    flag: bool, tmp_path: Path
) -> None:
    feeds = {"x": X, "is_training": np.array(flag)}
    converted(tmp_path, lambda x, flag: tf.where(flag, x * 3.0, x), feeds, check=False)


def test_text_is_computed_in_the_model_when_the_user_feeds_it(tmp_path: Path) -> None:
    words = np.array(["Aber", "nEIN"], object)
    converted(tmp_path, lambda x: tf.strings.upper(x), {"x": words}, check=False)


def test_random_numbers_stay_in_the_model_when_they_join_what_the_user_feeds(tmp_path: Path) -> None:
    frozen(tmp_path / "graph.pb", lambda x: x + v1.random_uniform([2, 3], seed=1), {"x": X})
    conversion = bnfold.convert(tmp_path / "graph.pb", inputs={"x": None}, outputs=["output"], check=False)
    session = onnxruntime.InferenceSession(conversion.model.SerializeToString())
    [result] = session.run(None, {"x:0": X})
    assert result.shape == X.shape
    assert ((result - X >= -EXACT) & (result - X <= 1 + EXACT)).all()


@pytest.mark.parametrize("wide", [False, True], ids=["alone", "before a layer"])
def test_input_is_the_whole_when_one_part_of_it_is_read(tmp_path: Path, wide: bool) -> None:
    """Unless it is named, the part that one tower of several reads would be the input."""
    kernel = np.float32([[1, -2], [3, 0.5], [-1, 4]])
    converted(tmp_path, lambda x: tf.split(x, 2)[1] @ kernel if wide else tf.split(x, 2)[1] * 3.0, {"x": X})
