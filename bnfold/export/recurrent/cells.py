"""What one step of a recurrent layer does with its gates, compared with ONNX' LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bnfold.export.bodies import source
from bnfold.export.recurrent.affine import Affine, Affines
from bnfold.graph import Array, Graph


@dataclass(frozen=True)
class Activation:
    """One of ONNX' activation functions of recurrent nodes, with what it takes."""

    op: str
    alpha: float | None = None
    beta: float | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of ONNX.

    Attributes
    ----------
    kind : str
        LSTM, GRU or RNN.
    hidden, memory : str
        The leaves that its states are; "" for a cell without a memory.
    output : str
        The tensor that its hidden state is afterwards.
    gates : tuple of Affine
        In ONNX' order: i o f c of an LSTM, z r h of a GRU. Of a GRU that multiplies before the reset, the last holds
        only what comes from the input.
    activations : tuple of Activation
    inner : Affine or None
        Of such a GRU: what the reset gate is multiplied with.
    """

    kind: str
    hidden: str
    memory: str
    output: str
    gates: tuple[Affine, ...]
    activations: tuple[Activation, ...]
    inner: Affine | None = None


_NAMED = {
    "Sigmoid": Activation("Sigmoid"),
    "Tanh": Activation("Tanh"),
    "Relu": Activation("Relu"),
    "Softsign": Activation("Softsign"),
    "Softplus": Activation("Softplus"),
    "Elu": Activation("Elu", 1.0),
    "HardSigmoid": Activation("HardSigmoid", 1 / 6, 0.5),
}
_CLIPPED = Activation("HardSigmoid", 1.0, 0.0)


Activated = tuple[Activation, Affine]
"""An activation function and its argument."""


class Cells:
    """Reads the cells of a body.

    Parameters
    ----------
    graph : Graph
        The body's, typed.
    states : mapping of str to str
        Leaf of a state → the tensor that it is after the step.
    leaves : mapping of str to str
        Tensors at which reading stops: states and what is read of sequences, each with its leaf.
    """

    def __init__(self, graph: Graph, states: Mapping[str, str], leaves: Mapping[str, str]) -> None:
        self.graph = graph
        self.states = {leaf: source(graph, tensor) for leaf, tensor in states.items()}
        self.leaves = dict(leaves) | {tensor: tensor for tensor in self.states.values()}
        self.affines = Affines(graph, self.leaves)

    def find(self) -> list[Cell] | None:
        """One cell for each state, or for two; None where a state belongs to no cell."""
        cells: list[Cell] = []
        left = dict.fromkeys(self.states)
        for memory in self.states:
            cell = next((c for hidden in self.states if (c := self._lstm(hidden, memory)) is not None), None)
            if cell is not None and {cell.hidden, memory} <= left.keys():
                cells.append(cell)
                left.pop(cell.hidden)
                left.pop(memory)
        for hidden in left:
            cell = self._gru(hidden) or self._rnn(hidden)
            if cell is None:
                return None
            cells.append(cell)
        return cells

    # The three kinds

    def _lstm(self, hidden: str, memory: str) -> Cell | None:
        """``c' = f ∘ c + i ∘ g``, ``h' = o ∘ act(c')``"""
        if hidden == memory:
            return None
        for kept, added in _orders(self._terms(self.states[memory])):
            f = self._other_factor(kept, memory)
            for i, g in _orders(self._factors(added)):
                for o, h in _orders(self._factors(self.states[hidden])):
                    cell = self._lstm_of(hidden, memory, (i, o, f, g), h)
                    if cell is not None:
                        return cell
        return None

    def _lstm_of(self, hidden: str, memory: str, gates: tuple[str | None, ...], outer: str) -> Cell | None:
        read = [self._activated(gate) for gate in gates]
        after = self._activated(outer)
        if after is None or not after[1].is_leaf(self.states[memory]):
            return None
        known = [entry for entry in read if entry is not None]
        if len(known) != 4 or len({activation for activation, _ in known[:3]}) != 1:
            return None
        affines = tuple(argument for _, argument in known)
        activations = (known[0][0], known[3][0], after[0])
        return Cell("LSTM", hidden, memory, self.states[hidden], affines, activations)

    def _gru(self, hidden: str) -> Cell | None:
        """``h' = z ∘ h + (1 - z) ∘ g``; g sees ``r ∘ h`` times a matrix, or r times such a product."""
        for kept, added in _orders(self._terms(self.states[hidden])):
            z = self._other_factor(kept, hidden)
            for rest, g in _orders(self._factors(added)):
                if z is not None and self._is_complement(rest, z):
                    update, new = self._activated(z), self._activated(g)
                    cell = None if update is None or new is None else self._gru_of(hidden, update, new)
                    if cell is not None:
                        return cell
        return None

    def _gru_of(self, hidden: str, update: Activated, new: Activated) -> Cell | None:
        candidate = new[1]
        known = {*self.leaves.values()}
        products = [leaf for leaf in candidate.leaves if leaf not in known]
        if len(products) != 1:
            return None
        (product,) = products
        for r, inner in _orders(self._factors(product)):
            reset = self._activated(r)
            if reset is None or reset[0] != update[0]:
                continue
            gates = (update[1], reset[1])
            activations = (update[0], new[0])
            read = self.affines.read(inner)
            if product in candidate.weights and read.is_leaf(hidden):
                weights = {leaf: array for leaf, array in candidate.weights.items() if leaf != product}
                weights[hidden] = candidate.weights[product]
                last = replace(candidate, weights=weights)
                if hidden not in candidate.leaves:
                    return Cell("GRU", hidden, "", self.states[hidden], (*gates, last), activations)
            elif bool(np.all(candidate.diagonals.get(product, 0) == 1)) and {*read.weights} == read.leaves == {hidden}:
                diagonals = {leaf: array for leaf, array in candidate.diagonals.items() if leaf != product}
                last = replace(candidate, diagonals=diagonals)
                return Cell("GRU", hidden, "", self.states[hidden], (*gates, last), activations, read)
        return None

    def _rnn(self, hidden: str) -> Cell | None:
        """``h' = act(x · W + h · R + b)``"""
        found = self._activated(self.states[hidden])
        if found is None:
            return None
        return Cell("RNN", hidden, "", self.states[hidden], (found[1],), (found[0],))

    # Parts of expressions

    def _terms(self, tensor: str) -> list[str]:
        return self._operands(tensor, "Add", "AddV2")

    def _factors(self, tensor: str) -> list[str]:
        return self._operands(tensor, "Mul")

    def _operands(self, tensor: str, *ops: str) -> list[str]:
        node = self.graph.find_producer(source(self.graph, tensor))
        return [source(self.graph, operand) for operand in node.inputs] if node is not None and node.op in ops else []

    def _other_factor(self, tensor: str, leaf: str) -> str | None:
        """The factor of ``tensor`` beside ``leaf``."""
        for one, other in _orders(self._factors(tensor)):
            if self.leaves.get(one) == leaf:
                return other
        return None

    def _is_complement(self, tensor: str, of: str) -> bool:
        """Is it ``1 - of``?"""
        operands = self._operands(tensor, "Sub")
        return len(operands) == 2 and operands[1] == of and _is_number(self.affines.constant(operands[0]), 1)

    def _activated(self, tensor: str | None) -> Activated | None:
        """The activation function and its argument. TensorFlow 1 splits the gates of a GRU behind it."""
        tensor = None if tensor is None else source(self.graph, tensor)
        node = None if tensor is None else self.graph.find_producer(tensor)
        if tensor is None or node is None:
            return None
        if node.op in _NAMED:
            return _NAMED[node.op], self.affines.read(node.inputs[0])
        if node.op == "LeakyRelu":
            return Activation("LeakyRelu", float(node.attrs["alpha"])), self.affines.read(node.inputs[0])
        if (part := self.affines.part(tensor)) is not None:
            found = self._activated(part.data)
            argument = None if found is None else found[1].columns(part.start, part.end)
            return None if found is None or argument is None else (found[0], argument)
        clipped = self._clipped(tensor)
        return None if clipped is None else (_CLIPPED, self.affines.read(clipped))

    def _clipped(self, tensor: str) -> str | None:
        """``x`` of ``min(max(x, 0), 1)``, in either order."""
        node = self.graph.producer_of(tensor)
        if node.op == "ClipByValue":
            bounds = [self.affines.constant(bound) for bound in node.inputs[1:]]
            return node.inputs[0] if _is_number(bounds[0], 0) and _is_number(bounds[1], 1) else None
        for outer, end, inner, start in (("Minimum", 1, "Maximum", 0), ("Maximum", 0, "Minimum", 1)):
            between = self._beside(self._operands(tensor, outer), end)
            found = None if between is None else self._beside(self._operands(between, inner), start)
            if found is not None:
                return found
        return None

    def _beside(self, operands: list[str], number: int) -> str | None:
        """The operand beside a constant."""
        for constant, other in _orders(operands):
            if _is_number(self.affines.constant(constant), number):
                return other
        return None


def _orders(pair: Iterable[str]) -> Iterator[tuple[str, str]]:
    operands = list(pair)
    if len(operands) == 2:
        yield operands[0], operands[1]
        yield operands[1], operands[0]


def _is_number(array: Array | None, number: int) -> bool:
    return array is not None and array.size == 1 and array.item() == number
