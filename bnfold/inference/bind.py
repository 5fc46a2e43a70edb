"""Every batch norm of a forward graph bound to its moving statistics, or the graph refused."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from bnfold.errors import InferenceError
from bnfold.graph import Graph, Node
from bnfold.graph.evaluate import with_types
from bnfold.graph.graph_def import op_definition
from bnfold.inference.binding import Averages, Bound
from bnfold.inference.fused import FUSED, FusedBinder, is_training
from bnfold.inference.layer_names import LayerNames
from bnfold.inference.moments import MomentBinder, drop_renormalisation
from bnfold.inference.moving_statistics import Update
from bnfold.inference.unbound import bind_by_hand, bind_the_rest, refuse_unbound, unbound_normalisations
from bnfold.inference.variables import VARIABLE_OPS, without_writes

ByHand = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class BoundGraph:
    """A forward graph in which nothing normalises by the batch.

    Attributes
    ----------
    forward : Graph
        Pruned, with ``types``.
    fused : mapping of str to (Bound, Bound)
        Fused ops that were in training mode → their moving mean and variance.
    moments : mapping of str to str
        Variables put in the place of batch moments → the evidence.
    names : LayerNames
    """

    forward: Graph
    fused: Mapping[str, tuple[Bound, Bound]]
    moments: Mapping[str, str]
    names: LayerNames


def bind_statistics(
    graph: Graph, whole: Graph, updates: tuple[Update, ...], outputs: list[str], by_hand: ByHand
) -> BoundGraph:
    """Put moving statistics in the place of batch moments in the part of ``graph`` that ``outputs`` need.

    Parameters
    ----------
    graph : Graph
        With the training flags off.
    whole : Graph
        The training graph, where the variables and their updates are.
    updates : tuple of Update
    outputs : list of str
    by_hand : mapping of str to (str, str)
        Layer → the variables of its moving mean and variance.

    Raises
    ------
    InferenceError
        When evidence conflicts or does not suffice, or TensorFlow cannot run what is left.
    """
    written = _typed(without_writes(graph.pruned(outputs)).pruned(outputs))
    forward = written.copy()
    names = LayerNames(forward)
    _refuse_impossible(forward, whole, by_hand, names)
    averages = Averages(forward.copy(), whole, updates)
    fused = FusedBinder(forward, whole, averages, by_hand, names.__getitem__).bind()
    binder = MomentBinder(forward, whole, averages)
    bind_by_hand(binder, by_hand, names)
    binder.bind()
    drop_renormalisation(forward, averages, binder.evidence)
    bind_the_rest(binder, names)
    forward = forward.pruned(outputs)
    _refuse_unknown_ops(forward)
    forward = _typed(forward, like=written)
    refuse_unbound(forward, names)
    return BoundGraph(forward, fused, binder.evidence, names)


def _typed(graph: Graph, *, like: Graph | None = None) -> Graph:
    """``graph`` with ``types``; those of ``like`` if it is the same.

    An op that TensorFlow does not know, such as the sum over the workers of a distributed batch norm, may still go
    with the batch's moments: until then it is taken to give a tensor of its type and of no known shape.
    """
    unknown = [node for node in graph if op_definition(node.op) is None and "T" in node.attrs]
    stand_ins = graph.copy()
    for node in unknown:
        stand_ins.replace(Node(node.name, "Placeholder", attrs={"dtype": node.attrs["T"], "shape": None}))
    try:
        types = with_types(stand_ins, like=like).types
    except ValueError as error:
        _refuse_unknown_ops(graph)
        raise InferenceError(
            f"TensorFlow refuses the graph: {error}",
            hint="check the shapes given with --input; without any, the graph itself is damaged",
        ) from error
    typed = graph.copy()
    typed.types = types
    return typed


def _refuse_unknown_ops(forward: Graph) -> None:
    """TensorFlow must run the inference graph: it is what the result is compared with."""
    unknown = {node.op: node.name for node in forward if op_definition(node.op) is None}
    if unknown:
        listed = ", ".join(f"{op} ({name})" for op, name in unknown.items())
        raise InferenceError(
            f"the outputs need ops that this TensorFlow does not know: {listed}",
            hint="name outputs or inputs that leave them out: --output, --input",
            node=next(iter(unknown.values())),
        )


def _refuse_impossible(forward: Graph, whole: Graph, by_hand: ByHand, names: LayerNames) -> None:
    """Refuse to bind layers or variables that there are not."""
    if not by_hand:
        return
    layers = [names[node.name] for node in forward if node.op in FUSED and is_training(node)]
    layers += [names[norm.root] for norm in unbound_normalisations(forward)]
    for layer, variables in by_hand.items():
        if layer not in layers:
            close = ", ".join(difflib.get_close_matches(layer, layers, 5) or layers[:5])
            raise InferenceError(
                f"cannot bind {layer}: no batch norm {layer} normalises by the batch",
                hint=f"those that do: {close}" if close else "all have their statistics: leave --bind out",
            )
        for name in variables:
            if name not in whole or whole[name].op not in VARIABLE_OPS:
                raise InferenceError(
                    f"cannot bind {layer}: the graph has no variable {name}",
                    hint="name variables of the graph: bnfold inspect lists the batch norms and theirs",
                )
