"""Graphs without weights: their outputs are what nothing reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from saved_graphs import conv, image, saved, tf, v1

from bnfold.inference.interface import find_interface


def numbers() -> tf.Tensor:
    return v1.placeholder(tf.float32, [None, 6], "x")


def one() -> None:
    tf.identity(numbers() * 3.0, name="y")


def several_of_one_op() -> None:
    tf.split(numbers(), 3, axis=1, name="parts")


def several_ops() -> None:
    x = numbers()
    tf.exp(x, name="first")
    tf.argmax(x, 1, name="second")


def beside_a_constant() -> None:
    tf.range(tf.constant(4) + 1, name="constant")
    tf.nn.relu(numbers(), name="y")


def summarised() -> None:
    v1.summary.histogram("shown", tf.tanh(numbers(), name="y"))


ENDS: dict[str, tuple[Callable[[], None], list[str]]] = {
    "there is one": (one, ["y:0"]),
    "one op has several": (several_of_one_op, ["parts:0", "parts:1", "parts:2"]),
    "several ops end the graph": (several_ops, ["first:0", "second:0"]),
    "a constant has no part in the inputs": (beside_a_constant, ["y:0"]),
    "a summary alone reads it": (summarised, ["y:0"]),
}


@pytest.mark.parametrize("case", ENDS)
def test_outputs_are_what_nothing_reads_when_there_are_no_weights_and(case: str) -> None:
    build, outputs = ENDS[case]
    interface = find_interface(saved(build))
    assert [entry.name for entry in interface.inputs] == ["x:0"]
    assert [entry.name for entry in interface.outputs] == outputs
    assert {entry.reason for entry in interface.outputs} == {"nothing reads it"}


def test_outputs_are_those_of_the_net_when_there_are_weights() -> None:
    def net() -> None:
        tf.shape(tf.nn.relu(conv(image(), 4, "hidden"), name="y"), name="size")

    assert [entry.name for entry in find_interface(saved(net)).outputs] == ["y:0"]
