"""Branches of TensorFlow 1 conditionals that only control inputs tie to their side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_graphs import EXACT, Net, convolution, error_of, head, image, sample_for, source_of, truth

from bnfold.graph import Graph
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.inference.pivots import tie_branches

tf = tensorflow()
v1 = tf.compat.v1

X = np.array([[-1.5, 0.25, 3.0]], np.float32)


def graph_of(build: Callable[[Any, Any], Any]) -> tuple[Graph, str]:
    """``build(x, positive)`` with Switch and Merge; and its output."""
    before = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as graph:
            x = v1.placeholder("float32", [1, 3], name="x")
            y = build(x, tf.greater(tf.reduce_sum(x), 0))
            return from_graph_def(graph.as_graph_def()), y.name
    finally:
        if before:
            v1.enable_control_flow_v2()


def constants(x: Any, positive: Any) -> Any:
    return x * v1.cond(positive, lambda: 2.0, lambda: -3.0)


def computed(x: Any, positive: Any) -> Any:
    """Constants that go through an op in the branch; the same on both sides of a sum."""
    return x + v1.cond(positive, lambda: tf.constant(2.0) * 3.0, lambda: tf.fill([3], -4.0)[1])


def nested(x: Any, positive: Any) -> Any:
    large = tf.greater(tf.reduce_max(x), 2.0)

    def inner() -> Any:
        return v1.cond(large, lambda: 5.0, lambda: 7.0)

    return x * v1.cond(positive, inner, lambda: 11.0)


def one_side(x: Any, positive: Any) -> Any:
    return v1.cond(positive, lambda: x * 2.0, lambda: tf.constant([[1.0, 2.0, 4.0]]))


def in_a_loop(x: Any, positive: Any) -> Any:
    def body(i: Any, v: Any) -> tuple[Any, Any]:
        return i + 1, v * v1.cond(tf.equal(i % 2, 0), lambda: 2.0, lambda: -3.0)

    return v1.while_loop(lambda i, v: i < 3, body, [0, x])[1]


@pytest.mark.parametrize("sample", [X, -X, X / 4, -X / 4])
@pytest.mark.parametrize("build", [constants, computed, nested, one_side])
def test_branch_is_the_one_taken_when_control_inputs_are_gone(build: Callable[[Any, Any], Any], sample: Any) -> None:
    graph, output = graph_of(build)
    [expected] = run(graph, [output], {"x:0": sample})
    tied = tie_branches(graph, [output]).pruned([output])
    assert not any(node.controls for node in tied)
    for merge in (node for node in tied if node.op == "Merge"):
        for tensor in merge.inputs:
            assert any(node.op == "Switch" for node in tied.topological([tensor]))
    [got] = run(tied, [output], {"x:0": sample})
    np.testing.assert_array_equal(got, expected)


def test_loop_is_left_as_it_is_but_for_the_conditional_in_it() -> None:
    graph, output = graph_of(in_a_loop)
    tied = tie_branches(graph, [output])
    added = {node.name for node in tied} - {node.name for node in graph}
    assert {tied[name].op for name in added} == {"Switch", "Identity"}
    [expected] = run(graph, [output], {"x:0": X})
    [got] = run(tied.pruned([output], controls=True), [output], {"x:0": X})
    np.testing.assert_array_equal(got, expected)


def test_inference_graph_takes_the_branch_of_constants_that_its_input_tells() -> None:
    def net(train: bool) -> Net:
        x = image()
        hidden = convolution(x) * v1.cond(tf.greater(tf.reduce_mean(x), 0.4), lambda: 2.0, lambda: -3.0)
        return Net(x, head(hidden))

    before = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        inference = infer(source_of(net))
        for sample in (sample_for(net), -sample_for(net)):
            assert error_of(inference, sample, truth(net, sample)) < EXACT
    finally:
        if before:
            v1.enable_control_flow_v2()
    assert not any(node.controls for node in inference.graph)


def test_graph_is_itself_when_every_branch_reads_a_switch() -> None:
    graph, output = graph_of(lambda x, positive: v1.cond(positive, lambda: x + 1.0, lambda: x * 2.0))
    assert tie_branches(graph, [output]) is graph
