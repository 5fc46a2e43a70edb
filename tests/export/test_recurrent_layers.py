"""Recurrent layers of Keras, which are loops in a graph, as ONNX' LSTM, GRU and RNN."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
layers = tf.keras.layers

RECURRENT = ("LSTM", "GRU", "RNN", "Loop")

KINDS = {
    "lstm": (lambda: [layers.LSTM(5)], ["LSTM"]),
    "sequence": (lambda: [layers.LSTM(5, return_sequences=True), layers.GRU(3)], ["LSTM", "GRU"]),
    "before": (lambda: [layers.GRU(5, reset_after=False, return_sequences=True)], ["GRU"]),
    "without_bias": (lambda: [layers.GRU(5, use_bias=False)], ["GRU"]),
    "simple": (lambda: [layers.SimpleRNN(5, activation="relu", return_sequences=True)], ["RNN"]),
    "hard": (lambda: [layers.LSTM(5, activation="softsign", recurrent_activation="hard_sigmoid")], ["LSTM"]),
    "backwards": (lambda: [layers.GRU(5, go_backwards=True, return_sequences=True)], ["GRU"]),
    "both_ways": (lambda: [layers.Bidirectional(layers.LSTM(5, return_sequences=True))], ["LSTM"]),
    "last_of_both": (lambda: [layers.Bidirectional(layers.GRU(5), merge_mode="sum")], ["GRU"]),
    "both_and_more": (
        lambda: [
            layers.Bidirectional(layers.GRU(5, return_sequences=True), merge_mode="mul"),
            layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True), merge_mode="concat"),
        ],
        ["GRU", "RNN"],
    ),
    "two_kinds": (
        lambda: [layers.Bidirectional(layers.LSTM(5), backward_layer=layers.GRU(5, go_backwards=True))],
        ["LSTM", "GRU"],
    ),
    "cells": (
        lambda: [layers.RNN([layers.LSTMCell(6), layers.GRUCell(5), layers.SimpleRNNCell(3)])],
        ["LSTM", "GRU", "RNN"],
    ),
    "unrolled": (lambda: [layers.LSTM(5, unroll=True)], []),
    "squared": (lambda: [layers.SimpleRNN(5, activation=lambda x: 0.1 * x * x)], ["Loop"]),
}


def frozen(model, steps):
    """A build that puts the model's frozen graph into the graph being built, functions and all."""
    spec = tf.TensorSpec((None, steps, 4), name="x")
    call = tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
    graph_def = convert_variables_to_constants_v2(call, lower_control_flow=False).graph.as_graph_def()

    def build(x):
        return tf.graph_util.import_graph_def(graph_def, input_map={"x:0": x}, return_elements=["Identity:0"])

    return build


def set_weights(model):
    rng = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))


UNROLLED = ("unrolled", None)
"""Only a known number of steps is unrolled."""


@pytest.mark.parametrize(
    ("kind", "steps"), [(kind, steps) for kind in KINDS for steps in (6, None) if (kind, steps) != UNROLLED]
)
def test_recurrent_layer_is_a_node_when_its_cell_is_one_of_onnx(kind, steps):
    build, nodes = KINDS[kind]
    model = tf.keras.Sequential([tf.keras.Input((steps, 4)), *build()])
    set_weights(model)
    feeds = [{"x": random(2, 6, 4)}, {"x": random(3, 6, 4, seed=1)}]
    opsets = (13, 26) if kind in ("lstm", "sequence") else (18,)
    result = assert_lowers(
        frozen(model, steps), *feeds, shapes={"x": (None, steps, 4)}, opsets=opsets, rtol=1e-5, atol=1e-5
    )
    assert sorted(op for op in op_types(result) if op in RECURRENT) == sorted(nodes)


def test_recurrent_layer_stays_in_float32_when_the_rest_is_in_half():
    model = tf.keras.Sequential([tf.keras.Input((6, 4)), layers.Dense(4), layers.LSTM(5), layers.Dense(3)])
    set_weights(model)
    result = assert_lowers(frozen(model, 6), {"x": random(2, 6, 4)}, half=True, rtol=1e-2, atol=1e-2)
    assert recurrent_nodes(result) == ["LSTM"]
    assert {"Cast"} <= set(op_types(result))


