"""Which tensors a person would call the outputs of a saved graph.

The forward graph is what went through weights and depends on no label. Its outputs are its last tensors: those that
nothing reads, and those that the losses and metrics read, unless another output is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bnfold.graph import Graph, Node, TensorType, output_index
from bnfold.inference.anatomy import Anatomy
from bnfold.inference.choices import RUNNERS, Choice, Choices
from bnfold.inference.leftovers import find_leftovers, in_branches
from bnfold.inference.losses import find_losses
from bnfold.inference.op_kinds import LINEAR, SHAPE_ONLY, SINK, SUMMARY, UPDATE
from bnfold.inference.replaced import is_statistic, without_replaced
from bnfold.inference.towers import generators, one_tower, uncomposed

HEADS = frozenset({"Softmax", "Sigmoid", "Tanh", "LogSoftmax"})
"""Activations that end a network."""

RELABELLING = frozenset(
    {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "PreventGradient", "CheckNumerics"}
)
"""Ops whose output is their first input under another name or shape."""

FRAMES = frozenset({"Switch", "RefSwitch", "Enter", "LoopCond", "NextIteration"})
"""Ops that are control flow alone."""

SHOWN = "only a summary reads it"

_NAMED = re.compile(r"(^|[/_])(output|predict|prob|softmax|sigmoid|logit|embedding|score)\w*$", re.IGNORECASE)
_EMBEDDING = re.compile(r"(^|[/_])embeddings?(_\d+)?$", re.IGNORECASE)
_AUXILIARY = re.compile(r"aux", re.IGNORECASE)


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
        self.position = {node.name: index for index, node in enumerate(self.graph)}
        self.loss = find_losses(parts, types)
        forward = parts.weighted - self.loss - find_leftovers(self.graph)
        self.forward = {node.name: node for node in parts.order if node.name in forward and node.op not in FRAMES}

    def run(self) -> Choices:
        ends = {name: reason for name in self.forward if (reason := self._reason(name))}
        held = in_branches(self.graph)
        ends = {name: reason for name, reason in ends.items() if name not in held} or ends
        shown = [name for name, reason in ends.items() if reason == SHOWN and self.graph[name].op not in HEADS]
        if len(shown) < len(ends):
            ends = {name: reason for name, reason in ends.items() if name not in shown}
        before = self.graph.ancestors(tensor for name in ends for tensor in self.graph[name].inputs)
        last = {name: reason for name, reason in ends.items() if name not in before}
        last = {name: reason for name, reason in last.items() if not is_statistic(name, self.parts)}
        if not last:
            return Choices((), ())
        last, composed = uncomposed(generators(self._without_copies(last), self.parts), self.parts)
        last, runners = one_tower(last, self.parts)
        last, replaced = without_replaced(last, self.parts)
        runners += composed + replaced
        runners += [name for name in last if self._is_auxiliary(name, last)]
        last = {name: reason for name, reason in last.items() if name not in runners}
        runners += [name for name in reversed(self.forward) if name in (*ends, *shown) and name not in last]
        named = {name: "logits by name, before their activation" for name in ends if self._names_logits(name, last)}
        embeddings = self._embeddings(last)
        named |= dict.fromkeys(embeddings[:1], "an embedding by name, before the layer that classifies it")
        runners += embeddings[1:]
        order = sorted(last, key=self._rank) + sorted(name for name in named if name not in last)
        reasons = {**named, **last}
        chosen = tuple(Choice(tensor, reasons[name]) for name in order for tensor in self._tensors(name))
        return Choices(chosen, tuple(dict.fromkeys(f"{name}:0" for name in runners if name not in order))[:RUNNERS])

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
            return SHOWN if watching else "nothing reads it"
        if any(reader.name in self.loss for reader in others):
            return "the loss reads it"
        if not any(r.name in self.forward for r in others) and all(r.name in self.parts.gradients for r in others):
            return "only the gradients read it" if node.op in HEADS else ""
        return ""

    def _tensors(self, name: str) -> list[str]:
        """The outputs of node ``name`` that the loss reads, if it is split there; the first one otherwise."""
        read = [t for t in self.graph.outputs_read(name) if any(r.name in self.loss for r in self.graph.readers(t))]
        return sorted(read, key=output_index) or [f"{name}:0"]

    def _may_be_output(self, node: Node) -> bool:
        if UPDATE.fullmatch(node.op) or node.name in self.parts.gradients:
            return False
        found = self.types.get(node.output)
        if found is None:
            return True
        return found.shape != () and (found.dtype.is_floating or not self.parts.trainable)

    def _names_logits(self, name: str, last: Mapping[str, str]) -> bool:
        node = self.graph[name]
        if node.op != "Identity" or name in last:
            return False
        activated = [self.graph[other].inputs[0] for other in last if self.graph[other].op in HEADS]
        return self._meaning(node.output) in map(self._meaning, activated)

    def _embeddings(self, last: Iterable[str]) -> list[str]:
        """Tensors called embeddings from which one more layer at most computes an end, the one to take first.

        Losses with a margin (ArcFace, CosFace) need a classifier that nobody keeps.
        """
        layers = {name: self._layers_behind(name) for name in last}
        found = []
        for name in self.forward:
            if name in last or not _EMBEDDING.search(name) or self._rank_of(name) != 2:
                continue
            behind = self._layers_behind(name)
            linear = any(self.graph[layer].op in LINEAR for layer in behind)
            if linear and any(behind <= more and len(more - behind) <= 1 for more in layers.values()):
                found.append(name)
        return sorted(found, key=lambda name: (self.graph[name].op != "Identity", -self.position[name]))

    def _layers_behind(self, name: str) -> set[str]:
        return self.graph.ancestors([f"{name}:0"]) & self.parts.layers

    def _rank_of(self, name: str) -> int | None:
        found = self.types.get(f"{name}:0")
        return None if found is None or found.shape is None else len(found.shape)

    # Copies

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
        if node.op == "Sub" and (rest := self._complemented(node)) is not None:
            return self._value(rest, depth)
        return (node.op, *(self._value(t, depth - 1) for t in node.inputs))

    def _complemented(self, node: Node) -> str | None:
        """What ``1 - p`` is the rest of: the probability that a loss takes where the label says no."""
        whole, part = (self.graph.find_producer(tensor) for tensor in node.inputs)
        if whole is None or whole.op != "Const" or part is None or part.op not in HEADS:
            return None
        return node.inputs[1]

    def _without_copies(self, ends: Mapping[str, str]) -> dict[str, str]:
        best: dict[object, str] = {}
        for name in ends:
            key = self._value(f"{name}:0")
            if key not in best or self._rank(name) < self._rank(best[key]):
                best[key] = name
        return {name: reason for name, reason in ends.items() if name in best.values()}

    def _is_auxiliary(self, name: str, ends: Iterable[str]) -> bool:
        return bool(_AUXILIARY.search(name)) and not all(_AUXILIARY.search(other) for other in ends)

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
            self.position[name],
        )

    def _has_softmax_twin(self, node: Node) -> bool:
        meaning = self._meaning(node.inputs[0])
        return any(
            other.op == "Softmax" and self._meaning(other.inputs[0]) == meaning for other in self.forward.values()
        )
