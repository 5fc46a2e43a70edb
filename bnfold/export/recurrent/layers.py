"""ONNX' LSTM, GRU and RNN in the place of a loop."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from bnfold.export.recurrent.affine import Affine
from bnfold.export.recurrent.cells import Cell
from bnfold.export.recurrent.steps import Steps, is_zero
from bnfold.graph import Array, DType, Graph, Node, Shape, TensorType, constant
from bnfold.graph.dtypes import FLOAT32, INT32

Weights = tuple[dict[str, Array], Array, Array, Array | None]
"""What a layer's inputs are multiplied with, by leaf; its hidden state; the bias; the peepholes."""


def place(graph: Graph, loop: Node, steps: Steps, wanted: Set[int]) -> bool:
    """Replace ``loop``, whose results ``wanted`` are read, by the layers of ``steps``.

    False, and nothing changed, where a weight has no place in ONNX.
    """
    order = _in_order(steps)
    weights = [_weights(cell) for cell in order]
    written = {*steps.lists.values(), *steps.lasts.values()}
    if not order or None in weights or not written <= {cell.output for cell in order}:
        return False
    results: dict[str, str] = {}  # leaf → the sequence, time first
    ends: dict[int, str] = {}
    for leaf, index in steps.sequences.items():
        results[leaf] = loop.inputs[index]
    for cell, known in zip(order, weights, strict=True):
        assert known is not None
        layer = _layer(graph, loop, steps, cell, known, results)
        results[cell.output] = layer.tensor(0)
        ends[steps.states[cell.hidden]] = layer.tensor(1)
        if cell.memory:
            ends[steps.states[cell.memory]] = layer.tensor(2)
    by_output = {cell.output: ends[steps.states[cell.hidden]] for cell in order}
    ends |= {index: results[leaf] for index, leaf in steps.lists.items()}
    ends |= {index: _listed(graph, loop, by_output[leaf]) for index, leaf in steps.lasts.items()}
    unread = next(iter(ends.values()))  # so that what nothing else reads goes with the loop
    given = ((ends.get(i), tensor if i in wanted else unread) for i, tensor in enumerate(loop.inputs))
    tensors = tuple(new or other for new, other in given)
    dtypes: list[DType] = [graph.types[tensor].dtype for tensor in tensors]
    graph.replace(Node(loop.name, "IdentityN", tensors, {"T": dtypes}))
    return True


def _in_order(steps: Steps) -> list[Cell]:
    """The cells, each after those whose output it reads; none where one reads what is no sequence."""
    known = set(steps.sequences)
    ahead, order = list(steps.cells), list[Cell]()
    while ahead:
        ready = next((cell for cell in ahead if _reads(cell) <= known), None)
        if ready is None:
            return []
        ahead.remove(ready)
        order.append(ready)
        known.add(ready.output)
    return order


def _reads(cell: Cell) -> set[str]:
    leaves = set[str]().union(*(gate.leaves for gate in cell.gates))
    return leaves - {cell.hidden, cell.memory} - (_memories(cell) if cell.memory else set())


def _memories(cell: Cell) -> set[str]:
    """The new memory, which the output gate of an LSTM with peepholes sees: a leaf of that gate alone."""
    others = set[str]().union(*(gate.leaves for gate in (cell.gates[0], *cell.gates[2:])))
    return {leaf for leaf in cell.gates[1].diagonals if leaf not in others and leaf not in cell.gates[1].weights}


def _weights(cell: Cell) -> Weights | None:
    """ONNX' W, R, B and P without their first axis, W for each leaf."""
    rows = [gate.weights.get(cell.hidden) for gate in cell.gates]
    if cell.inner is not None:
        rows[-1] = cell.inner.weights.get(cell.hidden)
    if any(row is None or row.shape[0] != row.shape[1] for row in rows):
        return None
    known = [row for row in rows if row is not None]
    width = known[0].shape[1]
    if any(row.shape != (width, width) for row in known):
        return None
    leaves = dict.fromkeys(leaf for gate in cell.gates for leaf in gate.leaves if leaf in _reads(cell))
    inputs: dict[str, Array] = {}
    for leaf in leaves:
        parts = [_matrix(gate, leaf, width) for gate in cell.gates]
        if any(part is not None and part.shape[1] != width for part in parts):
            return None  # one column, that is broadcast
        size = next(part.shape[0] for part in parts if part is not None)
        inputs[leaf] = np.concatenate([np.zeros((width, size)) if p is None else p.T for p in parts])
    if not inputs or any(cell.hidden in gate.diagonals for gate in cell.gates):
        return None
    biases = [np.broadcast_to(gate.bias, (width,)) for gate in cell.gates]
    inner = [np.zeros(width)] * len(cell.gates)
    if cell.inner is not None:
        inner[-1] = np.broadcast_to(cell.inner.bias, (width,))
    peepholes = _peepholes(cell, width)
    recurrent = np.concatenate([row.T for row in known])
    return inputs, recurrent, np.concatenate([*biases, *inner]), peepholes


