"""Recurrent cells and layers that TensorFlow has one op for."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, check_file, inference_graph, op_types, random

from bnfold.errors import ExportError
from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

BATCH, WIDTH, UNITS = 2, 4, 5
STATE = {"c": random(BATCH, UNITS, seed=1) / 3, "h": random(BATCH, UNITS, seed=2) / 3}
KERNEL, BIAS = random(WIDTH + UNITS, 4 * UNITS, seed=3) / 3, random(4 * UNITS, seed=4)
PEEPHOLES = [random(UNITS, seed=seed) for seed in (5, 6, 7)]

OPTIONS = [
    {"use_peephole": False, "cell_clip": 0.0},
    {"use_peephole": True, "cell_clip": -1.0},
    {"use_peephole": True, "cell_clip": 0.3},
]


def cell(x, c, h, **options):
    names = ("wci", "wcf", "wco")
    return tf.raw_ops.LSTMBlockCell(
        x=x, cs_prev=c, h_prev=h, w=KERNEL, b=BIAS, **dict(zip(names, PEEPHOLES, strict=True)), **options
    )


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("forget_bias", [0.0, 1.5])
def test_lstm_cell_gives_all_it_computes(options, forget_bias):
    def build(x, c, h):
        return list(cell(x, c, h, forget_bias=forget_bias, **options))

    feeds = {"x": random(BATCH, WIDTH), **STATE}
    assert_lowers(build, feeds)
    assert_lowers(build, feeds, dynamic=True)


@pytest.mark.parametrize("dynamic", [False, True])
def test_gru_cell_gives_all_it_computes(dynamic):
    weights = {"w_ru": KERNEL[:, : 2 * UNITS], "w_c": KERNEL[:, 2 * UNITS : 3 * UNITS]}
    weights |= {"b_ru": BIAS[: 2 * UNITS], "b_c": BIAS[-UNITS:]}
    build = lambda x, h: list(tf.raw_ops.GRUBlockCell(x=x, h_prev=h, **weights))  # noqa: E731
    assert_lowers(build, {"x": random(BATCH, WIDTH), "h": STATE["h"]}, dynamic=dynamic)


def test_loop_over_an_lstm_cell_is_an_lstm(control_flow):
    def build(x, c, h):
        steps = tf.shape(x)[0]
        rows = tf.TensorArray(tf.float32, size=steps).unstack(x)

        def step(i, c, h):
            made = cell(rows.read(i), c, h, **OPTIONS[1])
            return i + 1, made.cs, made.h

        return tf.while_loop(lambda i, *_: i < steps, step, [0, c, h])[1:]

    model = assert_lowers(build, {"x": random(6, BATCH, WIDTH), **STATE}, rtol=1e-5, atol=1e-5)
    assert "Loop" not in op_types(model)
    assert op_types(model).count("LSTM") == 1


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("op", ["BlockLSTM", "BlockLSTMV2"])
@pytest.mark.parametrize("length", [6, 4, None])
def test_lstm_over_a_sequence_is_the_same(op, options, length):
    def build(x, c, h):
        last = tf.shape(x, out_type=tf.int64)[0] if length is None else tf.constant(length, tf.int64)
        more = {"forget_bias": 1.5} if op == "BlockLSTM" else {}
        weights = {"w": KERNEL, "b": BIAS, **dict(zip(("wci", "wcf", "wco"), PEEPHOLES, strict=True))}
        return getattr(tf.raw_ops, op)(seq_len_max=last, x=x, cs_prev=c, h_prev=h, **weights, **options, **more)

    feeds = {"x": random(6, BATCH, WIDTH), **STATE}
    outputs = range(7) if length != 4 else (1, 6)  # of the others TensorFlow leaves the rest as the memory was
    whole = assert_lowers(
        lambda *args: [made for i, made in enumerate(build(*args)) if i in outputs],
        feeds,
        dynamic=length != 6,
        rtol=1e-5,
        atol=1e-5,
    )
    assert op_types(whole).count("Scan") == 1
    alone = assert_lowers(lambda *args: build(*args).h, feeds, dynamic=length != 6, rtol=1e-5, atol=1e-5)
    assert op_types(alone).count("LSTM" if options["cell_clip"] <= 0 else "Scan") == 1
    assert length != 6 or "Pad" not in op_types(alone)


# What runs on a GPU alone: the truth is Keras, with the same weights

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def parameters(mode, layers, directions):
    """Per layer and direction the matrices and biases by gate, in cuDNN's order, and all of them as one vector."""
    rng = np.random.default_rng(11)
    gates, known = GATES[mode], []
    for layer in range(layers):
        width = WIDTH if layer == 0 else directions * UNITS
        shapes = [(gates, UNITS, width), (gates, UNITS, UNITS), (2, gates, UNITS)]
        known += [[rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes] for _ in range(directions)]
    matrices = [array.ravel() for one in known for array in one[:2]]
    return known, np.concatenate([*matrices, *(one[2].ravel() for one in known)])


