"""Batch norms of a training graph bound to the variables that hold their moving statistics.

What counts, in this order: the user's word; the op that updates a variable with the batch's statistic; variables
that are wired to the op already; another batch norm with the same gamma and beta; the variables beside gamma and
beta. The first two that apply must agree.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bnfold.errors import InferenceError
from bnfold.graph import Graph, Node, Shape, node_name
from bnfold.inference.moving_statistics import Update
from bnfold.inference.twins import Twins
from bnfold.inference.variables import static_size

BIND_HINT = "settle it by hand: --bind {layer}=MEAN,VARIANCE"


@dataclass(frozen=True)
class Bound:
    """A statistic of a layer and the variable that holds its moving average.

    Attributes
    ----------
    variable : str
    evidence : str
    """

    variable: str
    evidence: str


class Averages:
    """The moving averages of the tensors of a forward graph.

    Parameters
    ----------
    forward : Graph
        In training mode, pruned to the outputs.
    whole : Graph
        The training graph.
    updates : iterable of Update
        Of the whole training graph.
    """

    def __init__(self, forward: Graph, whole: Graph, updates: Iterable[Update]) -> None:
        self.forward = forward
        twins = Twins(whole, forward)
        self._by_tensor: dict[str, list[Update]] = {}
        for update in updates:
            tensor = next((t for t in update.statistics if self._is_statistic(t)), None)
            if tensor is None:
                tensor = twins.find(update.statistics)
            if tensor is not None:
                self._by_tensor.setdefault(tensor, []).append(update)

    def _is_statistic(self, tensor: str) -> bool:
        node = self.forward.find_producer(tensor)
        if node is None:
            return False
        if node.op.startswith("FusedBatchNorm"):
            return bool(node.attrs["is_training"])
        return bool(self.forward.readers(tensor))

    def tensors(self) -> list[str]:
        """The tensors of the forward graph that some variable averages."""
        return list(self._by_tensor)

    def is_averaged(self, tensor: str) -> bool:
        """Whether a variable is moved towards ``tensor``, not just set to it."""
        return any(update.is_average for update in self._by_tensor.get(tensor, ()))

    def keepers(self, tensor: str) -> set[str]:
        """The variables that average ``tensor``, or what passes through them."""
        return {update.variable for update in self._by_tensor.get(tensor, ())}

    def keeper(self, tensor: str, layer: str) -> Bound | None:
        """The variable that holds the moving average of ``tensor``, or None.

        Accumulators give way to the average made of them, and copies of the last batch's statistic to the average.
        Of several variables, those that the forward graph reads while it trains (batch renormalisation's own) are not
        the moving average kept for inference.

        Raises
        ------
        InferenceError
            When several variables remain.
        """
        updates = self._by_tensor.get(tensor, [])
        inner = {name for update in updates for name in update.accumulators}
        if self.is_averaged(tensor):
            updates = [update for update in updates if update.is_average]
        found = {update.variable: update.op for update in updates if update.variable not in inner}
        if len(found) > 1:
            found = {v: op for v, op in found.items() if v not in self.forward} or found
        if len(found) > 1:
            raise InferenceError(
                f"batch norm {layer}: several variables average {tensor}: {', '.join(found)}",
                hint=BIND_HINT.format(layer=layer),
                node=node_name(tensor),
            )
        return next((Bound(variable, f"update op {op}") for variable, op in found.items()), None)

    def read_in_training(self, bound: Container[str]) -> tuple[set[str], set[str]]:
        """Variables that average a statistic, are not ``bound``, and that the forward graph reads while it trains.

        Returns
        -------
        means, deviations : set of str
            Those that average what a bound variable averages too, and the others.
        """
        means: set[str] = set()
        others: set[str] = set()
        for updates in self._by_tensor.values():
            names = {update.variable for update in updates if update.is_average}
            read = {name for name in names if name in self.forward and name not in bound}
            (means if any(name in bound for name in names) else others).update(read)
        return means, others


def agree(layer: str, statistic: str, claims: Sequence[Bound | None]) -> Bound | None:
    """The variable that all ``claims`` name, with the evidence of each.

    Raises
    ------
    InferenceError
        When they name different variables.
    """
    found = [claim for claim in claims if claim is not None]
    if not found:
        return None
    if len({claim.variable for claim in found}) > 1:
        said = "; ".join(f"{claim.variable} ({claim.evidence})" for claim in found)
        raise InferenceError(
            f"batch norm {layer}: the evidence for its moving {statistic} conflicts: {said}",
            hint=BIND_HINT.format(layer=layer),
        )
    return Bound(found[0].variable, ", ".join(claim.evidence for claim in found))


def check_shape(layer: str, statistic: str, bound: Bound, shape: Shape | None, channels: int | None) -> None:
    """Refuse a variable whose size is not that of the layer.

    Raises
    ------
    InferenceError
    """
    size = static_size(shape)
    if size is None or shape is None or channels is None:
        return
    if size != channels:
        raise InferenceError(
            f"batch norm {layer} has {channels} channels, but its moving {statistic} {bound.variable}"
            f" ({bound.evidence}) has shape {list(shape)}",
            hint=BIND_HINT.format(layer=layer),
        )


def read_variable(graph: Graph, whole: Graph, variable: str) -> str:
    """A tensor of ``graph`` that reads ``variable``, which is brought in from the ``whole`` graph if need be."""
    node: Node = whole[variable]
    if variable not in graph:
        graph.add(node)
    if node.op != "VarHandleOp":
        return node.output
    for reader in graph.readers(node.output):
        if reader.op == "ReadVariableOp":
            return reader.output
    name = graph.fresh_name(f"{variable}/Read/ReadVariableOp")
    return graph.add(Node(name, "ReadVariableOp", (node.output,), {"dtype": node.attrs["dtype"]})).output


def siblings(variables: Iterable[str], known: Mapping[str, object]) -> list[tuple[str, str]]:
    """Pairs of moving mean and variance that lie beside ``variables`` in their scopes."""
    scopes = dict.fromkeys(name.rpartition("/")[0] for name in variables)
    return [
        (f"{scope}/{mean}", f"{scope}/{variance}")
        for scope in scopes
        for mean, variance in (("moving_mean", "moving_variance"), ("moving_mean", "moving_var"))
        if f"{scope}/{mean}" in known and f"{scope}/{variance}" in known
    ]
