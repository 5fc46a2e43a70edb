"""The part of a training graph that is written for the loss alone.

It holds what depends on a label, what measures, what ends in a scalar, and what lies between those and the network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bnfold.graph import Graph, Node, Shape, TensorType, node_name
from bnfold.inference.anatomy import Anatomy, in_loops
from bnfold.inference.op_kinds import METRIC

STRICT = frozenset(
    {
        "Acos", "Cos", "Log", "Log1p", "Neg",
        "Square", "Abs", "Pow", "Sqrt", "Softplus", "L2Loss", "Xlogy", "Xlog1py", "Erf",
        "SquaredDifference", "Reciprocal", "Inv",
    }
)  # fmt: skip
"""Ops that losses are written with and networks do not end in."""

ENTROPIES = frozenset({"SoftmaxCrossEntropyWithLogits", "SparseSoftmaxCrossEntropyWithLogits", "CTCLoss", "CTCLossV2"})
"""Losses that are ops, also where the label is an input."""

SLICES = frozenset({"StridedSlice", "Slice"})
SPLITS = frozenset({"Split", "SplitV", "Unpack"})
JOINS = frozenset({"Concat", "ConcatV2", "Pack"})

SOFT = frozenset(
    {
        "Add", "AddN", "AddV2", "Cast", "ClipByValue", "ConcatV2", "Div", "DivNoNan", "Exp", "ExpandDims", "GatherNd",
        "Greater", "GreaterEqual", "Identity", "Less", "LessEqual", "Max", "Maximum", "Mean", "Min", "Minimum", "Mul",
        "Pack", "Prod", "RealDiv", "Relu", "Reshape", "Select", "SelectV2", "Squeeze", "StopGradient",
        "Sub", "Sum", "Tile", "Transpose",
    }
)  # fmt: skip
"""Ops that end a network or begin a loss: their readers tell."""


def find_losses(parts: Anatomy, types: Mapping[str, TensorType]) -> set[str]:
    """Names of the nodes of losses and metrics.

    Parameters
    ----------
    parts : Anatomy
    types : mapping of str to TensorType
        Static types where they are known.
    """
    return _Losses(parts, types).find()


class _Losses:
    """``labelled``: what depends on a label or measures. ``stopped``: targets that the network computes for itself."""

    def __init__(self, parts: Anatomy, types: Mapping[str, TensorType]) -> None:
        self.parts = parts
        self.graph: Graph = parts.graph
        self.types = types
        self.deep = parts.before_layers()
        self.labelled: set[str] = set()
        self.stopped: set[str] = set()

    def find(self) -> set[str]:
        parts = self.parts
        self.labelled = {name for name in parts.live if parts.depends_on_label(name)}
        measured = METRIC | ENTROPIES if parts.gradients or parts.labels else ENTROPIES
        looping = in_loops(self.graph)
        for node in parts.order:
            if node.name in self.deep or node.name not in parts.weighted:
                continue
            if (node.op in measured and node.name not in looping) or self._reads_any(node, self.labelled):
                self.labelled.add(node.name)
        self._find_targets()
        loss = self.labelled | self.stopped
        for node in reversed(parts.order):
            if node.name not in loss and node.name in parts.weighted and self._belongs_to(loss, node):
                loss.add(node.name)
        return loss

    def _find_targets(self) -> None:
        """What leads to a StopGradient in the loss alone: a target that the network computes for itself."""
        for node in reversed(self.parts.order):
            readers = self.parts.readers(node)
            ends = node.op == "StopGradient" and node.name not in self.deep
            if ends or (readers and all(reader.name in self.stopped for reader in readers)):
                self.stopped.add(node.name)
        self.stopped |= self._made_of_targets()

    def _made_of_targets(self) -> set[str]:
        """What is computed from targets alone and ends in a loss: their discount, the softmax of a teacher."""
        made = set(self.stopped)
        for node in self.parts.order:
            weighted = [name for tensor in node.inputs if (name := node_name(tensor)) in self.parts.weighted]
            if weighted and node.name not in self.deep and all(name in made for name in weighted):
                made.add(node.name)
        ends = self.labelled | self.stopped
        for node in reversed(self.parts.order):
            readers = self.parts.readers(node)
            if node.name in made and readers and all(reader.name in ends for reader in readers):
                ends.add(node.name)
        return ends & made

    def _reads_any(self, node: Node, names: set[str]) -> bool:
        return any(node_name(tensor) in names for tensor in node.inputs)

    def _belongs_to(self, loss: set[str], node: Node) -> bool:
        """Whether ``node``, all of whose readers are in ``loss`` or at the end of it, is written for the loss alone."""
        readers = self.parts.readers(node)
        if not readers:
            return self._rank_of(node.output) == 0 and node.name not in self.deep
        if node.name in self.deep or not all(reader.name in loss for reader in readers):
            return False
        if self._mixes_in_weights(node) or _normalises(node, self.graph) or _is_softmax(node, self.graph):
            return False
        if self._groups_samples(node, readers):
            return True
        if self._restores_rank(node) or (node.op in JOINS and any(reader.op in SPLITS for reader in readers)):
            return False
        if node.op in STRICT or self._takes_parts(node):
            return True
        if node.op not in SOFT or self._names(node):
            return False
        direct = any(reader.name in self.labelled for reader in readers)
        return not direct or self._flattens(node) or self._rectifies_by_hand(node) or self._meets_label_before(node)

    def _takes_parts(self, node: Node) -> bool:
        """Whether ``node`` takes a part, for a loss, of what the network gives whole.

        A slice gives less than it reads, unless an axis of size one goes. A split does so if it takes apart what the
        network has put together, or one sample from another, as losses over pairs and triplets do; else its parts are
        the network's outputs: boxes and kinds, say, from one layer.
        """
        if node.op not in SLICES | SPLITS:
            return False
        if node.op not in SLICES:
            source = self.graph.find_producer(node.inputs[-1 if node.op == "Split" else 0])
            return source is not None and (source.op in JOINS or self._splits_samples(node, source))
        whole, part = self.types.get(node.inputs[0]), self.types.get(node.output)
        if whole is None or part is None or whole.shape is None or part.shape is None:
            return False
        return len(whole.shape) <= len(part.shape) or not _same_sizes(whole.shape, part.shape)

    def _splits_samples(self, node: Node, source: Node) -> bool:
        """Whether split ``node`` goes along the batch, or along groups of samples that a Reshape made of it."""
        if node.op == "Unpack":
            return node.attrs["axis"] == 1 and self._regroups(source)
        axis = self.graph.value(node.inputs[0 if node.op == "Split" else 2])
        rank = self._rank_of(node.output)
        return axis is not None and rank is not None and rank > 1 and int(axis) in (0, -rank)

    def _groups_samples(self, node: Node, readers: list[Node]) -> bool:
        """Whether ``node`` puts samples in groups, and a loss takes these apart again."""
        return self._regroups(node) and all(r.op == "Unpack" and r.attrs["axis"] == 1 for r in readers)

    def _regroups(self, node: Node) -> bool:
        """Whether ``node`` is a Reshape of samples ``[?, …]`` to ``[?, size of a group, …]``."""
        if node.op != "Reshape":
            return False
        before, after = self.types.get(node.inputs[0]), self.types.get(node.output)
        if before is None or after is None or before.shape is None or after.shape is None:
            return False
        return len(after.shape) > 2 and before.shape[1:] == after.shape[2:]

    def _rectifies_by_hand(self, node: Node) -> bool:
        """``where(x >= 0, x, 0)`` of what meets the label: a term of the logistic loss, and no layer writes it so."""
        if node.op not in ("Select", "SelectV2"):
            return False
        condition, value, _ = node.inputs
        compared = self.graph.find_producer(condition)
        if compared is None or compared.op != "GreaterEqual" or compared.inputs[0] != value:
            return False
        return any(r.op == "Mul" and r.name in self.labelled for r in self.graph.readers(value))

    def _restores_rank(self, node: Node) -> bool:
        """Whether ``node`` gives the axes back that a product of matrices had been flattened for, as tensordot does."""
        before, after = self._rank_of(node.inputs[0]), self._rank_of(node.output)
        return node.op == "Reshape" and before is not None and after is not None and after > before

    def _names(self, node: Node) -> bool:
        """Whether ``node`` is an Identity by which people name an output, not one that waits for an assertion."""
        source = self.graph.find_producer(node.inputs[0])
        return node.op == "Identity" and not node.controls and source is not None and source.op not in STRICT

    def _mixes_in_weights(self, node: Node) -> bool:
        """A bias, or the scale and shift of a norm."""
        return any(self.parts.weights.get(node_name(t)) and not self.parts.data_of(t) for t in node.inputs)

    def _flattens(self, node: Node) -> bool:
        """Whether ``node`` makes one long batch of all positions, as cross entropies want it."""
        if node.op != "Reshape":
            return False
        shape = self.graph.value(node.inputs[1])
        before = self.types.get(node.inputs[0])
        if shape is None:
            return True  # computed on the spot, from the shape of what comes in
        if before is None or before.shape is None or shape.size >= len(before.shape) or shape.ravel()[0] != -1:
            return False
        rest = before.shape[1:]
        return None in rest or int(np.prod(shape.ravel()[1:])) < int(np.prod([size or 1 for size in rest]))

    def _meets_label_before(self, node: Node) -> bool:
        """Whether the tensor that ``node`` reshapes and rescales meets the label itself: then ``node`` is a term."""
        while node.op in SOFT or node.op in STRICT:
            sources = [t for t in node.inputs if node_name(t) in self.parts.weighted]
            if not sources:
                return False
            node = self.graph.producer_of(sources[-1])
            if any(reader.name in self.labelled for reader in self.parts.readers(node)):
                return node.op not in SOFT or node.op == "Identity"
        return False

    def _rank_of(self, tensor: str) -> int | None:
        found = self.types.get(tensor)
        return None if found is None or found.shape is None else len(found.shape)


def _same_sizes(whole: Shape, part: Shape) -> bool:
    """Whether two shapes are alike but for sizes of one."""
    return [size for size in whole if size != 1] == [size for size in part if size != 1]


def _normalises(node: Node, graph: Graph) -> bool:
    """``x · rsqrt(…)``: an embedding brought to length one is an end of a network."""
    producers = [graph.find_producer(tensor) for tensor in node.inputs]
    return node.op == "Mul" and any(producer is not None and producer.op == "Rsqrt" for producer in producers)


def _is_softmax(node: Node, graph: Graph) -> bool:
    """``exp(x) / Σ exp(x)``, as Keras of TensorFlow 1 writes the softmax of images."""
    if node.op not in ("RealDiv", "Div"):
        return False
    total = graph.find_producer(node.inputs[1])
    numerator = graph.find_producer(node.inputs[0])
    return (
        total is not None
        and total.op == "Sum"
        and total.inputs[0] == node.inputs[0]
        and numerator is not None
        and numerator.op == "Exp"
    )
