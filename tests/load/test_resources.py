"""Variables in branches and loops: passed in by value where they are only read, left alone where they are written."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.load import load


class Branching(tf.Module):
    """Every way in which a body reads a variable: directly, nested, gathered, in a loop's condition."""

    def __init__(self):
        self.weight = tf.Variable(np.float32([[1, -2], [3, 0.5]]), name="weight")
        self.bias = tf.Variable(np.float32([2, -1]), name="bias")
        self.table = tf.Variable(np.arange(12, dtype=np.float32).reshape(6, 2) - 5, name="table")
        self.shift = tf.constant([10.0, 20.0])

    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="v")])
    def __call__(self, v):
        r = tf.cond(tf.reduce_sum(v) > 0, lambda: v @ self.weight, lambda: v - self.shift)

        def step(i, r):
            r = tf.cond(tf.reduce_sum(r) > 5, lambda: r * self.bias, lambda: self.halved(r))
            return i + 1, r + tf.gather(self.table, i) * tf.gather_nd(self.table, [[i, 1], [i, 0]])

        _, r = tf.while_loop(lambda i, r: i < 1 + tf.cast(self.bias[0], tf.int32), step, [tf.constant(0), r])
        return self.halved(r)

    @tf.function(jit_compile=True)
    def halved(self, r):
        return r / 2 + self.weight[0]


@pytest.mark.parametrize("v", [[[1, 2], [3, 4]], [[1, -2], [0.3, -4]]], ids=["then", "else"])
def test_result_is_tensorflows_when_bodies_read_variables(computed, v):
    model, v = Branching(), np.float32(v)
    source = load(model)
    np.testing.assert_allclose(computed(source, v)[0], model(v).numpy(), rtol=1e-6)
    assert {node.op for node in source.graph} >= {"While", "If"}


def test_result_is_tensorflows_when_such_a_model_was_saved(tmp_path, computed):
    model, v = Branching(), np.float32([[1, 2], [3, 4]])
    tf.saved_model.save(model, str(tmp_path))
    source = load(tmp_path)
    np.testing.assert_allclose(computed(source, v)[0], model(v).numpy(), rtol=1e-6)
    assert set(source.variables) == {"weight", "bias", "table"}


def test_no_handle_is_passed_when_bodies_only_read():
    source = load(Branching())
    for node in source.graph:
        if node.op in ("If", "While"):
            assert "resource" not in {dtype.name for dtype in node.attrs.get("Tin") or node.attrs["T"]}


def test_handle_stays_when_a_body_writes_the_variable():
    weight = tf.Variable(3.0, name="weight")
    other = tf.Variable(4.0, name="other")

    @tf.function(input_signature=[tf.TensorSpec(())])
    def model(x):
        def update():
            weight.assign_add(x)
            return x * other

        return tf.cond(x > 0, update, lambda: x * weight + other)

    (branch,) = [node for node in load(model).graph if node.op == "If"]
    types = dict(zip(branch.inputs[1:], [dtype.name for dtype in branch.attrs["Tin"]], strict=True))
    assert types["weight:0"] == "resource"
    assert types["other/Read/ReadVariableOp:0"] == "float32"
