"""Variables as constants, constants computed; loops and bodies included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from training_graphs import EXACT, Net, convolution, error_of, head, image, sample_for, source_of, truth, variable

from bnfold.errors import InferenceError
from bnfold.graph import Graph, Node, constant
from bnfold.graph.dtypes import FLOAT32, INT32
from bnfold.graph.evaluate import run
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.inference.freeze import fold_constants, freeze

tf = tensorflow()
v1 = tf.compat.v1


def placeholder(shape: tuple[int | None, ...]) -> Node:
    return Node("x", "Placeholder", attrs={"dtype": FLOAT32, "shape": shape})


def test_weights_are_refused_when_they_hold_nan() -> None:
    def network(training: bool) -> Net:
        x = image()
        return Net(x, head(convolution(x)))

    values = {"conv/kernel": np.full([3, 3, 4, 7], np.nan), "head/bias": [1.0, np.inf]}
    with pytest.raises(InferenceError, match=r"NaN or infinite values: conv/kernel \(252 of 252 values\), head/bias"):
        infer(source_of(network, values=values))


def test_weights_are_refused_when_the_checkpoint_lacks_them() -> None:
    def network(training: bool) -> Net:
        x = image()
        return Net(x, head(convolution(x)))

    with pytest.raises(InferenceError, match="no value for conv/kernel, head/bias, which the outputs need") as caught:
        infer(source_of(network, values={"conv/kernel": None, "head/bias": None}), outputs=["head/logits"])
    assert "--rename-variables" in (caught.value.hint or "")


def test_constants_are_computed_when_they_depend_on_no_input() -> None:
    graph = Graph(
        [
            placeholder((None, 3)),
            constant("a", np.array([1.0, 2.0, 3.0], np.float32)),
            Node("again", "Identity", ("a:0",), {"T": FLOAT32}),
            Node("b", "Mul", ("again:0", "a:0"), {"T": FLOAT32}),
            Node("c", "Sqrt", ("b:0",), {"T": FLOAT32}),
            Node("y", "Add", ("x:0", "c:0"), {"T": FLOAT32}),
        ]
    )
    folded = fold_constants(graph, ["y:0"])
    assert {node.name: node.op for node in folded} == {"x": "Placeholder", "c": "Const", "y": "Add"}
    np.testing.assert_allclose(folded["c"].attrs["value"], [1, 2, 3], rtol=1e-6)
    assert folded.types["y:0"].shape == (None, 3)
    assert len(graph) == 6


def test_constant_is_left_to_run_time_when_it_would_blow_up() -> None:
    graph = Graph(
        [
            placeholder((100, 100)),
            constant("shape", np.array([100, 100], np.int32), INT32),
            constant("seven", np.array(7.0, np.float32)),
            Node("filled", "Fill", ("shape:0", "seven:0"), {"T": FLOAT32, "index_type": INT32}),
            Node("y", "Add", ("x:0", "filled:0"), {"T": FLOAT32}),
        ]
    )
    folded = fold_constants(graph, ["y:0"])
    assert folded["filled"].op == "Fill"
    x = np.ones((100, 100), np.float32)
    np.testing.assert_array_equal(run(folded, ["y:0"], {"x:0": x})[0], x + 7)


def test_output_keeps_its_name_when_it_is_constant() -> None:
    graph = Graph(
        [
            constant("a", np.array([4.0, 9.0], np.float32)),
            Node("root", "Sqrt", ("a:0",), {"T": FLOAT32}),
            Node("y", "Identity", ("root:0",), {"T": FLOAT32}),
        ]
    )
    folded = fold_constants(graph, ["y:0"])
    np.testing.assert_array_equal(run(folded, ["y:0"])[0], [2, 3])


def test_shape_is_a_constant_when_it_is_static() -> None:
    graph = Graph(
        [
            placeholder((2, 3)),
            Node("shape", "Shape", ("x:0",), {"T": FLOAT32, "out_type": INT32}),
            Node("y", "Reshape", ("x:0", "shape:0"), {"T": FLOAT32, "Tshape": INT32}),
        ]
    )
    np.testing.assert_array_equal(fold_constants(graph, ["y:0"]).value("shape:0"), [2, 3])


def test_random_numbers_are_not_folded() -> None:
    graph = Graph(
        [
            placeholder((4,)),
            constant("shape", np.array([4], np.int32), INT32),
            Node("dice", "RandomUniform", ("shape:0",), {"dtype": FLOAT32, "T": INT32, "seed": 0, "seed2": 0}),
            Node("y", "Add", ("x:0", "dice:0"), {"T": FLOAT32}),
        ]
    )
    assert fold_constants(graph, ["y:0"])["dice"].op == "RandomUniform"


def test_variables_of_references_are_frozen_under_conds() -> None:
    """RefSwitch and RefMerge of the old variables carry values once the variables are constants."""
    graph = Graph(
        [
            Node("v", "VariableV2", (), {"dtype": FLOAT32, "shape": (2,)}),
            Node("p", "Placeholder", (), {"dtype": tensor_bool(), "shape": ()}),
            Node("s", "RefSwitch", ("v:0", "p:0"), {"T": FLOAT32}),
            Node("a", "Square", ("s:0",), {"T": FLOAT32}),
            Node("b", "Neg", ("s:1",), {"T": FLOAT32}),
            Node("y", "Merge", ("a:0", "b:0"), {"T": FLOAT32, "N": 2}),
        ]
    )
    frozen = freeze(graph, lambda name: np.array([2.0, -3.0], np.float32))
    np.testing.assert_array_equal(run(frozen, ["y:0"], {"p:0": True})[0], [-2, 3])
    np.testing.assert_array_equal(run(frozen, ["y:0"], {"p:0": False})[0], [4, 9])


def tensor_bool() -> Any:
    from bnfold.graph.dtypes import BOOL

    return BOOL


@pytest.fixture(params=[False, True], ids=["switch", "functional"])
def control_flow(request: pytest.FixtureRequest) -> Any:
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if request.param else v1.disable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def test_loop_reads_frozen_variables(control_flow: bool) -> None:
    """A loop that reads a kernel and a table inside, and constants of its own."""

    def network(training: bool) -> Net:
        x = v1.placeholder("float32", [None, 5], name="x")
        kernel, table = variable("kernel", [5, 5]), variable("table", [4, 5])
        _, state = v1.while_loop(
            lambda i, h: i < 3,
            lambda i, h: (i + 1, tf.tanh(tf.matmul(h, kernel) + tf.gather(table, i) * tf.gather_nd(table, [[i, 2]]))),
            [0, x],
        )
        return Net(x, head(state))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    ops = {node.op for node in inference.graph}
    assert not ops & {"VarHandleOp", "VariableV2", "ReadVariableOp"}
    assert not any(node.controls for node in inference.graph)


def test_branch_reads_frozen_variables_when_it_stays(control_flow: bool) -> None:
    def network(training: bool) -> Net:
        x = v1.placeholder("float32", [None, 5], name="x")
        kernel, other = variable("kernel", [5, 5]), variable("other", [5, 5])

        def inner() -> Any:
            return v1.cond(tf.reduce_max(x) > 50, lambda: tf.matmul(x, other), lambda: tf.matmul(x, kernel))

        hidden = v1.cond(tf.reduce_sum(x) > 0, inner, lambda: tf.matmul(x, other) - 1.0)
        return Net(x, head(hidden))

    sample = sample_for(network)
    inference = infer(source_of(network))
    for factor in (1.0, -1.0, 100.0):
        assert error_of(inference, factor * sample, truth(network, factor * sample)) < EXACT
    assert len(inference.graph.functions) == len(set(inference.graph.functions))
