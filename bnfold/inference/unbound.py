"""Batch norms that still normalise by the batch once the updates have been followed: bound otherwise, or refused."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.errors import InferenceError, UnboundError
from bnfold.graph import Graph, Node, Shape
from bnfold.graph.stages import Unbound
from bnfold.inference.binding import Bound, siblings
from bnfold.inference.bodies import called_functions
from bnfold.inference.fused import BATCH_MEAN, BATCH_VARIANCE, BETA, FUSED, GAMMA, X, channel_axis, is_training
from bnfold.inference.layer_names import LayerNames
from bnfold.inference.moments import MomentBinder
from bnfold.inference.naming import layer_name
from bnfold.inference.normalisation import Normalisation, batch_deviations, find_normalisations
from bnfold.inference.variables import TRANSPARENT, VARIABLE_OPS, variables_behind

RESHAPES = TRANSPARENT | {"Transpose", "Pad"}


def bind_by_hand(binder: MomentBinder, by_hand: Mapping[str, tuple[str, str]], names: LayerNames) -> None:
    """Bind the batch norms in primitives that the user has named, in place."""
    for norm in unbound_normalisations(binder.forward) if by_hand else ():
        if (layer := names[norm.root]) in by_hand:
            mean, variance = by_hand[layer]
            _put(binder, norm, layer, Bound(mean, "bound by hand"), Bound(variance, "bound by hand"))


def bind_the_rest(binder: MomentBinder, names: LayerNames) -> None:
    """Bind, in place, batch norms in primitives by a twin with the same gamma and beta, or by their scope."""
    forward = binder.forward
    twins = {
        _parameters(forward, norm): (norm.mean, norm.variance) for norm in find_normalisations(forward) if norm.is_bound
    }
    known = {node.name: node for node in binder.whole if node.op in VARIABLE_OPS}
    for norm in unbound_normalisations(forward):
        own = _parameters(forward, norm)
        pairs = siblings(own, known)
        if own and own in twins:
            mean, variance = (variables_behind(forward, tensor) for tensor in twins[own])
            if len(mean) == len(variance) == 1:
                pair = [Bound(found[0], "same gamma and beta as its twin") for found in (mean, variance)]
                _put(binder, norm, names[norm.root], *pair)
        elif len(pairs) == 1:
            _put(binder, norm, names[norm.root], *(Bound(v, "beside gamma and beta") for v in pairs[0]))


def _put(binder: MomentBinder, norm: Normalisation, layer: str, mean: Bound, variance: Bound) -> None:
    binder.put(norm.mean, mean, layer)
    binder.put(norm.variance, variance, layer)


def unbound_normalisations(forward: Graph) -> list[Normalisation]:
    """Batch norms in primitives that normalise by the moments of the batch."""
    return [norm for norm in find_normalisations(forward) if not norm.is_bound]


def _parameters(forward: Graph, norm: Normalisation) -> tuple[str, ...]:
    tensors = [tensor for tensor in (norm.gamma, norm.beta) if tensor is not None]
    return tuple(name for tensor in tensors for name in variables_behind(forward, tensor))


def refuse_unbound(forward: Graph, names: LayerNames) -> None:
    """Refuse a forward graph in which batch norms still normalise by the batch.

    Raises
    ------
    UnboundError
        Has them all.
    InferenceError
        When some do so in a way that is not understood.
    """
    fused = [node for node in forward if node.op in FUSED and is_training(node) and not is_layer_norm(forward, node)]
    layers = [
        _unbound_layer(forward, names[node.name], node.tensor(BATCH_MEAN), node.tensor(BATCH_VARIANCE))
        for node in fused
    ]
    layers += [_unbound_layer(forward, names[n.root], n.mean, n.variance) for n in unbound_normalisations(forward)]
    if layers:
        listed = [layer.name for layer in layers]
        raise UnboundError(
            f"{_count(listed)} by the moments of the batch, and no variable holds their moving averages:"
            f" {_listed(listed)}",
            layers=tuple(layers),
            hint="statistics must be computed from data: bnfold calibrate SOURCE TARGET --data …, or name the"
            " variables that hold them: --bind LAYER=MEAN,VARIANCE",
            node=listed[0],
        )
    _refuse_unread(forward)


def _unbound_layer(forward: Graph, name: str, mean: str, variance: str) -> Unbound:
    found = forward.types[mean]
    return Unbound(name, mean, variance, found.dtype, found.shape)


def _count(names: list[str]) -> str:
    return "1 batch norm normalises" if len(names) == 1 else f"{len(names)} batch norms normalise"


def _listed(names: list[str], most: int = 5) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def is_layer_norm(graph: Graph, node: Node) -> bool:
    """Whether a training-mode fused op normalises samples, not channels: a layer, group or instance norm.

    Keras writes layer normalisation so: the samples are folded into the channel axis by a Reshape, and scale and
    offset are ones and zeros made on the spot, with gamma and beta applied afterwards.
    """
    if variables_behind(graph, node.inputs[GAMMA]) or variables_behind(graph, node.inputs[BETA]):
        return False
    shape = graph.shape_of(node.inputs[X])
    if shape is None or shape[channel_axis(node)] is None:
        return not _is_known(graph.shape_of(node.inputs[GAMMA]))  # a gamma of a batch norm has its channels
    return shape[0] == 1 and _is_reshaped(graph, node.inputs[X])


def _is_known(shape: Shape | None) -> bool:
    return shape is not None and None not in shape


def _is_reshaped(graph: Graph, tensor: str) -> bool:
    node = graph.find_producer(tensor)
    while node is not None and node.op in RESHAPES:
        if node.op == "Reshape":
            return True
        node = graph.find_producer(node.inputs[0])
    return False


def _refuse_unread(forward: Graph) -> None:
    """Refuse data scaled by the deviation of a batch in a formula that is not understood.

    Raises
    ------
    InferenceError
    """
    known = {norm.root for norm in find_normalisations(forward)}
    names = [layer_name(root) for root in batch_deviations(forward) if root not in known]
    names += [f"{function} ({layer_name(node)})" for function, node in _in_bodies(forward)]
    if names:
        raise InferenceError(
            f"{_count(names)} by the moments of the batch, in a way that cannot be bound: {_listed(names)}",
            hint="name an output before it with --output, or save the graph in inference mode",
            node=names[0],
        )


def _in_bodies(forward: Graph) -> list[tuple[str, str]]:
    """Training-mode fused ops in the branches and loops that stay, with their function."""
    return [
        (function.name, node.name)
        for function in called_functions(forward).values()
        for node in function.graph
        if node.op in FUSED and is_training(node)
    ]
