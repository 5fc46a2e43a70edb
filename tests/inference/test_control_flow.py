"""Conditionals with a known predicate, against TensorFlow running the graph with that predicate fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnfold.graph import Function, FunctionRef, Graph, Node, constant
from bnfold.graph.dtypes import BOOL, FLOAT32
from bnfold.graph.evaluate import run
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference.branches import inline_branch
from bnfold.inference.control_flow import resolve

tf = tensorflow()
v1 = tf.compat.v1

X = np.array([[-1.5, 0.25, 3.0]], np.float32)


def graph_of(build: Callable[[Any, Any], Any], *, functional: bool, flag: str = "bool") -> tuple[Graph, str]:
    """``build(x, flag)`` as a graph, its conds as If nodes or as Switch and Merge; and its output."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    try:
        with tf.Graph().as_default() as graph:
            x = v1.placeholder("float32", [1, 3], name="x")
            y = build(x, v1.placeholder(flag, [], name="flag"))
            return from_graph_def(graph.as_graph_def()), y.name
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def nested(x: Any, flag: Any) -> Any:
    """A cond in a branch, constants of its own in each branch, a negated flag."""

    def inner() -> Any:
        return v1.cond(tf.logical_not(flag), lambda: x * 3.0, lambda: x + tf.constant(10.0))

    return tf.identity(v1.cond(flag, inner, lambda: tf.exp(x) - 0.5), name="y")


def unrelated(x: Any, flag: Any) -> Any:
    """A cond on data stays, inside a branch that is taken and outside."""
    positive = tf.reduce_sum(x) > 0

    def branch() -> Any:
        return v1.cond(positive, lambda: x * 2.0, lambda: x - 7.0)

    return tf.identity(v1.cond(flag, branch, lambda: -x) + v1.cond(positive, lambda: 1.0, lambda: 2.0), name="y")


def loop_in_branch(x: Any, flag: Any) -> Any:
    """A loop in each branch; the dead one goes with its back edges."""

    def repeat(factor: float) -> Any:
        return v1.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * factor), [0, x])[1]

    return tf.identity(v1.cond(flag, lambda: repeat(2.0), lambda: repeat(0.5)), name="y")


def logic(x: Any, flag: Any) -> Any:
    """Half-known logic: flag or (data), flag and (data)."""
    data = tf.reduce_max(x) > 100
    either = v1.cond(tf.logical_or(flag, data), lambda: x + 1.0, lambda: x * 5.0)
    both = v1.cond(tf.logical_and(flag, data), lambda: x + 2.0, lambda: x * 7.0)
    return tf.identity(either + both, name="y")


GRAPHS = (nested, unrelated, loop_in_branch, logic)


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("build", GRAPHS)
def test_branch_is_the_one_taken(build: Callable[[Any, Any], Any], functional: bool, value: bool) -> None:
    graph, output = graph_of(build, functional=functional)
    [expected] = run(graph, [output], {"x:0": X, "flag:0": value})
    resolved = resolve(graph, {"flag:0": np.asarray(value)}, [output])
    assert not resolved.renamed
    live = resolved.graph.pruned([output])
    if build is not logic:
        assert "flag" not in live
    if build is nested:
        assert not [node.op for node in live if node.op in ("Switch", "Merge", "If", "StatelessIf")]
    whole = resolved.graph.pruned([output], controls=True)  # loops run by them
    [got] = run(whole, [output], {"x:0": X, **({"flag:0": value} if "flag" in whole else {})})
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("index", [-1, 0, 1, 2, 5])
def test_case_takes_the_last_branch_when_the_index_is_outside(index: int) -> None:
    def build(x: Any, flag: Any) -> Any:
        branches = [lambda: x + 1.0, lambda: x * 2.0, lambda: tf.square(x)]
        return tf.identity(tf.switch_case(flag, branches), name="y")

    graph, output = graph_of(build, functional=True, flag="int32")
    assert "Case" in {node.op.removeprefix("Stateless") for node in graph}
    [expected] = run(graph, [output], {"x:0": X, "flag:0": index})
    live = resolve(graph, {"flag:0": np.asarray(index, np.int32)}).graph.pruned([output])
    assert not any("Case" in node.op for node in live)
    [got] = run(live, [output], {"x:0": X})
    np.testing.assert_array_equal(got, expected)


def test_output_keeps_its_name_when_a_conditional_gave_it() -> None:
    graph, _ = graph_of(lambda x, flag: v1.cond(flag, lambda: x + 1.0, lambda: x * 2.0, name="y"), functional=False)
    resolved = resolve(graph, {"flag:0": np.asarray(True)}, ["y/Merge:0"])
    assert resolved.graph["y/Merge"].op == "Identity"
    [got] = run(resolved.graph.pruned(["y/Merge:0"]), ["y/Merge:0"], {"x:0": X})
    np.testing.assert_array_equal(got, X + 1)


def test_output_is_renamed_when_it_was_not_the_first_of_its_node() -> None:
    graph = Graph(
        [
            Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": (1, 3)}),
            constant("flag", np.asarray(True), BOOL),
            Node("switch", "Switch", ("x:0", "flag:0"), {"T": FLOAT32}),
        ]
    )
    resolved = resolve(graph, {}, ["switch:1"])
    [now] = resolved.renamed.values()
    [got] = run(resolved.graph.pruned([now]), [now], {"x:0": X})
    np.testing.assert_array_equal(got, X)


def test_guard_is_the_predicate_that_a_node_stood_under() -> None:
    graph, output = graph_of(nested, functional=False)
    resolved = resolve(graph, {"flag:0": np.asarray(False)}, [output])
    [exp] = [node.name for node in resolved.graph if node.op == "Exp"]
    assert resolved.guards[exp].endswith("pred_id:0")


def test_graph_is_as_it_was_when_nothing_is_known() -> None:
    graph, output = graph_of(nested, functional=False)
    names = [node.name for node in graph]
    resolved = resolve(graph, {}, [output])
    assert {node.name for node in resolved.graph} == set(names)
    assert [node.name for node in graph] == names


def test_names_in_a_branch_are_told_apart_when_nodes_beside_it_have_them() -> None:
    graph = Graph(
        [
            constant("taken", np.bool_(True)),
            Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": (2,)}),
            Node("if/a", "Neg", ("x:0",), {"T": FLOAT32}),
            Node("if", "If", ("taken:0", "x:0"), {"then_branch": FunctionRef("f"), "else_branch": FunctionRef("f")}),
        ]
    )
    argument = Node("argument", "Placeholder", attrs={"dtype": FLOAT32, "shape": (2,)})
    first = Node("a", "Exp", ("argument:0",), {"T": FLOAT32})
    body = Graph([argument, first, Node("a_1", "Abs", ("a:0",), {"T": FLOAT32})])
    graph.functions = {"f": Function("f", body, ("argument:0",), ("a_1:0",))}
    inlined = inline_branch(graph, "if", "f")
    assert [graph[name].op for name in inlined.nodes] == ["Exp", "Abs"]
    assert len({*inlined.nodes, "if/a"}) == 3


def test_select_stays_when_its_predicate_gives_it_a_shape():
    with tf.Graph().as_default() as graph:
        x = v1.placeholder("float32", [], name="x")
        y = tf.where(tf.constant([True]), x, 2.0)
    typed = from_graph_def(graph.as_graph_def())
    resolved = resolve(typed, {}, [y.name])
    assert run(resolved.graph, [resolved.renamed.get(y.name, y.name)], {"x:0": np.float32(3)})[0].shape == (1,)
