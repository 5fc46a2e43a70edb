"""A batch size that the pipeline or the placeholder fixed, made free where nothing behind it depends on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bnfold.graph import Array, Graph, Shape, node_name
from bnfold.graph.evaluate import infer_types, run
from bnfold.graph.stages import Endpoint
from bnfold.inference.cut import Interface, cut
from bnfold.inference.scalars import few_sources
from bnfold.inference.shapes import forward_of

PROBE = 7
"""A batch size that no graph fixes by chance."""

CONVOLUTIONS = frozenset(
    {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2", "Dilation2D"}
)
"""Ops whose second input is a kernel, as tall as a batch perhaps, but no batch."""

BOUNDS = {"StridedSlice": (1, 2, 3)}
"""Inputs that have an entry for each axis, by op: of what is sliced by them TensorFlow may not know the rank."""

WANT_SIZES = frozenset({"MatrixSetDiagV2", "MatrixSetDiagV3"})
"""Ops whose shape function refuses several diagonals beside matrices of which it does not know how many there are."""


def free_batch(
    graph: Graph, inputs: list[Endpoint], outputs: list[str], *, fixed: Collection[str], piped: Collection[str]
) -> tuple[list[Endpoint], dict[str, Shape]]:
    """Let the first size of the inputs vary where nothing behind them depends on it.

    A graph may say ``batch_size`` again further on (a Reshape, the output shape of a transposed convolution); then
    another batch fails there or comes out with the old size, and the size stays. Where a pipeline brought the size
    in, it is TensorFlow that said it again, in the Reshape of a ``flatten`` or a ``softmax``: such a Reshape, which
    keeps its rows apart, is given the rows it gets.

    Parameters
    ----------
    graph : Graph
    inputs : list of Endpoint
    outputs : list of str
    fixed : collection of str
        Names of inputs whose shape the user gave.
    piped : collection of str
        Names of inputs that a pipeline gives.

    Returns
    -------
    list of Endpoint
    dict of str to Shape
        Reshape nodes to be given another shape, with -1 for the rows.
    """
    if any(node.op in WANT_SIZES for node in graph):
        return inputs, {}
    sizes = {endpoint.shape[0] for endpoint in inputs if endpoint.shape and endpoint.shape[0] is not None}
    if len(sizes) != 1:
        return inputs, {}
    [size] = sizes
    others = {node.inputs[1] for node in graph if node.op in CONVOLUTIONS}
    others.update(node.inputs[index] for node in graph for index in BOUNDS.get(node.op, ()))

    def free(endpoint: Endpoint, batch: int | None) -> Endpoint:
        if endpoint.name in fixed or not endpoint.shape or endpoint.shape[0] != size or endpoint.tensor in others:
            return endpoint
        return replace(endpoint, shape=(batch, *endpoint.shape[1:]))

    probe = PROBE if size != PROBE else PROBE + 4
    forward = forward_of(graph, inputs, outputs)
    alone = cut(forward, Interface(tuple(inputs), ())).pruned(outputs)
    probed = {endpoint.tensor: free(endpoint, probe).shape for endpoint in inputs}
    if _follows(alone, probed, outputs, probe):
        return [free(endpoint, None) for endpoint in inputs], {}
    if any(endpoint.name not in piped for endpoint in inputs):
        return inputs, {}
    reshapes = _row_by_row(alone, size)
    freed = cut(forward, Interface(tuple(inputs), (), reshapes)).pruned(outputs)
    if not reshapes or not _follows(freed, probed, outputs, probe):
        return inputs, {}
    return [free(endpoint, None) for endpoint in inputs], reshapes


def _follows(graph: Graph, inputs: Mapping[str, Shape | None], outputs: list[str], batch: int) -> bool:
    """Whether all outputs have ``batch`` rows when the inputs have the shapes given, and as many axes as before."""
    shapes = {node_name(tensor): shape for tensor, shape in inputs.items() if shape is not None}
    try:
        types = infer_types(graph, shapes={name: shape for name, shape in shapes.items() if name in graph})
    except ValueError:
        return False
    found = {tensor: types[tensor].shape for tensor in outputs if tensor in types}
    doubtful = {tensor: shape for tensor, shape in found.items() if shape is None or len(shape) == batch}
    if doubtful and any(_rank(infer_types(graph)[tensor].shape) != _rank(shape) for tensor, shape in doubtful.items()):
        return False  # what was made longer is the sizes of a Reshape, as many as its axes
    return all(shape is None or (shape and shape[0] in (None, batch)) for shape in found.values())


def _rank(shape: Shape | None) -> int | None:
    return None if shape is None else len(shape)


def _row_by_row(graph: Graph, size: int) -> dict[str, Shape]:
    """The Reshapes of ``size`` rows to ``size`` rows, each row of known shape, and what they may say instead."""
    if any(node.op == "Enter" for node in graph):
        return {}  # a constant of the outer frame cannot be read inside a loop
    try:
        types = infer_types(graph)
    except ValueError:
        return {}
    found: dict[str, Shape] = {}
    for node in graph:
        if node.op != "Reshape" or (wanted := _written(graph, node.inputs[1])) is None or wanted.size == 0:
            continue
        before, after = types[node.inputs[0]].shape, types[node.output].shape
        if not before or not after or None in (*before, *after) or int(wanted.ravel()[0]) != size:
            continue
        if before[0] == after[0] == size:
            found[node.name] = (-1, *after[1:])
    return found


def _written(graph: Graph, tensor: str) -> Array | None:
    """The value of ``tensor`` where it is a constant, or is put together from constants as feature columns do it."""
    value = graph.value(tensor)
    sources = few_sources(graph, tensor) or []
    if value is not None or not sources or any(not node.inputs and node.op != "Const" for node in sources):
        return value
    return run(graph.pruned([tensor]), [tensor])[0]
