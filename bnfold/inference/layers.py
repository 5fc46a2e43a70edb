"""The batch norms of a bound forward graph: where each is, and what it normalises by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bnfold.graph import Array, Graph, Node, node_name
from bnfold.graph.evaluate import run
from bnfold.graph.stages import BatchNorm
from bnfold.inference.binding import Bound
from bnfold.inference.fused import BETA, FUSED, GAMMA, MEAN, VARIANCE, channel_axis, is_training
from bnfold.inference.layer_names import LayerNames
from bnfold.inference.naming import unused_name
from bnfold.inference.normalisation import Normalisation, find_normalisations
from bnfold.inference.variables import source_of, variables_behind

WIRED = "already wired"


@dataclass(frozen=True)
class Layer:
    """A batch norm of the forward graph, its parameters still tensors.

    Attributes
    ----------
    name, form, flag : str
    nodes : tuple of str
        In the order in which the data passes through them.
    channel_axis : int or None
    epsilon : float
    tensors : mapping of str to str
        ``gamma``, ``beta``, ``moving_mean``, ``moving_variance`` → tensor.
    variables : mapping of str to str
        The same → variable.
    evidence : tuple of str
    """

    name: str
    form: str
    flag: str
    nodes: tuple[str, ...]
    channel_axis: int | None
    epsilon: float
    tensors: Mapping[str, str]
    variables: Mapping[str, str]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Provenance:
    """What `infer` knows of how the layers were before.

    Attributes
    ----------
    fused : mapping of str to (Bound, Bound)
        Fused ops that were in training mode → their moving mean and variance.
    moments : mapping of str to str
        Variables put in the place of batch moments → the evidence.
    flag_of : callable
        Nodes → the name of the flag that governed them, or None.
    names : LayerNames
    """

    fused: Mapping[str, tuple[Bound, Bound]]
    moments: Mapping[str, str]
    flag_of: Callable[[tuple[str, ...]], str | None]
    names: LayerNames


def find_layers(graph: Graph, provenance: Provenance) -> list[Layer]:
    """The batch norms of ``graph``, in the order of the data.

    Parameters
    ----------
    graph : Graph
        The forward graph, bound, with ``types``.
    provenance : Provenance
    """
    written_out = {norm.nodes[0]: norm for norm in find_normalisations(graph) if norm.is_bound}
    layers: dict[str, Layer] = {}
    for node in graph.topological():
        if node.op in FUSED and not is_training(node) and variables_or_constants(graph, node):
            layer = _fused_layer(graph, node, provenance)
        elif node.name in written_out:
            layer = _unfused_layer(graph, written_out[node.name], provenance)
        else:
            continue
        name = unused_name(layers, layer.name)
        layers[name] = replace(layer, name=name)
    return list(layers.values())


def variables_or_constants(graph: Graph, node: Node) -> bool:
    """Whether a fused op normalises by parameters, not by something computed from the data."""
    return all(
        variables_behind(graph, tensor) or graph.value(source_of(graph, tensor)) is not None
        for tensor in (node.inputs[MEAN], node.inputs[VARIANCE])
    )


def _fused_layer(graph: Graph, node: Node, provenance: Provenance) -> Layer:
    names = {"gamma": GAMMA, "beta": BETA, "moving_mean": MEAN, "moving_variance": VARIANCE}
    tensors = {role: node.inputs[index] for role, index in names.items()}
    bound = provenance.fused.get(node.name)
    flag = "is_training=True" if bound else provenance.flag_of((node.name,)) or "inference"
    evidence = tuple(dict.fromkeys(b.evidence for b in bound)) if bound else (WIRED,)
    variables = _variables(graph, tensors)
    return Layer(
        name=provenance.names[node.name],
        form=node.op,
        flag=flag,
        nodes=(node.name,),
        channel_axis=channel_axis(node),
        epsilon=float(node.attrs["epsilon"]),
        tensors=tensors,
        variables=variables,
        evidence=(*evidence, *_names_agree(variables)),
    )


def _unfused_layer(graph: Graph, norm: Normalisation, provenance: Provenance) -> Layer:
    tensors = {"gamma": norm.gamma, "beta": norm.beta, "moving_mean": norm.mean, "moving_variance": norm.variance}
    found = {role: tensor for role, tensor in tensors.items() if tensor is not None}
    variables = _variables(graph, found)
    evidence = dict.fromkeys(provenance.moments[v] for v in variables.values() if v in provenance.moments)
    flag = provenance.flag_of(
        (norm.root, *norm.nodes, *(node_name(t) for t in found.values()), *graph_inputs(graph, norm))
    )
    return Layer(
        name=provenance.names[norm.root],
        form="unfused",
        flag="batch moments" if evidence else flag or "inference",
        nodes=norm.nodes,
        channel_axis=_axis(graph, norm),
        epsilon=norm.epsilon,
        tensors=found,
        variables=variables,
        evidence=(*(evidence or (WIRED,)), *_names_agree(variables)),
    )


def graph_inputs(graph: Graph, norm: Normalisation) -> list[str]:
    """The nodes that the root's operand is made of: conditionals choose the statistics there."""
    return [node_name(tensor) for tensor in graph[norm.root].inputs]


