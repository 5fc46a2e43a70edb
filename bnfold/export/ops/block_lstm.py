"""TensorFlow's LSTM over a whole sequence in one op."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, size_of
from bnfold.export.recurrent.blocks import ORDERS, step_function
from bnfold.export.table import lowers
from bnfold.graph import Array, Shape, TensorType
from bnfold.graph.dtypes import FLOAT32

LENGTH, X, MEMORY, HIDDEN, KERNEL, PEEPHOLES, BIAS = 0, 1, 2, 3, 4, (5, 6, 7), 8
OUTPUTS = 7


@lowers("BlockLSTM", "BlockLSTMV2", dtypes=("float16", "float32"))
def lower_block_lstm(call: Call) -> tuple[str, ...]:
    """LSTM where its outputs alone are read, else a Scan; from ``seq_len_max`` on, the states are zero.

    TensorFlow leaves its other outputs there as the memory was; here they are zero too.
    """
    length, whole = input_ints(call, LENGTH), size_of(call, X, 0)
    cut = not _takes_all(call)
    x = _first_steps(call, length) if cut else call.input(X)
    hidden_only = not any(call.is_read(index) for index in range(OUTPUTS - 1))
    weights = _weights(call) if hidden_only and call.dtype(X) == FLOAT32 else None
    results = [*[""] * (OUTPUTS - 1), _as_layer(call, x, weights)] if weights is not None else _as_scan(call, x)
    if cut:
        results = [value and _padded(call, value, whole, length) for value in results]
    return tuple(results)


def _takes_all(call: Call) -> bool:
    """Is ``seq_len_max`` the length of the sequence?"""
    sizes = call.scope.sizes
    length, shape = sizes.values(call.node.inputs[LENGTH]), sizes.shape(call.node.inputs[X])
    return length is not None and shape is not None and length == shape[:1]


def _first_steps(call: Call, length: Ints) -> str:
    end = call.emit("Reshape", length.name, call.ints([1]))
    return call.emit("Slice", call.input(X), call.ints([0]), end, call.ints([0]))


def _padded(call: Call, value: str, whole: Ints, length: Ints) -> str:
    missing = call.emit("Reshape", (whole - length).name, call.ints([1]))
    pads = call.emit("Concat", call.ints([0, 0, 0]), missing, call.ints([0, 0]), axis=0)
    return call.emit("Pad", value, pads)


def _weights(call: Call) -> tuple[Array, Array, Array, Array | None] | None:
    """ONNX' W, R, B and P, if they are constants and nothing is clipped."""
    kernel, bias = call.value(KERNEL), call.value(BIAS)
    peepholes = [call.value(index) for index in PEEPHOLES]
    seen = bool(call.attr("use_peephole"))
    if kernel is None or bias is None or call.attr("cell_clip", 0.0) > 0:
        return None
    if seen and any(array is None for array in peepholes):
        return None
    order = [ORDERS[call.op].index(letter) for letter in "iofc"]
    gates = np.split(kernel, 4, 1)
    biases = [part.astype(np.float64) for part in np.split(bias, 4)]
    biases[ORDERS[call.op].index("f")] += call.attr("forget_bias", 0.0)
    units = gates[0].shape[1]
    both = np.concatenate([gates[place].T for place in order])
    whole = np.concatenate([*(biases[place] for place in order), np.zeros(4 * units)])
    wci, wcf, wco = peepholes
    looks = np.concatenate([wci, wco, wcf]) if wci is not None and wcf is not None and wco is not None else None
    return both[:, :-units], both[:, -units:], whole.astype(np.float32), looks if seen else None


def _as_layer(call: Call, x: str, weights: tuple[Array, Array, Array, Array | None]) -> str:
    names = [
        "" if array is None else call.constant(np.ascontiguousarray(array[None]), f"{call.node.name}/{role}")
        for role, array in zip("WRBP", weights, strict=True)
    ]
    initial = [call.unsqueeze(call.input(index), [0]) for index in (HIDDEN, MEMORY)]
    units = weights[1].shape[1]
    whole = call.emit("LSTM", x, *names[:3], "", *initial, names[3], hidden_size=units)
    return call.squeeze(whole, [1])


def _as_scan(call: Call, x: str) -> list[str]:
    """The two states are carried; of the seven outputs, those that are read are collected."""
    body = call.body("step")
    shape = call.shape(X)
    row: Shape | None = None if shape is None else shape[1:]
    carried = [body.add_input(f"{body.onnx.name}/{index}", call.type(index)) for index in (MEMORY, HIDDEN)]
    step = body.add_input(f"{body.onnx.name}/x", TensorType(call.dtype(X), row))
    others = [call.input(index) for index in (KERNEL, *PEEPHOLES, BIAS)]
    known = [row, *(call.shape(index) for index in range(MEMORY, BIAS + 1))]
    values = {i: array for i in range(1, BIAS) if (array := call.value(i + 1)) is not None and i > 2}
    results = body.lower_function(
        step_function(call.node), [step, *carried, *others], values=values, shapes=dict(enumerate(known))
    )
    read = [index for index in range(OUTPUTS) if call.is_read(index)]
    for index, place in ((1, MEMORY), (6, HIDDEN)):
        body.add_output(results[index], call.type(place))
    for index in read:
        body.add_output(results[index], call.type(MEMORY))
    initial = [call.input(MEMORY), call.input(HIDDEN)]
    ends = call.emit_many("Scan", *initial, x, outputs=2 + len(read), body=body.onnx, num_scan_inputs=1)
    collected = dict(zip(read, ends[2:], strict=True))
    return [collected.get(index, "") for index in range(OUTPUTS)]
