"""The second stage: a training graph → the inference graph that computes the same with moving statistics."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bnfold.errors import InferenceError
from bnfold.graph import Array, Graph, Node, Shape, TensorType, node_name, tensor_name
from bnfold.graph.evaluate import with_types
from bnfold.graph.stages import Endpoint, InferenceGraph, Note, SourceModel
from bnfold.inference.bind import bind_statistics
from bnfold.inference.control_flow import Resolved, resolve
from bnfold.inference.cut import Interface, cut
from bnfold.inference.dropout import remove_dropout
from bnfold.inference.freeze import fold_constants, freeze
from bnfold.inference.given import current_value, default_switches, fix, given_values
from bnfold.inference.health import examine, refuse_poisoned
from bnfold.inference.interface import find_interface
from bnfold.inference.layers import Layer, Provenance, find_layers, parameters, record
from bnfold.inference.legacy import modernise
from bnfold.inference.loops import enter_constants
from bnfold.inference.moving_statistics import Update, find_updates
from bnfold.inference.pivots import tie_branches
from bnfold.inference.stored_values import StoredValues
from bnfold.inference.thaw import thaw
from bnfold.inference.training_flag import Flag, find_flags, leaves_of
from bnfold.inference.variables import VARIABLE_OPS, source_of
from bnfold.inference.weights import choose_weights


def infer(
    source: SourceModel,
    *,
    inputs: Mapping[str, Shape | None] | None = None,
    outputs: Sequence[str] | None = None,
    set_values: Mapping[str, Any] | None = None,
    bind: Mapping[str, tuple[str, str]] | None = None,
    missing_statistics: Literal["refuse", "initial"] = "refuse",
    weights: Literal["auto", "trained", "ema"] = "auto",
) -> InferenceGraph:
    """Turn a training graph into the graph that infers, its weights in it as constants.

    Parameters
    ----------
    source : SourceModel
    inputs : mapping of str to Shape or None, optional
        Input tensors, each with the shape to give it (None: the graph's own). Found when absent.
    outputs : sequence of str, optional
        Output tensors. Found when absent.
    set_values : mapping of str to scalar, optional
        Scalar inputs to fix: ``{"keep_prob": 1.0, "is_train": False}``.
    bind : mapping of str to (str, str), optional
        Batch norm → the variables of its moving mean and variance, where the graph does not say.
    missing_statistics : {"refuse", "initial"}
        Moving statistics that the checkpoint lacks are refused, or taken from their initialisers.
    weights : {"auto", "trained", "ema"}
        ``ema``: the shadow variables of an exponential moving average over the weights.

    Returns
    -------
    InferenceGraph

    Raises
    ------
    InferenceError
        When the graph cannot be turned without guessing; the hint says what settles it.
    LoadError
        When a variable cannot be read.
    """
    given = given_values(source.graph, set_values or {})
    source = thaw(source)
    interface = find_interface(source, inputs=inputs, outputs=outputs, given=given)
    interface = _without_scalar_defaults(interface, source.graph, inputs or {})
    results = [endpoint.tensor for endpoint in interface.outputs]
    whole = cut(modernise(source.graph), interface)
    updates = find_updates(whole)
    asked = {tensor_name(name) for name in inputs or {}}
    switched = _switch_off_training(whole, results, updates, given, source, asked)
    interface = _still_there(_renamed(interface, switched.resolved.renamed), switched.resolved.graph, outputs or ())
    results = [endpoint.tensor for endpoint in interface.outputs]
    bound = bind_statistics(switched.resolved.graph, whole, updates, results, bind or {})
    forward, dropped = remove_dropout(bound.forward)
    forward = with_types(forward.pruned(results), like=bound.forward)
    layers = find_layers(forward, Provenance(bound.fused, bound.moments, _flag_finder(switched, whole), bound.names))
    instead, about_weights = choose_weights(source, forward, weights)
    stored = StoredValues(
        source,
        statistics=_statistics(layers),
        instead=instead,
        missing_statistics=missing_statistics,
    )
    notes = (*switched.notes, *dropped, *about_weights)
    return _with_unread(_frozen(source, interface, forward, layers, updates, stored, notes), interface, asked)


def _without_scalar_defaults(interface: Interface, graph: Graph, asked: Iterable[str]) -> Interface:
    """``interface`` without the scalars that have a default and that the user did not ask to feed."""
    names = {tensor_name(name) for name in asked}

    def has_default(endpoint: Endpoint) -> bool:
        node = graph.find_producer(endpoint.name)
        if node is None or node.op != "PlaceholderWithDefault" or endpoint.name in names:
            return False
        return node.attrs["shape"] == () and graph.value(node.inputs[0]) is not None

    return replace(interface, inputs=tuple(e for e in interface.inputs if not has_default(e)))


def _still_there(interface: Interface, graph: Graph, asked: Iterable[str]) -> Interface:
    """``interface`` without the outputs that only training computes.

    Raises
    ------
    InferenceError
        When the user named one of these, or there is no other.
    """
    left = tuple(endpoint for endpoint in interface.outputs if node_name(endpoint.tensor) in graph)
    gone = [endpoint.name for endpoint in interface.outputs if endpoint not in left]
    named = {tensor_name(name) for name in asked}.intersection(gone)
    if gone and (named or not left):
        raise InferenceError(
            f"{', '.join(sorted(named) or gone)}: computed in training alone, in a branch that inference does not take",
            hint="name another output: --output",
        )
    return replace(interface, outputs=left)


def _renamed(interface: Interface, names: Mapping[str, str]) -> Interface:
    """``interface`` with the tensors that give its outputs once the conditionals are gone."""
    outputs = (replace(endpoint, tensor=names.get(endpoint.tensor, endpoint.tensor)) for endpoint in interface.outputs)
    return replace(interface, outputs=tuple(outputs))


@dataclass(frozen=True)
class _Switched:
    """The graph with the training flags off."""

    resolved: Resolved
    flags: tuple[Flag, ...]
    notes: tuple[Note, ...]


def _switch_off_training(
    whole: Graph,
    results: list[str],
    updates: tuple[Update, ...],
    given: Mapping[str, Array],
    source: SourceModel,
    asked: Container[str],
) -> _Switched:
    flags = find_flags(whole, results, updates, given, lambda node: current_value(source, node), fed=asked)
    settled = {f"{flag.node}:0": flag.value for flag in flags}
    settled.update((tensor, value) for tensor, value in given.items() if value.dtype.kind == "b")
    defaults = default_switches(source, whole, results, asked)
    defaults = {tensor: value for tensor, value in defaults.items() if tensor not in settled}
    settled.update(defaults)
    resolved = resolve(fix(whole, {**given, **settled}), settled, results)
    tied = tie_branches(resolved.graph, [resolved.renamed.get(tensor, tensor) for tensor in results])
    resolved = replace(resolved, graph=tied)
    notes = tuple(
        Note("note", "training-flag", f"{flag} set to {flag.setting}: {flag.reason}", (flag.node,)) for flag in flags
    )
    return _Switched(resolved, flags, notes + _on_defaults(tuple(node_name(tensor) for tensor in defaults)))


def _flag_finder(switched: _Switched, whole: Graph) -> Callable[[Iterable[str]], str | None]:
    names = {flag.node: str(flag) for flag in switched.flags}

    def flag_of(nodes: Iterable[str]) -> str | None:
        for node in nodes:
            predicate = switched.resolved.guards.get(node)
            leaves = leaves_of(whole, predicate) if predicate is not None else []
            if (found := next((names[leaf.name] for leaf in leaves if leaf.name in names), None)) is not None:
                return found
        return None

    return flag_of


def _statistics(layers: list[Layer]) -> dict[str, str]:
    roles = ("moving_mean", "moving_variance")
    return {
        name: layer.name
        for layer in layers
        for role in roles
        if role in layer.variables
        for name in layer.variables[role].split(", ")
    }


def _frozen(
    source: SourceModel,
    interface: Interface,
    forward: Graph,
    layers: list[Layer],
    updates: tuple[Update, ...],
    stored: StoredValues,
    notes: tuple[Note, ...],
) -> InferenceGraph:
    results = [endpoint.tensor for endpoint in interface.outputs]
    stored.require(node.name for node in forward if node.op in VARIABLE_OPS)
    defaults = tuple(node.name for node in forward if node.op == "PlaceholderWithDefault")
    frozen = freeze(forward, stored.read, judged_later=stored.statistics)
    layers = [layer for layer in layers if not _varies_with_input(frozen, layer)]
    values = parameters(frozen, layers)
    for layer, value in zip(layers, values, strict=True):
        refuse_poisoned(layer.name, value)
    graph = enter_constants(fold_constants(frozen, results, like=forward))
    norms = tuple(record(layer, value, graph) for layer, value in zip(layers, values, strict=True))
    health = examine(norms, step=source.step, frozen_rates=frozenset(u.variable for u in updates if u.rate == 0))
    return InferenceGraph(
        graph=graph,
        inputs=_inputs(graph, interface.inputs),
        outputs=tuple(_typed(graph, endpoint) for endpoint in interface.outputs),
        batch_norms=norms,
        notes=(*notes, *_on_defaults(defaults), *stored.notes(), *health),
    )


def _varies_with_input(frozen: Graph, layer: Layer) -> bool:
    """Whether a parameter is made for each input anew, if only in its shape: then the arithmetic stays as it is."""
    computed = (tensor for tensor in layer.tensors.values() if frozen.value(source_of(frozen, tensor)) is None)
    behind = frozen.topological(computed)
    return any(node.op in ("Placeholder", "PlaceholderWithDefault") for node in behind)


def _on_defaults(names: tuple[str, ...]) -> tuple[Note, ...]:
    if not names:
        return ()
    message = f"{', '.join(names)}: no input was made of it, its default is in the graph"
    return (Note("note", "default-taken", message, names, "--input makes it an input, --set another constant"),)


def _inputs(graph: Graph, chosen: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The inputs that the outputs still need, and those that turned out to be needed."""
    known = {endpoint.tensor for endpoint in chosen}
    found = [_typed(graph, endpoint) for endpoint in chosen if node_name(endpoint.tensor) in graph]
    for node in graph:
        if node.op == "Placeholder" and node.output not in known:
            found.append(
                Endpoint(node.output, node.output, node.attrs["dtype"], node.attrs["shape"], "the outputs read it")
            )
    return tuple(found)


def _with_unread(inference: InferenceGraph, chosen: Interface, asked: Container[str]) -> InferenceGraph:
    """``inference`` with the inputs that the user named and that nothing reads, each in its place among the others."""
    read = {endpoint.tensor: endpoint for endpoint in inference.inputs}
    unread = [e for e in chosen.inputs if e.name in asked and e.tensor not in read]
    if not unread:
        return inference
    graph = inference.graph.copy()
    for endpoint in unread:
        attrs = {"dtype": endpoint.dtype, "shape": endpoint.shape}
        graph.add(Node(node_name(endpoint.tensor), "Placeholder", attrs=attrs))
        graph.types[endpoint.tensor] = TensorType(endpoint.dtype, endpoint.shape)
    order = dict.fromkeys(e.tensor for e in (*chosen.inputs, *inference.inputs))
    known = {**read, **{endpoint.tensor: endpoint for endpoint in unread}}
    names = tuple(endpoint.name for endpoint in unread)
    note = Note("note", "input-unread", f"the outputs do not depend on {', '.join(names)}: nothing reads it", names)
    inputs = tuple(known[tensor] for tensor in order if tensor in known)
    return replace(inference, graph=graph, inputs=inputs, notes=(*inference.notes, note))


def _typed(graph: Graph, endpoint: Endpoint) -> Endpoint:
    found = graph.types[endpoint.tensor]
    return replace(endpoint, dtype=found.dtype, shape=found.shape)