def _matrix(gate: Affine, leaf: str, width: int) -> Array | None:
    matrix, diagonal = gate.weights.get(leaf), gate.diagonals.get(leaf)
    if diagonal is None:
        return matrix
    square = np.diag(np.broadcast_to(diagonal, (width,)))
    return square if matrix is None else matrix + square


def _peepholes(cell: Cell, width: int) -> Array | None:
    """Of the input, output and forget gate."""
    if cell.kind != "LSTM":
        return None
    after = next(iter(_memories(cell)), "")
    seen = [gate.diagonals.get(leaf) for gate, leaf in zip(cell.gates, (cell.memory, after, cell.memory), strict=False)]
    if all(diagonal is None for diagonal in seen):
        return None
    return np.concatenate([np.zeros(width) if d is None else np.broadcast_to(d, (width,)) for d in seen])


def _layer(graph: Graph, loop: Node, steps: Steps, cell: Cell, known: Weights, results: Mapping[str, str]) -> Node:
    inputs, recurrent, bias, peepholes = known
    width = recurrent.shape[1]
    name = graph.fresh_name(f"{loop.name}/{cell.kind}")
    roles = ["X", "W", "R", "B"]
    tensors = [_joined(graph, name, [results[leaf] for leaf in inputs])]
    arrays = [("W", np.concatenate(list(inputs.values()), 1)), ("R", recurrent), ("B", bias)]
    tensors += [_constant(graph, f"{name}/{role}", array[None]) for role, array in arrays]
    initial = [("initial_h", cell.hidden), ("initial_c", cell.memory)]
    for role, leaf in initial[: 2 if cell.memory else 1]:
        tensor = loop.inputs[steps.states[leaf]]
        if not is_zero(graph, tensor):
            roles.append(role)
            tensors.append(tensor)
    if steps.lengths:
        roles.append("sequence_lens")
        tensors.append(steps.lengths)
    if peepholes is not None:
        roles.append("P")
        tensors.append(_constant(graph, f"{name}/P", peepholes[None]))
    attrs: dict[str, Any] = {"T": FLOAT32, "roles": roles, "hidden_size": width, "direction": "forward"}
    attrs["activations"] = [activation.op for activation in cell.activations]
    attrs["alpha"] = [a.alpha for a in cell.activations if a.alpha is not None]
    attrs["beta"] = [a.beta for a in cell.activations if a.beta is not None]
    attrs["linear_before_reset"] = int(cell.inner is not None)
    layer = graph.add(Node(name, cell.kind, tuple(tensors), attrs))
    time, batch = (graph.shape_of(tensors[0]) or (None, None, None))[:2]
    shapes: list[Shape] = [(time, batch, width), (batch, width), (batch, width)]
    for index, shape in enumerate(shapes[: 3 if cell.memory else 2]):
        graph.types[layer.tensor(index)] = TensorType(FLOAT32, shape)
    return layer


def _constant(graph: Graph, stem: str, array: Array) -> str:
    made = graph.add(constant(graph.fresh_name(stem), np.ascontiguousarray(array, np.float32)))
    graph.types[made.output] = TensorType(FLOAT32, array.shape)
    return made.output


def _joined(graph: Graph, name: str, sequences: list[str]) -> str:
    """Sequences side by side."""
    if len(sequences) == 1:
        return sequences[0]
    axis = graph.add(constant(graph.fresh_name(f"{name}/axis"), np.array(2, np.int32)))
    graph.types[axis.output] = TensorType(INT32, ())
    attrs = {"N": len(sequences), "T": FLOAT32, "Tidx": INT32}
    made = graph.add(Node(graph.fresh_name(f"{name}/inputs"), "ConcatV2", (*sequences, axis.output), attrs))
    shapes = [graph.shape_of(sequence) for sequence in sequences]
    sizes = [None if shape is None else shape[2] for shape in shapes]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    graph.types[made.output] = TensorType(FLOAT32, (*(shapes[0] or (None, None))[:2], total))
    return made.output


def _listed(graph: Graph, loop: Node, state: str) -> str:
    """A list with ``state`` as its one item."""
    axis = graph.add(constant(graph.fresh_name(f"{loop.name}/axis"), np.array(0, np.int32)))
    graph.types[axis.output] = TensorType(INT32, ())
    attrs = {"T": FLOAT32, "Tdim": INT32}
    made = graph.add(Node(graph.fresh_name(f"{loop.name}/last"), "ExpandDims", (state, axis.output), attrs))
    graph.types[made.output] = TensorType(FLOAT32, (1, *(graph.shape_of(state) or ())))
    return made.output
