"""Which tensors a person would call the outputs of a saved graph.

The forward graph is what went through weights and depends on no label. Its outputs are its last tensors: those that
nothing reads, and those that the losses and metrics read, unless another output is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.graph import Graph, Node, TensorType, node_name
from bnfold.inference.anatomy import METRIC, SHAPE_ONLY, SINK, SUMMARY, UPDATE, Anatomy

HEADS = frozenset({"Softmax", "Sigmoid", "Tanh", "LogSoftmax"})
"""Activations that end a network."""

RELABELLING = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "CheckNumerics"}
)
"""Ops whose output is their first input under another name or shape."""

STRICT = frozenset(
    {
        "Log", "Log1p", "Neg", "Square", "Abs", "Pow", "Sqrt", "Softplus", "L2Loss", "Xlogy", "Xlog1py", "Erf",
        "SquaredDifference", "Reciprocal", "Inv",
    }
)  # fmt: skip
"""Ops that losses are written with and networks do not end in."""

SOFT = frozenset(
    {
        "Add", "AddN", "AddV2", "Cast", "ClipByValue", "ConcatV2", "Div", "DivNoNan", "Exp", "ExpandDims", "GatherNd",
        "Greater", "GreaterEqual", "Identity", "Less", "LessEqual", "Max", "Maximum", "Mean", "Min", "Minimum", "Mul",
        "Pack", "Prod", "RealDiv", "Relu", "Reshape", "Select", "SelectV2", "Slice", "Squeeze", "StopGradient",
        "StridedSlice", "Sub", "Sum", "Tile", "Transpose",
    }
)  # fmt: skip
"""Ops that end a network or begin a loss: their readers tell."""

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
        self.labelled: set[str] = set()
        self.stopped: set[str] = set()
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
        last, runners = self._one_tower(self._generators(self._without_copies(last)))
        runners += [name for name in last if self._is_auxiliary(name, last)]
        last = {name: reason for name, reason in last.items() if name not in runners}
        runners += [name for name in reversed(self.forward) if name in ends and name not in last]
        named = {name: "logits by name, before their activation" for name in ends if self._names_logits(name, last)}
        order = sorted(last, key=self._rank) + sorted(name for name in named if name not in last)
        chosen = tuple(Choice(f"{name}:0", {**named, **last}[name]) for name in order)
        return Choices(chosen, tuple(dict.fromkeys(f"{name}:0" for name in runners if name not in order))[:RUNNERS])

    # The loss: what depends on a label, what measures, and what ends in a scalar

    def _loss_nodes(self) -> set[str]:
        parts = self.parts
        self.labelled = {name for name in parts.live if parts.depends_on_label(name)}
        measured: frozenset[str] = METRIC if parts.gradients or parts.labels else frozenset()
        for node in parts.order:
            if node.name not in self.deep and (node.op in measured or self._reads_any(node, self.labelled)):
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
            readers = self._live_readers(node)
            ends = node.op == "StopGradient" and node.name not in self.deep
            if ends or (readers and all(reader.name in self.stopped for reader in readers)):
                self.stopped.add(node.name)

    def _reads_any(self, node: Node, names: set[str]) -> bool:
        return any(node_name(tensor) in names for tensor in node.inputs)

    def _belongs_to(self, loss: set[str], node: Node) -> bool:
        """Whether ``node``, all of whose readers are in ``loss`` or at the end of it, is written for the loss alone."""
        readers = self._live_readers(node)
        if not readers:
            return self._rank_of(node.output) == 0 and node.name not in self.deep
        if not all(reader.name in loss for reader in readers):
            return False
        if node.name in self.deep or self._mixes_in_weights(node) or _normalises(node, self.graph):
            return False
        if node.op in STRICT:
            return True
        if node.op not in SOFT:
            return False
        direct = any(reader.name in self.labelled for reader in readers)
        return not direct or self._flattens(node) or self._meets_label_before(node)

    def _live_readers(self, node: Node) -> list[Node]:
        """Nodes of the model, its losses and its metrics that read the values of ``node``, not its shape alone."""
        readers = self.graph.consumers(node.name)
        return [reader for reader in readers if reader.name in self.parts.live and reader.op not in SHAPE_ONLY]

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
            if any(reader.name in self.labelled for reader in self._live_readers(node)):
                return node.op not in SOFT or node.op == "Identity"
        return False

    # The ends of the forward graph

    def _reason(self, name: str) -> str:
        node = self.graph[name]
        if not self._may_be_output(node):
            return ""
        readers = self.graph.consumers(name)
        watching = [r for r in readers if SUMMARY.fullmatch(r.op) or SINK.fullmatch(r.op)]
        others = [r for r in readers if r not in watching and r.op not in SHAPE_ONLY]
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

    def _generators(self, ends: Mapping[str, str]) -> dict[str, str]:
        """Adversarial nets: of discriminator(x) and discriminator(generator(z)), the generator's end.

        One end is the composition of two nets if it runs all the weights of another end, and more, on other data.
        """
        found: dict[str, str] = {}
        judges: set[str] = set()
        for name in ends:
            for judge in ends:
                if self._runs(judge, name):
                    judges |= {judge, name}
                    found.update(dict.fromkeys(self._before(judge, name), "the end of a generator"))
        return {**{name: reason for name, reason in ends.items() if name not in judges}, **found}

    def _runs(self, judge: str, name: str) -> bool:
        weights, more = self.parts.weights[judge], self.parts.weights[name]
        if not weights or weights == more or weights & ~more:
            return False
        layers = self.graph.ancestors([f"{judge}:0"]) & self.parts.layers
        again = (self.graph.ancestors([f"{name}:0"]) & self.parts.layers) - layers
        covered = 0
        for layer in again:
            for tensor in self.graph[layer].inputs:
                if not self.parts.data_of(tensor):
                    covered |= self.parts.weights.get(node_name(tensor), 0)
        return bool(covered & weights)

    def _before(self, judge: str, name: str) -> list[str]:
        """The last nodes on the way to ``name`` that have none of ``judge``'s weights."""
        weights = self.parts.weights[judge]
        before = [
            node.name
            for node in self.graph.topological([f"{name}:0"])
            if node.name in self.parts.weighted and not self.parts.weights[node.name] & weights
        ]
        inside = set(before)
        ends = [end for end in before if not any(r.name in inside for r in self._live_readers(self.graph[end]))]
        return [part for end in ends for part in self._parts_of(end)]

    def _parts_of(self, name: str) -> list[str]:
        """What a concatenation puts together, as far as it comes from a net: the rest is its condition."""
        node = self.graph[name]
        if node.op not in ("Concat", "ConcatV2", "Pack"):
            return [name]
        inputs = [node_name(tensor) for tensor in node.inputs]
        return [part for each in inputs if each in self.parts.weighted for part in self._parts_of(each)]

    def _is_auxiliary(self, name: str, ends: Iterable[str]) -> bool:
        return bool(_AUXILIARY.search(name)) and not all(_AUXILIARY.search(other) for other in ends)

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


def _normalises(node: Node, graph: Graph) -> bool:
    """``x · rsqrt(…)``: an embedding brought to length one is an end of a network."""
    producers = [graph.find_producer(tensor) for tensor in node.inputs]
    return node.op == "Mul" and any(producer is not None and producer.op == "Rsqrt" for producer in producers)