def by_keras(mode, w, r, b, backwards):
    order = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2]}.get(mode, [0])  # Keras: i f c o, z r h
    common = {"return_sequences": True, "return_state": True, "go_backwards": backwards}
    layers = tf.keras.layers
    if mode == "gru":
        layer = layers.GRU(UNITS, reset_after=True, **common)
    elif mode == "lstm":
        layer = layers.LSTM(UNITS, **common)
    else:
        layer = layers.SimpleRNN(UNITS, activation=mode.removeprefix("rnn_"), **common)
    layer.build((None, None, w.shape[2]))
    biases = b[:, order].reshape(2, -1)
    columns = [matrix[order].reshape(-1, matrix.shape[2]).T for matrix in (w, r)]
    layer.set_weights([*columns, biases if mode == "gru" else biases.sum(0)])
    return layer


def expected(mode, known, directions, x, h, c):
    value, ends = tf.transpose(x, [1, 0, 2]), []
    for start in range(0, len(known), directions):
        outputs = []
        for place in range(start, start + directions):
            layer = by_keras(mode, *known[place], backwards=place > start)
            initial = [h[place], c[place]] if mode == "lstm" else [h[place]]
            output, *last = layer(value, initial_state=initial)
            outputs.append(tf.reverse(output, [1]) if place > start else output)
            ends.append(last)
        value = tf.concat(outputs, 2)
    return [tf.transpose(value, [1, 0, 2]), *(tf.stack(states) for states in zip(*ends, strict=True))]


@pytest.mark.parametrize("mode", GATES)
@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (3, 1), (2, 2)])
def test_layers_of_a_gpu_are_those_of_keras(mode, layers, directions):
    known, vector = parameters(mode, layers, directions)
    options = {"rnn_mode": mode, "direction": "bidirectional" if directions == 2 else "unidirectional"}
    count = 3 if mode == "lstm" else 2

    def build(x, h, c):
        return tf.raw_ops.CudnnRNNV2(input=x, input_h=h, input_c=c, params=vector, is_training=False, **options)[:count]

    states = {name: random(layers * directions, BATCH, UNITS, seed=seed) for name, seed in (("h", 8), ("c", 9))}
    feeds = {"x": random(6, BATCH, WIDTH), **states}
    model = export(inference_graph(build, feeds))
    check_file(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = {entry.name for entry in session.get_inputs()}
    got = session.run(None, {f"{name}:0": array for name, array in feeds.items() if f"{name}:0" in names})
    for a, b in zip(got, expected(mode, known, directions, *feeds.values()), strict=True):
        assert_same(a, b.numpy(), rtol=1e-5, atol=1e-5)
    assert op_types(model).count({"lstm": "LSTM", "gru": "GRU"}.get(mode, "RNN")) == layers


def test_layers_of_a_gpu_are_the_same_when_the_batch_is_first_and_rows_end_early():
    known, vector = parameters("lstm", 1, 1)

    def build(x, h, c, n):
        inputs = {"input": x, "input_h": h, "input_c": c, "params": vector, "sequence_lengths": n}
        return tf.raw_ops.CudnnRNNV3(**inputs, is_training=False, time_major=False)[:3]

    states = {name: random(BATCH, 1, UNITS, seed=seed) for name, seed in (("h", 8), ("c", 9))}
    feeds = {"x": random(BATCH, 6, WIDTH), **states, "n": np.array([6, 4], np.int32)}
    model = export(inference_graph(build, feeds))
    check_file(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    got = session.run(None, {f"{name}:0": array for name, array in feeds.items()})
    for row, length in enumerate(feeds["n"]):
        turned = [feeds[name][row : row + 1].swapaxes(0, 1) for name in "xhc"]
        wanted = expected("lstm", known, 1, turned[0][:length], *turned[1:])
        assert_same(got[0][row, :length], wanted[0].numpy()[:, 0], rtol=1e-5, atol=1e-5)
        assert not got[0][row, length:].any()
        for state, value in zip(got[1:], wanted[1:], strict=True):
            assert_same(state[row], value.numpy()[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"input_mode": "skip_input"}, "without weights"), ({"rnn_mode": "gru"}, "no whole number of layers")],
)
def test_layers_of_a_gpu_are_refused_when(options, reason):
    vector = parameters("lstm", 1, 1)[1][:-1]

    def build(x, h):
        return tf.raw_ops.CudnnRNN(input=x, input_h=h, input_c=h, params=vector, is_training=False, **options)[0]

    feeds = {"x": random(6, BATCH, WIDTH), "h": random(1, BATCH, UNITS)}
    with pytest.raises(ExportError, match=reason):
        export(inference_graph(build, feeds))
