"""Graphs without layers: their outputs are what nothing reads."""

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


def loop() -> None:
    _, total = tf.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, a * 2.0), [0, numbers()])
    tf.identity(total, name="y")


def counting_loop() -> None:
    """The counter is wanted too, and does not depend on the input by itself."""
    ends = tf.while_loop(lambda i, _: i < 3, lambda i, a: (i + 1, a * 2.0), [0, numbers()])
    for name, end in zip("yz", reversed(ends), strict=True):
        tf.identity(end, name=name)


def list_in_a_loop() -> None:
    x = numbers()
    written = tf.TensorArray(tf.float32, size=tf.shape(x)[0])
    step = lambda i, a: (i + 1, a.write(i, x[i] * 2.0))  # noqa: E731
    tf.identity(tf.while_loop(lambda i, _: i < tf.shape(x)[0], step, [0, written])[1].stack(), name="y")


def branches() -> None:
    x = numbers()
    tf.identity(tf.cond(x[0, 0] > 0.0, lambda: x[:1], lambda: tf.zeros([2, 6])), name="y")


def branches_in_a_loop() -> None:
    step = lambda i, a: (i + 1, tf.cond(a[0, 0] > 0.0, lambda: a - 1.0, lambda: a * 3.0))  # noqa: E731
    tf.identity(tf.while_loop(lambda i, _: i < 3, step, [0, numbers()])[1], name="y")


def assertion() -> None:
    x = numbers()
    said = [tf.debugging.assert_greater(x, -1e3), tf.debugging.assert_equal(tf.shape(x)[0], 2), tf.print("x", x)]
    with tf.control_dependencies(said):
        tf.multiply(x, 2.0, name="y")


def waited_for() -> None:
    x = numbers()
    with tf.control_dependencies([tf.exp(x)]):
        tf.multiply(x, 2.0, name="y")


def with_variables() -> None:
    x = numbers()
    mean, variance = v1.get_variable("mean", [6]), v1.get_variable("variance", [6], use_resource=True)
    v1.assign_sub(mean, 0.1 * (mean - tf.reduce_mean(x, 0)))
    v1.assign_sub(variance, 0.1 * variance)
    tf.add(x * variance, mean, name="y")
    v1.train.Saver()


def part_of_a_split() -> None:
    tf.exp(tf.split(numbers(), 2)[0], name="y")


def with_a_gradient_of_its_own() -> None:
    tf.identity(tf.nn.silu(numbers()), name="y")


ENDS: dict[str, tuple[Callable[[], None], list[str]]] = {
    "there is one": (one, ["y:0"]),
    "one op has several": (several_of_one_op, ["parts:0", "parts:1", "parts:2"]),
    "several ops end the graph": (several_ops, ["first:0", "second:0"]),
    "a constant has no part in the inputs": (beside_a_constant, ["y:0"]),
    "a summary alone reads it": (summarised, ["y:0"]),
    "half of the rows are read": (part_of_a_split, ["y:0"]),
    "another has to wait": (waited_for, ["y:0"]),
    "a function has its own gradient": (with_a_gradient_of_its_own, ["y:0"]),
    "variables are saved and updated": (with_variables, ["y:0"]),
}

CONTROL_FLOW: dict[str, tuple[Callable[[], None], list[str]]] = {
    "a loop carries more": (loop, ["y:0"]),
    "a counter is wanted": (counting_loop, ["y:0", "z:0"]),
    "a list is filled": (list_in_a_loop, ["y:0"]),
    "a branch is taken": (branches, ["y:0"]),
    "branches are in a loop": (branches_in_a_loop, ["y:0"]),
    "it is asserted and printed": (assertion, ["y:0"]),
}


@pytest.mark.parametrize("case", ENDS)
def test_outputs_are_what_nothing_reads_when_there_are_no_layers_and(case: str) -> None:
    build, outputs = ENDS[case]
    interface = find_interface(saved(build))
    assert [entry.name for entry in interface.inputs] == ["x:0"]
    assert [entry.name for entry in interface.outputs] == outputs
    assert {entry.reason for entry in interface.outputs} == {"nothing reads it"}


@pytest.mark.parametrize("frames", [False, True], ids=["functions", "frames"])
@pytest.mark.parametrize("case", CONTROL_FLOW)
def test_outputs_are_what_nothing_reads_when_there_is_control_flow_and(case: str, frames: bool) -> None:
    build, outputs = CONTROL_FLOW[case]
    if frames:
        v1.disable_control_flow_v2()
    try:
        interface = find_interface(saved(build))
    finally:
        v1.enable_control_flow_v2()
    assert [entry.name for entry in interface.inputs] == ["x:0"]
    assert [entry.name for entry in interface.outputs] == outputs


def test_outputs_are_those_of_the_net_when_there_are_weights() -> None:
    def net() -> None:
        tf.shape(tf.nn.relu(conv(image(), 4, "hidden"), name="y"), name="size")

    assert [entry.name for entry in find_interface(saved(net)).outputs] == ["y:0"]


def test_outputs_are_not_each_activation_with_a_gradient_of_its_own() -> None:
    def net() -> None:
        hidden = tf.nn.silu(conv(image(), 4, "first"))
        tf.identity(tf.nn.silu(conv(hidden, 4, "second")), name="y")

    assert [entry.name for entry in find_interface(saved(net)).outputs] == ["y:0"]
