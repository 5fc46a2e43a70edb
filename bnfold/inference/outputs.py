"""Which tensors a person would call the outputs of a saved graph.

The forward graph is what went through weights and depends on no label. Its outputs are its last tensors: those that
nothing reads, and those that the losses and metrics read, unless another output is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bnfold.graph import Graph, Node, TensorType, node_name
from bnfold.inference.anatomy import METRIC, SINK, SUMMARY, UPDATE, Anatomy

HEADS = frozenset({"Softmax", "Sigmoid", "Tanh", "LogSoftmax"})
"""Activations that end a network."""

RELABELLING = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "CheckNumerics"}
)
"""Ops whose output is their first input under another name or shape."""

_SOFTENED = frozenset(
    {
        "Log", "Log1p", "Exp", "Neg", "Square", "Abs", "Maximum", "Minimum", "ClipByValue", "Cast", "Pow", "Sqrt",
        "Rsqrt", "Softplus", "Relu", "Reciprocal", "Inv", "Sum", "Mean", "Max", "Min", "Prod", "Reshape", "Squeeze",
        "ExpandDims", "Identity", "Mul", "Add", "AddV2", "AddN", "Sub", "RealDiv", "Div", "DivNoNan", "L2Loss",
        "BiasAddV1", "Select", "SelectV2", "GreaterEqual", "Greater", "Less", "LessEqual", "StopGradient", "Slice",
        "SquaredDifference", "Xlogy", "Xlog1py", "StridedSlice", "Pack", "ConcatV2", "GatherNd", "Transpose", "Erf",
    }
)  # fmt: skip
"""Ops that losses are written with, between a network's end and the scalar."""

RUNNERS = 6
"""How many alternatives are worth telling."""

