"""The recurrent layers of a GPU, whose weights are one vector.

Of each layer and direction it holds the matrices for the input, gate after gate, then those for the hidden state; the
biases of all follow, two for each gate. https://www.tensorflow.org/api_docs/python/tf/raw_ops/CudnnRNNV3
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.export.call import Call
from bnfold.export.table import lowers
from bnfold.graph import Array
from bnfold.graph.dtypes import INT32

INPUT, HIDDEN, MEMORY, PARAMETERS, LENGTHS = range(5)


@dataclass(frozen=True)
class _Mode:
    """An ONNX op, its activation where it has a choice, and where cuDNN keeps the gates that ONNX wants in turn."""

    op: str
    gates: tuple[int, ...]
    activation: str = ""


MODES = {
    "lstm": _Mode("LSTM", (0, 3, 1, 2)),  # cuDNN: i f c o; ONNX: i o f c
    "gru": _Mode("GRU", (1, 0, 2)),  # cuDNN: r z h; ONNX: z r h
    "rnn_tanh": _Mode("RNN", (0,), "Tanh"),
    "rnn_relu": _Mode("RNN", (0,), "Relu"),
}


@lowers("CudnnRNN", "CudnnRNNV2", "CudnnRNNV3", dtypes=("float32",))
def lower_cudnn_rnn(call: Call) -> tuple[str, ...]:
    """A node for each layer. Between layers there may be dropout, which inference has none of."""
    mode = MODES[call.attr("rnn_mode")]
    directions = 2 if call.attr("direction") == "bidirectional" else 1
    units, width = call.known_shape(HIDDEN)[-1], call.known_shape(INPUT)[-1]
    parameters = call.constant_value(PARAMETERS, "weights")
    if units is None or width is None:
        raise call.refusal("how many units it has, or how wide its input is, is computed at run time")
    if call.attr("num_proj", 0):
        raise call.refusal("it projects its output")
    skips = call.attr("input_mode") == "skip_input" or (call.attr("input_mode") == "auto_select" and units == width)
    if skips:
        raise call.refusal("its input goes into the gates without weights")
    layers = _unpacked(parameters, mode, units=units, width=width, directions=directions)
    if layers is None:
        raise call.refusal(f"{parameters.size} weights are no whole number of layers of {units} units")
    return _layers(call, mode, layers, units, directions)


Layer = tuple[Array, Array, Array]
"""ONNX' W, R and B of all directions."""


def _unpacked(parameters: Array, mode: _Mode, *, units: int, width: int, directions: int) -> list[Layer] | None:
    """The layers, as many as there are weights for."""
    gates = len(mode.gates)
    first = directions * gates * units * (width + units + 2)
    other = directions * gates * units * (directions * units + units + 2)
    count, left = divmod(parameters.size - first, other)
    if count < 0 or left:
        return None
    widths = [width, *[directions * units] * count]
    matrices: list[tuple[list[Array], list[Array]]] = []
    start = 0
    for size in widths:
        pair: tuple[list[Array], list[Array]] = ([], [])
        for _ in range(directions):
            for kind, columns in zip(pair, (size, units), strict=True):
                whole = parameters[start : start + gates * units * columns].reshape(gates, units, columns)
                kind.append(whole[list(mode.gates)].reshape(gates * units, columns))
                start += whole.size
        matrices.append(pair)
    biases = parameters[start:].reshape(len(widths), directions, 2, gates, units)[:, :, :, list(mode.gates)]
    biases = biases.reshape(len(widths), directions, 2 * gates * units)
    return [(np.stack(w), np.stack(r), bias) for (w, r), bias in zip(matrices, biases, strict=True)]


def _layers(call: Call, mode: _Mode, layers: list[Layer], units: int, directions: int) -> tuple[str, ...]:
    batch_first = call.attr("time_major", True) is False
    value = call.transpose(call.input(INPUT), [1, 0, 2]) if batch_first else call.input(INPUT)
    lengths = call.cast(call.input(LENGTHS), INT32) if call.arity > LENGTHS else ""
    states = (HIDDEN, MEMORY) if mode.op == "LSTM" else (HIDDEN,)
    initial = [_parts(call, _state(call, index, batch_first), len(layers), directions) for index in states]
    ends: list[list[str]] = [[] for _ in states]
    for number, arrays in enumerate(layers):
        weights = [
            call.constant(array, f"{call.node.name}/{number}/{r}") for r, array in zip("WRB", arrays, strict=True)
        ]
        whole, *lasts = call.emit_many(
            mode.op,
            value,
            *weights,
            lengths,
            *(parts[number] for parts in initial),
            outputs=1 + len(states),
            hidden_size=units,
            direction="bidirectional" if directions == 2 else None,
            activations=[mode.activation] * directions if mode.activation else None,
            linear_before_reset=1 if mode.op == "GRU" else None,
        )
        flat = call.transpose(whole, [0, 2, 1, 3])
        value = call.emit("Reshape", flat, call.ints([0, 0, directions * units]))
        for collected, last in zip(ends, lasts, strict=True):
            collected.append(last)
    results = [parts[0] if len(parts) == 1 else call.emit("Concat", *parts, axis=0) for parts in ends]
    if batch_first:
        value, results = call.transpose(value, [1, 0, 2]), [call.transpose(r, [1, 0, 2]) for r in results]
    return value, *results


def _state(call: Call, index: int, batch_first: bool) -> str:
    return call.transpose(call.input(index), [1, 0, 2]) if batch_first else call.input(index)


def _parts(call: Call, state: str, count: int, directions: int) -> tuple[str, ...]:
    """The initial states of each layer."""
    if count == 1:
        return (state,)
    return call.emit_many("Split", state, call.ints([directions] * count), axis=0, outputs=count)
