"""Batch norms that are one op: FusedBatchNorm and its versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from bnfold.graph import Graph, Node
from bnfold.inference.binding import Averages, Bound, agree, check_shape, read_variable, siblings
from bnfold.inference.counts import bessel_corrected
from bnfold.inference.variables import source_of, variables_behind

FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})

X, GAMMA, BETA, MEAN, VARIANCE = range(5)
"""Inputs."""

BATCH_MEAN, BATCH_VARIANCE = 1, 2
"""Outputs with the moments of the batch."""


def channel_axis(node: Node) -> int:
    """Axis of the channels in ``x``, counted from 0."""
    return int(node.attrs["data_format"].index("C"))


class FusedBinder:
    """Binds the training-mode fused batch norms of a forward graph, in place.

    Parameters
    ----------
    forward : Graph
        Pruned to the outputs; edited.
    whole : Graph
        The training graph, where the variables and their updates are.
    averages : Averages
    by_hand : mapping of str to (str, str)
        Layer → the variables of its moving mean and variance.
    name_of : callable
        The layer's name, by the name of its node.
    """

    def __init__(
        self,
        forward: Graph,
        whole: Graph,
        averages: Averages,
        by_hand: Mapping[str, tuple[str, str]],
        name_of: Callable[[str], str],
    ) -> None:
        self.name_of = name_of
        self.forward = forward
        self.whole = whole
        self.averages = averages
        self.by_hand = by_hand
        self.bound: dict[str, tuple[Bound, Bound]] = {}

    def bind(self) -> dict[str, tuple[Bound, Bound]]:
        """Bind what can be bound.

        Returns
        -------
        dict of str to (Bound, Bound)
            Node → its moving mean and variance. A node that is left in training mode is not in it.

        Raises
        ------
        InferenceError
            When evidence conflicts or shapes disagree.
        """
        training = [node for node in self.forward if node.op in FUSED and is_training(node)]
        for find in (self.claimed, self.shared, self.beside):
            for node in training:
                if node.name not in self.bound and (pair := find(node)) is not None:
                    self.check(node, pair)
                    self.bound[node.name] = pair
        for name, (mean, variance) in self.bound.items():
            self.rewrite(self.forward[name], mean, variance)
        return self.bound

    def claimed(self, node: Node) -> tuple[Bound, Bound] | None:
        """By the user's word, or the update ops and the op's own inputs."""
        layer = self.name_of(node.name)
        if layer in self.by_hand:
            mean, variance = self.by_hand[layer]
            return Bound(mean, "bound by hand"), Bound(variance, "bound by hand")
        pairs = ((BATCH_MEAN, MEAN, "mean"), (BATCH_VARIANCE, VARIANCE, "variance"))
        found = [
            agree(layer, word, [self.averages.keeper(node.tensor(output), layer), self.wired(node, index)])
            for output, index, word in pairs
        ]
        mean_bound, variance_bound = found
        return None if mean_bound is None or variance_bound is None else (mean_bound, variance_bound)

    def wired(self, node: Node, index: int) -> Bound | None:
        """TensorFlow 2.4 wires the moving statistics to training-mode ops too; before that the inputs are empty."""
        names = variables_behind(self.forward, node.inputs[index]) if len(node.inputs) > index else ()
        return Bound(names[0], "already wired") if len(names) == 1 else None

    def shared(self, node: Node) -> tuple[Bound, Bound] | None:
        """By a bound batch norm that has the same gamma and beta: another tower, or another call of the layer.

        Raises
        ------
        InferenceError
            When other statistics lie beside gamma and beta: one norm for each domain, perhaps.
        """
        own = self.parameters(node)
        twin = next((name for name in self.bound if own and self.parameters(self.forward[name]) == own), None)
        if twin is None:
            return None
        evidence = f"same gamma and beta as {self.name_of(twin)}"
        mean, variance = (Bound(bound.variable, evidence) for bound in self.bound[twin])
        if (pair := self.beside(node)) is not None:
            for word, bound, other in zip(("mean", "variance"), (mean, variance), pair, strict=True):
                agree(self.name_of(node.name), word, [bound, other])
        return mean, variance

    def parameters(self, node: Node) -> tuple[str, ...]:
        return variables_behind(self.forward, node.inputs[GAMMA]) + variables_behind(self.forward, node.inputs[BETA])

    def beside(self, node: Node) -> tuple[Bound, Bound] | None:
        """By the scope of gamma and beta."""
        pairs = siblings(self.parameters(node), self.variables())
        if len(pairs) != 1:
            return None
        mean, variance = pairs[0]
        return Bound(mean, "beside gamma and beta"), Bound(variance, "beside gamma and beta")

    def variables(self) -> dict[str, Node]:
        return {node.name: node for node in self.whole if node.op in ("Variable", "VariableV2", "VarHandleOp")}

    def check(self, node: Node, pair: tuple[Bound, Bound]) -> None:
        channels = self.channels(node)
        for word, bound in zip(("mean", "variance"), pair, strict=True):
            check_shape(self.name_of(node.name), word, bound, self.whole[bound.variable].attrs.get("shape"), channels)

    def channels(self, node: Node) -> int | None:
        """From the shapes of gamma and beta, which the op itself demands to be the same."""
        for index in (GAMMA, BETA):
            source = self.forward.find_producer(source_of(self.forward, node.inputs[index]))
            if source is None:
                continue
            shape = source.attrs["value"].shape if source.op == "Const" else source.attrs.get("shape")
            if shape is not None and len(shape) == 1 and shape[0] is not None:
                return int(shape[0])
        return None

    def rewrite(self, node: Node, mean: Bound, variance: Bound) -> None:
        x, gamma, beta = node.inputs[:MEAN]
        tensors = [read_variable(self.forward, self.whole, bound.variable) for bound in (mean, variance)]
        attrs = {**node.attrs, "is_training": False}
        self.forward.replace(replace(node, inputs=(x, gamma, beta, *tensors), attrs=attrs))
        for output, tensor in zip((BATCH_MEAN, BATCH_VARIANCE), tensors, strict=True):
            for statistic in (node.tensor(output), *bessel_corrected(self.forward, node.tensor(output))):
                self.forward.redirect(statistic, tensor)


def is_training(node: Node) -> bool:
    return bool(node.attrs["is_training"])
