"""If, Case and While, and TensorFlow 1's conditionals and loops."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, body_of, inference_graph, op_types, random

from bnfold.errors import ExportError
from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.load import load

tf = tensorflow()


# Branches


def test_if_is_the_same_when_branches_read_what_is_around_them(control_flow):
    def build(x, p):
        doubled = x * 2.0
        return tf.cond(p, lambda: (x + 1.0, doubled), lambda: (doubled - 3.0, tf.reshape(x, [3, 2])))

    feeds = [{"x": random(2, 3), "p": np.array(p)} for p in (True, False)]
    model = assert_lowers(build, *feeds, opsets=(13, 18))
    assert op_types(model).count("If") == 1


def test_if_is_the_same_when_nested(control_flow):
    def build(x, p, q):
        inner = lambda: tf.cond(q, lambda: x * 0.5, lambda: -x)  # noqa: E731
        return tf.cond(p, lambda: tf.exp(inner()), lambda: x + 1.0) * 2.0

    feeds = [{"x": random(2, 3), "p": np.array(p), "q": np.array(q)} for p in (True, False) for q in (True, False)]
    model = assert_lowers(build, *feeds)
    assert op_types(model).count("If") == 1


def test_if_is_the_branch_itself_when_the_predicate_is_constant():
    model = assert_lowers(lambda x: tf.raw_ops.If(
        cond=3, input=[x], Tout=[tf.float32],
        then_branch=_function(lambda a: a * 2.0), else_branch=_function(lambda a: a - 1.0),
    )[0], {"x": random(2, 3)})  # fmt: skip
    assert "If" not in op_types(model)


def _function(build):
    return tf.function(build).get_concrete_function(tf.TensorSpec((2, 3), tf.float32))


def test_if_is_the_same_when_the_predicate_is_a_number():
    def build(x, n):
        then, other = _function(lambda a: a * 2.0), _function(lambda a: a - 1.0)
        return tf.raw_ops.If(cond=n, input=[x], Tout=[tf.float32], then_branch=then, else_branch=other)[0]

    assert_lowers(build, *({"x": random(2, 3), "n": np.array(n, np.int32)} for n in (0, 5, -1)))


def test_if_is_the_same_when_one_branch_is_a_constant_that_infer_has_tied(control_flow, tmp_path):
    """The pivot reads the predicate itself, the other Switches an Identity of it."""
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, (3,), "x")
        positive = tf.greater(tf.reduce_sum(x), 0.0)
        tf.identity(tf.compat.v1.cond(positive, lambda: tf.constant([2.0, -1.0, 4.0]), lambda: x * 2.0 - 1.0), "y")
    (tmp_path / "cond.pb").write_bytes(graph.as_graph_def().SerializeToString())
    model = export(infer(load(tmp_path / "cond.pb"), inputs={"x": None}, outputs=["y"]))
    assert op_types(model).count("If") == 1
    runtime = onnxruntime.InferenceSession(model.SerializeToString())
    for value, expected in (([1, 2, 3], [2, -1, 4]), ([1, -2, 0.5], [1, -5, 0])):
        np.testing.assert_array_equal(runtime.run(None, {"x:0": np.float32(value)})[0], np.float32(expected))


@pytest.mark.parametrize("branches", [1, 2, 4])
def test_case_is_the_last_branch_when_the_index_is_out_of_range(branches):
    def build(x, i):
        return tf.switch_case(i, [lambda k=k: x * float(k + 2) for k in range(branches)])

    assert_lowers(build, *({"x": random(2, 3), "i": np.array(i, np.int32)} for i in (-1, 0, 1, 2, 3, 9)))


# Loops


def test_loop_has_a_trip_count_when_it_counts_up_to_a_limit(control_flow):
    def build(x, n):
        return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * 1.5 + x), [1, x])[1]

    feeds = [{"x": random(2, 3), "n": np.array(n, np.int32)} for n in (4, 1, 0, -5)]
    model = assert_lowers(build, *feeds, opsets=(13, 18))
    assert "Less" not in op_types(model)
    assert [node.op_type for node in body_of(model, "Loop", "body").node] == ["Mul", "Add", "Identity"]


def test_loop_is_the_same_when_its_condition_is_computed(control_flow):
    def build(x):
        return tf.while_loop(lambda i, y: tf.reduce_sum(y) < 50.0, lambda i, y: (i + 2, y * 1.5 + 1.0), [0, x])

    assert_lowers(build, {"x": random(2, 3)}, {"x": random(2, 3) + 100})


def test_loop_is_the_same_when_a_size_changes(control_flow):
    def build(x):
        shapes = [tf.TensorShape([]), tf.TensorShape([None, 3])]
        grow = lambda i, y: (i + 1, tf.concat([y, x], 0))  # noqa: E731
        return tf.while_loop(lambda i, y: i < 3, grow, [0, x], shape_invariants=shapes)[1]

    assert_lowers(build, {"x": random(2, 3)})
    assert_lowers(build, {"x": random(2, 3)}, {"x": random(4, 3)}, shapes={"x": (None, 3)})


def test_node_names_are_unique_when_condition_and_body_share_them():
    """TensorFlow calls an addition ``while/add`` in the one function and in the other; in ONNX they are one graph."""

    @tf.function(input_signature=[tf.TensorSpec((2, 3), name="x")])
    def loop(x):
        return tf.while_loop(lambda y: tf.reduce_sum(y) + 0.5 < 9.0, lambda y: (y + 1.0,), [x])[0]

    names = [node.name for node in body_of(export(infer(load(loop))), "Loop", "body").node]
    assert len([name for name in names if name.startswith("while/add")]) == 2
    assert len(names) == len(set(names))


def test_loop_is_the_same_when_loops_are_inside(control_flow):
    def build(x):
        def body(i, y):
            return i + 1, tf.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, z - 0.25 * x), [0, y])[1]

        return tf.while_loop(lambda i, y: i < 4, body, [0, x])[1]

    assert_lowers(build, {"x": random(2, 3)})


def test_loop_is_the_same_when_branches_are_inside(control_flow):
    def build(x, p):
        def body(i, y):
            return i + 1, tf.cond(y[0, 0] > 0.5, lambda: y * 0.5, lambda: tf.cond(p, lambda: y + 3.0, lambda: y + 1.5))

        return tf.while_loop(lambda i, y: i < 4, body, [0, x])[1]

    assert_lowers(build, *({"x": random(2, 3), "p": np.array(p)} for p in (True, False)))


def test_branch_is_the_same_when_a_loop_is_inside(control_flow):
    def build(x, p):
        powers = lambda: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), [0, x])[1]  # noqa: E731
        return tf.cond(p, powers, lambda: x)

    assert_lowers(build, *({"x": random(2, 3), "p": np.array(p)} for p in (True, False)))


def test_convolution_in_a_loop_is_the_same():
    kernel = random(3, 3, 4, 4, seed=1, low=-0.3, high=0.3)
    step = lambda i, y: (i + 1, tf.nn.relu(tf.nn.conv2d(y, kernel, 1, "SAME")) + 0.1)  # noqa: E731
    build = lambda x: tf.while_loop(lambda i, y: i < 3, step, [0, x])[1]  # noqa: E731
    assert_lowers(build, {"x": random(2, 5, 6, 4)}, rtol=2e-5, atol=1e-5)


def test_missing_ops_are_all_named_when_they_are_in_branches():
    def build(x):
        return tf.cond(
            x[0] > 0,
            lambda: tf.raw_ops.IgammaGradA(a=x, x=x),
            lambda: tf.raw_ops.RandomGammaGrad(alpha=x, sample=x),
        )

    with pytest.raises(ExportError, match=r"(?s)IgammaGradA.*RandomGammaGrad"):
        export(inference_graph(build, {"x": random(3)}))


# What TensorFlow's optimiser makes of a Case


def switched(x, index, branches):
    """A _SwitchN on ``index`` and a Merge of what ``branches`` do with its outputs."""
    graph = tf.compat.v1.get_default_graph()
    attrs = {
        "T": tf.compat.v1.AttrValue(type=x.dtype.as_datatype_enum),
        "num_outs": tf.compat.v1.AttrValue(i=len(branches)),
    }
    parts = graph.create_op("_SwitchN", [x, index], [x.dtype] * len(branches), attrs=attrs, name="switch").outputs
    return tf.raw_ops.Merge(inputs=[branch(part) for branch, part in zip(branches, parts, strict=True)]).output


@pytest.mark.parametrize("count", [2, 4])
def test_case_is_the_same_when_it_was_made_of_switches(count):
    branches = [lambda part, k=k: part * (k + 1.0) - k for k in range(count)]
    feeds = [{"x": random(3), "index": np.array(index, np.int32)} for index in (0, count - 1, -1, count + 2)]
    model = assert_lowers(lambda x, index: switched(x, index, branches), *feeds)
    assert "If" in op_types(model)
    assert_lowers(lambda x, index: switched(switched(x, index, branches), index, branches), *feeds, dynamic=True)


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_switch_case_is_the_same_when_results_differ_in_shape(count, default):
    def build(x, index):
        branches = [lambda k=k: x[:k] * (k + 1.0) for k in range(count)]
        return tf.switch_case(index, branches, default=(lambda: x - 1.0) if default else None)

    feeds = [{"x": random(6), "index": np.array(index, np.int32)} for index in (0, count - 1, -1, count + 2)]
    assert_lowers(build, *feeds)


@pytest.mark.parametrize("true_is", [0, 1])
def test_the_branch_that_came_through_is_told(true_is):
    """Whichever of a Merge's inputs it is."""

    def build(x, condition):
        other, taken = tf.raw_ops.Switch(data=x, pred=condition)
        branches = [other * 3.0, taken * 2.0]
        merged = tf.raw_ops.Merge(inputs=branches if true_is else branches[::-1])
        return merged.output, tf.identity(merged.value_index)

    feeds = [{"x": random(3), "condition": np.array(value)} for value in (True, False)]
    assert_lowers(build, *feeds)