_NAMED = re.compile(r"(^|[/_])(output|predict|prob|softmax|sigmoid|logit|embedding|score)\w*$", re.IGNORECASE)
_AUXILIARY = re.compile(r"aux", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """A tensor chosen as input or output, and why."""

    tensor: str
    reason: str


@dataclass(frozen=True)
class Choices:
    """What was chosen, and what else could have been."""

    chosen: tuple[Choice, ...]
    alternatives: tuple[str, ...] = ()


def choose_outputs(parts: Anatomy, types: Mapping[str, TensorType]) -> Choices:
    """The outputs of the forward graph, best first.

    Parameters
    ----------
    parts : Anatomy
    types : mapping of str to TensorType
        Static types where they are known.
    """
    return _Search(parts, types).run()


class _Search:
    def __init__(self, parts: Anatomy, types: Mapping[str, TensorType]) -> None:
        self.parts = parts
        self.graph: Graph = parts.graph
        self.types = types
        self.deep = self.graph.ancestors(t for name in parts.layers for t in self.graph[name].inputs)
        self.loss = self._loss_nodes()
        self.forward = {
            node.name: node
            for node in parts.order
            if node.name in parts.weighted and node.name not in self.loss and not _anchors(node, self.graph)
        }

    def run(self) -> Choices:
        ends = {name: reason for name in self.forward if (reason := self._reason(name))}
        last = {name: reason for name, reason in ends.items() if not self._leads_to_another(name, ends)}
        if not last:
            return Choices((), ())
        last, runners = self._one_tower(self._without_copies(last))
        runners += [name for name in reversed(self.forward) if name in ends and name not in last]
        named = {name: "logits by name, before their activation" for name in ends if self._names_logits(name, last)}
        order = sorted(last, key=self._rank) + sorted(name for name in named if name not in last)
        chosen = tuple(Choice(f"{name}:0", {**named, **last}[name]) for name in order)
        return Choices(chosen, tuple(dict.fromkeys(f"{name}:0" for name in runners if name not in order))[:RUNNERS])

    # The loss: what depends on a label, what measures, and what ends in a scalar

    def _loss_nodes(self) -> set[str]:
        parts = self.parts
        loss = {name for name in parts.live if parts.depends_on_label(name)}
        for node in parts.order:
            if node.name not in self.deep and (node.op in METRIC or any(node_name(t) in loss for t in node.inputs)):
                loss.add(node.name)
        for node in reversed(parts.order):
            if self._flattens_for(loss, node):
                loss.add(node.name)
        for node in reversed(parts.order):
            if node.name in loss or node.name not in parts.weighted or node.name in self.deep:
                continue
            if self._ends_in_scalar(node, loss):
                loss.add(node.name)
        return loss

    def _flattens_for(self, loss: set[str], node: Node) -> bool:
        """Whether ``node`` is the Reshape to a shape computed on the spot that a cross entropy starts with."""
        if node.op != "Reshape" or node.name not in self.parts.weighted:
            return False
        shape = self.graph.find_producer(node.inputs[1])
        readers = [reader for reader in self.graph.consumers(node.name) if reader.name in self.parts.live]
        return shape is not None and shape.op != "Const" and bool(readers) and all(r.name in loss for r in readers)

    def _ends_in_scalar(self, node: Node, loss: set[str]) -> bool:
        readers = [reader for reader in self.graph.consumers(node.name) if reader.name in self.parts.live]
        if not readers:
            return self._rank_of(node.output) == 0
        if node.op not in _SOFTENED or not all(reader.name in loss for reader in readers):
            return False
        return not self._is_network(node, readers, loss)

    def _is_network(self, node: Node, readers: list[Node], loss: set[str]) -> bool:
        """Whether ``node`` still belongs to the network: it is what the loss compares, or a layer's bias or norm."""
        if any(self.parts.weights.get(node_name(t)) and not self.parts.data_of(t) for t in node.inputs):
            return True
        if any(self.parts.depends_on_label(reader.name) for reader in readers):
            return True
        return any(_compares(reader, self.parts) for reader in readers) or self._from_layer(node)

    def _from_layer(self, node: Node) -> bool:
        """Whether nothing but renaming and reshaping lies between ``node`` and a layer."""
        while node.op in RELABELLING:
            node = self.graph.producer_of(node.inputs[0])
        return node.op not in _SOFTENED or any(
            self.parts.weights.get(node_name(t)) and not self.parts.data_of(t) for t in node.inputs
        )

    # The ends of the forward graph

    def _reason(self, name: str) -> str:
        node = self.graph[name]
        if not self._may_be_output(node):
            return ""
        readers = self.graph.consumers(name)
        watching = [r for r in readers if SUMMARY.fullmatch(r.op) or SINK.fullmatch(r.op)]
        others = [r for r in readers if r not in watching]
        if not others and node.op == "Exit":
            return ""  # a loop gives back all that it carries, whether anyone wants it or not
        if not others:
            return "only a summary reads it" if watching else "nothing reads it"
        if any(reader.name in self.loss for reader in others):
            return "the loss reads it"
        if not any(r.name in self.forward for r in others) and all(r.name in self.parts.gradients for r in others):
            return "only the gradients read it" if node.op in HEADS else ""
        return ""

    def _may_be_output(self, node: Node) -> bool:
        if UPDATE.fullmatch(node.op) or node.name in self.parts.gradients:
            return False
        found = self.types.get(node.output)
        if found is None:
            return True
        return found.shape != () and (found.dtype.is_floating or not self.parts.trainable)

    def _leads_to_another(self, name: str, ends: Iterable[str]) -> bool:
        after = self.graph.descendants(self.graph.outputs_read(name))
        return any(other != name and other in after for other in ends)

    def _names_logits(self, name: str, last: Mapping[str, str]) -> bool:
        node = self.graph[name]
        if node.op != "Identity" or name in last:
            return False
        activated = [self.graph[other].inputs[0] for other in last if self.graph[other].op in HEADS]
        return self._meaning(node.output) in map(self._meaning, activated)

    # Copies, towers

    def _meaning(self, tensor: str) -> str:
        """``tensor`` traced back through renaming and reshaping."""
        node = self.graph.find_producer(tensor)
        while node is not None and node.op in RELABELLING:
            tensor = node.inputs[0]
            node = self.graph.find_producer(tensor)
        return tensor

    def _value(self, tensor: str, depth: int = 4) -> object:
        """A key that equal computations share."""
        tensor = self._meaning(tensor)
        node = self.graph.find_producer(tensor)
        if node is None or not node.inputs or depth == 0:
            return tensor
        if node.op == "Sigmoid" or node.op in HEADS:
            return ("head", self._value(node.inputs[0], depth - 1))
        return (node.op, *(self._value(t, depth - 1) for t in node.inputs))

    def _without_copies(self, ends: Mapping[str, str]) -> dict[str, str]:
        best: dict[object, str] = {}
        for name in ends:
            key = self._value(f"{name}:0")
            if key not in best or self._rank(name) < self._rank(best[key]):
                best[key] = name
        return {name: reason for name, reason in ends.items() if name in best.values()}

    def _one_tower(self, ends: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """Of towers that share their weights, the one that is not trained, else the first."""
        towers: dict[str, frozenset[str]] = {
            name: frozenset(self.graph.ancestors([f"{name}:0"]) & self.parts.layers) for name in ends
        }
        chosen: dict[str, str] = {}
        runners: list[str] = []
        for name in sorted(ends, key=lambda end: self._is_trained(towers[end])):
            twin = any(
                self.parts.weights.get(name) == self.parts.weights.get(other) and not towers[name] & towers[other]
                for other in chosen
            )
            if twin:
                runners.append(name)
            else:
                chosen[name] = ends[name]
        return {name: reason for name, reason in ends.items() if name in chosen}, runners

    def _is_trained(self, layers: Iterable[str]) -> bool:
        return any(
            reader.name in self.parts.gradients
            for name in layers
            for tensor in self.graph[name].inputs
            if self.parts.data_of(tensor)
            for reader in self.graph.readers(tensor)
        )

    def _rank(self, name: str) -> tuple[object, ...]:
        node = self.graph[name]
        watched = any(SUMMARY.fullmatch(r.op) for r in self.graph.consumers(name))
        return (
            _AUXILIARY.search(name) is not None,
            watched,
            node.op == "Sigmoid" and self._has_softmax_twin(node),
            not (node.op in HEADS or node.op == "Identity"),
            _NAMED.search(name) is None,
            name.count("/"),
            name,
        )

    def _has_softmax_twin(self, node: Node) -> bool:
        meaning = self._meaning(node.inputs[0])
        return any(
            other.op == "Softmax" and self._meaning(other.inputs[0]) == meaning for other in self.forward.values()
        )

    def _rank_of(self, tensor: str) -> int | None:
        found = self.types.get(tensor)
        return None if found is None or found.shape is None else len(found.shape)


def _anchors(node: Node, graph: Graph) -> bool:
    """Identities that exist so that control inputs can name one side of a Switch."""
    if node.op in ("Switch", "RefSwitch", "Enter", "Exit", "LoopCond", "NextIteration"):
        return node.op != "Exit"
    if node.op != "Identity" or graph.consumers(node.name):
        return False
    producer = graph.find_producer(node.inputs[0])
    return producer is not None and producer.op in ("Switch", "RefSwitch")


def _compares(reader: Node, parts: Anatomy) -> bool:
    """Whether ``reader`` sets what the network gave against data that never went through it."""
    if reader.op not in ("Sub", "SquaredDifference", "Mul", "RealDiv", "Div", "SigmoidCrossEntropyWithLogits"):
        return False
    return any(parts.data_of(t) and node_name(t) not in parts.weighted for t in reader.inputs)
