"""Variables for statistics that a graph never kept, and the ops that update them, as TensorFlow's layers write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from bnfold.errors import InferenceError
from bnfold.graph import Array, Graph, Node, constant, node_name
from bnfold.graph.stages import SourceModel, Unbound, Variable

RATE = 0.01
"""Of the updates, for whoever trains on: decay 0.99."""


_BY_HAND = "if some variables hold its statistics, --bind LAYER=MEAN,VARIANCE names them"


def with_statistics(source: SourceModel, layers: Sequence[Unbound]) -> tuple[SourceModel, tuple[Node, ...]]:
    """``source`` with ``moving_mean`` and ``moving_variance`` variables for ``layers``, at 0 and 1.

    Each variable gets ``moving -= (moving − batch) · rate``, so that `infer` finds it by the dataflow, in this
    session and from the checkpoint that calibration writes.

    Returns
    -------
    SourceModel
    tuple of Node
        What was added to the graph.

    Raises
    ------
    InferenceError
        When a layer's size is not known, or its moments are no tensors of the saved graph.
    """
    graph = source.graph.copy()
    variables = dict(source.variables)
    added: list[Node] = []
    for layer in layers:
        for name, tensor, initial in (("moving_mean", layer.mean, 0.0), ("moving_variance", layer.variance, 1.0)):
            shape = _shape(graph, layer, tensor)
            nodes = list(_variable(graph, f"{layer.name}/{name}", tensor, layer, shape))
            for node in nodes:
                graph.add(node)
            added += nodes
            value = np.full(shape, initial, layer.dtype.numpy)
            variables[nodes[0].name] = Variable(nodes[0].name, nodes[0].name, layer.dtype, shape, _reader(value))
    return replace(source, graph=graph, variables=variables), tuple(added)


def _reader(value: Array) -> Callable[[], Array]:
    return lambda: value


def _shape(graph: Graph, layer: Unbound, tensor: str) -> tuple[int, ...]:
    if node_name(tensor) not in graph:
        raise InferenceError(
            f"the moments of batch norm {layer.name} are not in the saved graph", hint=_BY_HAND, node=layer.name
        )
    if layer.shape is None or any(size is None for size in layer.shape):
        raise InferenceError(
            f"the number of channels of batch norm {layer.name} is not known", hint=_BY_HAND, node=layer.name
        )
    return tuple(int(size or 0) for size in layer.shape)


def _variable(graph: Graph, name: str, tensor: str, layer: Unbound, shape: tuple[int, ...]) -> Iterator[Node]:
    variable = Node(
        graph.fresh_name(name),
        "VariableV2",
        attrs={"dtype": layer.dtype, "shape": shape, "container": "", "shared_name": ""},
    )
    kind = {"T": layer.dtype}
    stem = variable.name
    rate = constant(f"{stem}/update/rate", np.asarray(RATE, layer.dtype.numpy), layer.dtype)
    read = Node(f"{stem}/read", "Identity", (variable.output,), kind)
    gap = Node(f"{stem}/update/gap", "Sub", (read.output, tensor), kind)
    step = Node(f"{stem}/update/step", "Mul", (gap.output, rate.output), kind)
    update = Node(f"{stem}/update", "AssignSub", (variable.output, step.output), {**kind, "use_locking": False})
    yield from (variable, rate, read, gap, step, update)