KERNEL, RECURRENT_KERNEL, BIAS = random(4, 20, seed=1) / 3, random(5, 20, seed=2) / 3, random(20, seed=3)


def lstm_by_hand(x, change=lambda new, old, i: new, limit=None):
    """An LSTM over axis 0, whose states a step may change."""
    steps = tf.shape(x)[0] if limit is None else limit
    rows = tf.TensorArray(tf.float32, size=tf.shape(x)[0]).unstack(x)
    zero = tf.zeros([tf.shape(x)[1], 5])

    def body(i, h, c, written):
        f, g, o, k = tf.split(rows.read(i) @ KERNEL + h @ RECURRENT_KERNEL + BIAS, 4, 1)
        new = tf.sigmoid(f) * c + tf.tanh(g) * tf.sigmoid(k)
        out = tf.tanh(new) * tf.sigmoid(o)
        return i + 1, change(out, h, i), change(new, c, i), written.write(i, out)

    written = tf.TensorArray(tf.float32, size=steps)
    _, h, c, written = tf.while_loop(lambda i, *_: i < steps, body, [0, zero, zero, written])
    return h, c, written.stack()


def recurrent_nodes(model):
    return [op for op in op_types(model) if op in RECURRENT]


def test_recurrent_layer_is_a_node_when_written_by_hand(control_flow):
    model = assert_lowers(lstm_by_hand, {"x": random(6, 2, 4)}, dynamic=True, rtol=1e-5, atol=1e-5)
    assert recurrent_nodes(model) == ["LSTM"]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: lstm_by_hand(x, change=lambda new, old, i: 0.5 * new),
        lambda x: lstm_by_hand(x, change=lambda new, old, i: tf.where(i > 2, old, new)),
        lambda x: lstm_by_hand(x, limit=tf.shape(x)[0] - 1),
        lambda x: [
            *lstm_by_hand(x),
            tf.while_loop(lambda i, a: i < 3, lambda i, a: [i + 1, a @ a], [0, x[0, :, :2]])[1],
        ],
    ],
    ids=["scaled", "held", "shorter", "beside"],
)
def test_loop_stays_a_loop_when_a_step_does_more_than_a_cell(build):
    model = assert_lowers(build, {"x": random(6, 2, 4)}, dynamic=True, rtol=1e-5, atol=1e-5)
    assert "Loop" in recurrent_nodes(model)


def test_recurrent_layer_stays_a_loop_when_it_is_of_doubles():
    def build(x):
        rows = tf.TensorArray(tf.float64, size=6).unstack(x)
        step = lambda i, h: (i + 1, tf.tanh(rows.read(i) @ random(4, 5, dtype=np.float64) + h @ np.eye(5)))  # noqa: E731
        return tf.while_loop(lambda i, h: i < 6, step, [0, tf.zeros([2, 5], tf.float64)])[1]

    assert recurrent_nodes(assert_lowers(build, {"x": random(6, 2, 4, dtype=np.float64)})) == ["Loop"]


@pytest.mark.parametrize(
    ("columns", "bias", "node"),
    [(5, random(5, seed=3), "RNN"), (5, random(1, seed=3), "RNN"), (1, random(5, seed=3), "Loop")],
    ids=["whole", "one bias", "one column"],
)
def test_plain_layer_is_a_node_when_its_kernel_has_a_column_for_each_unit(columns, bias, node):
    """One bias may go with all units; one column that is broadcast has no place in ONNX."""
    kernel, recurrent_kernel = random(4, columns, seed=1) / 3, random(5, 5, seed=2) / 3

    def build(x):
        rows = tf.TensorArray(tf.float32, size=6).unstack(x)

        def body(i, h):
            return i + 1, tf.tanh(rows.read(i) @ kernel + h @ recurrent_kernel + bias)

        return tf.while_loop(lambda i, h: i < 6, body, [0, tf.zeros([2, 5])])[1]

    model = assert_lowers(build, {"x": random(6, 2, 4)}, rtol=1e-5, atol=1e-5)
    assert recurrent_nodes(model) == [node]