def _names_agree(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The statistics in the scope of gamma or beta: names confirm what the dataflow has decided."""
    scopes = {role: name.rpartition("/")[0] for role, name in variables.items()}
    statistics = {scopes[role] for role in ("moving_mean", "moving_variance") if role in scopes}
    parameters = {scopes[role] for role in ("gamma", "beta") if role in scopes}
    return ("name scope",) if statistics and statistics == parameters else ()


def _variables(graph: Graph, tensors: Mapping[str, str]) -> dict[str, str]:
    return {role: ", ".join(names) for role, tensor in tensors.items() if (names := variables_behind(graph, tensor))}


def _axis(graph: Graph, norm: Normalisation) -> int | None:
    """The axis of ``x`` along which the variance varies: where its shape, aligned at the end, is not one."""
    shape, rank = graph.shape_of(norm.variance), graph.shape_of(norm.x)
    if shape is None or rank is None:
        return None
    long = [len(rank) - len(shape) + axis for axis, size in enumerate(shape) if size != 1]
    if len(long) > 1:
        return None
    return long[0] if long else len(rank) - 1


def parameters(frozen: Graph, layers: list[Layer]) -> list[dict[str, Array]]:
    """The values of each layer's tensors, as vectors.

    Parameters
    ----------
    frozen : Graph
        The forward graph with the variables as constants, nothing folded yet.
    layers : list of Layer
    """
    wanted = list(dict.fromkeys(t for layer in layers for t in layer.tensors.values()))
    values = {t: value for t in wanted if (value := frozen.value(source_of(frozen, t))) is not None}
    missing = [tensor for tensor in wanted if tensor not in values]
    if missing:
        values.update(zip(missing, run(frozen.pruned(missing), missing), strict=True))
    return [{role: np.reshape(values[t], -1) for role, t in layer.tensors.items()} for layer in layers]


def record(layer: Layer, values: Mapping[str, Array], final: Graph) -> BatchNorm:
    """``layer`` as the next stages see it.

    Parameters
    ----------
    layer : Layer
    values : mapping of str to ndarray of shape (channels,)
    final : Graph
        The inference graph.
    """
    nodes = tuple(name for name in layer.nodes if name in final)
    first = final[nodes[0]]
    inside = {f"{name}:0" for name in nodes}
    x = next((t for t in first.inputs if t not in inside and final.value(t) is None), first.inputs[0])
    return BatchNorm(
        name=layer.name,
        form=layer.form,
        flag=layer.flag,
        x=x,
        y=final[nodes[-1]].output,
        nodes=nodes,
        channel_axis=layer.channel_axis,
        gamma=values.get("gamma"),
        beta=values.get("beta"),
        moving_mean=values["moving_mean"],
        moving_variance=values["moving_variance"],
        epsilon=layer.epsilon,
        variables=layer.variables,
        evidence=layer.evidence,
    )
