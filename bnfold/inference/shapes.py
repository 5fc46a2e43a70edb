"""Static types of parts of a saved graph, which may hold ops that no TensorFlow of today knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bnfold.graph import DType, Graph, Node, Shape, TensorType
from bnfold.graph.evaluate import infer_types
from bnfold.graph.graph_def import op_definition
from bnfold.graph.stages import Endpoint
from bnfold.inference.anatomy import PIPELINE
from bnfold.inference.cut import Interface, cut

PROBE = 7
"""A batch size that no graph fixes by chance."""


def static_types(graph: Graph, tensors: Iterable[str]) -> dict[str, TensorType]:
    """Types of all tensors that ``tensors`` depend on, as far as they can be told.

    The ops that bring data in are taken at their attributes' word, so that readers and parsers of another age do not
    stand in the way. Where TensorFlow refuses the rest too, only those are returned.
    """
    tensors = list(tensors)
    entries = {
        node.tensor(index): found
        for node in graph
        if PIPELINE.fullmatch(node.op)
        for index, found in enumerate(_handed_over(graph, node))
    }
    pruned = _with_placeholders(graph, entries).pruned(tensors)
    try:
        types = infer_types(pruned)
    except ValueError:
        types = {}
    return {**types, **entries}


def _with_placeholders(graph: Graph, entries: dict[str, TensorType]) -> Graph:
    result = graph.copy()
    for tensor, found in entries.items():
        placeholder = Node(
            result.fresh_name(tensor.replace(":", "_")),
            "Placeholder",
            attrs={"dtype": found.dtype, "shape": found.shape},
        )
        result.add(placeholder)
        result.redirect(tensor, placeholder.output)
    return result


def _handed_over(graph: Graph, node: Node) -> list[TensorType]:
    """Types of the outputs of an op that brings data in."""
    dtypes = _dtypes(node)
    shapes = _shapes(graph, node)
    return [TensorType(dtype, shapes[i] if i < len(shapes) else None) for i, dtype in enumerate(dtypes)]


def _dtypes(node: Node) -> list[DType]:
    for key in ("component_types", "output_types", "Toutput_types", "Tout", "dtypes"):
        if isinstance(found := node.attrs.get(key), list):
            return found
    definition = op_definition(node.op)
    dtypes: list[DType] = []
    for argument in definition.output_arg if definition is not None else ():
        if argument.type_list_attr:
            dtypes += node.attrs.get(argument.type_list_attr) or []
            continue
        dtype = node.attrs[argument.type_attr] if argument.type_attr else DType.of_tf(argument.type)
        dtypes += [dtype] * (node.attrs.get(argument.number_attr, 1) if argument.number_attr else 1)
    return dtypes


def _shapes(graph: Graph, node: Node) -> Sequence[Shape | None]:
    if "Dequeue" in node.op:
        return _queue_shapes(graph, node)
    if isinstance(found := node.attrs.get("output_shapes"), list):
        return found
    if node.op in ("DecodeJpeg", "DecodePng", "DecodeAndCropJpeg"):
        return [(None, None, node.attrs.get("channels") or None)]
    if node.op == "Mfcc":
        return [(None, None, node.attrs.get("dct_coefficient_count"))]
    return []


def _queue_shapes(graph: Graph, node: Node) -> list[Shape | None]:
    """A queue knows the shapes of its elements; how many come at once is a matter of the pipeline, not the model."""
    queue = graph.find_producer(node.inputs[0])
    shapes: Any = queue.attrs.get("shapes") if queue is not None else None
    if not shapes:
        return []
    if node.op.startswith(("QueueDequeueMany", "QueueDequeueUpTo")):
        count = graph.find_producer(node.inputs[1])
        size = int(count.attrs["value"]) if count is not None and count.op == "Const" else None
        return [None if shape is None else (size, *shape) for shape in shapes]
    return list(shapes)


def free_batch(graph: Graph, inputs: list[Endpoint], outputs: list[str], fixed: Collection[str]) -> list[Endpoint]:
    """Let the first size of the inputs vary where nothing behind them depends on it.

    A graph may say ``batch_size`` again further on (a Reshape, the output shape of a transposed convolution); then
    another batch fails there or comes out with the old size, and the size stays.

    Parameters
    ----------
    graph : Graph
    inputs : list of Endpoint
    outputs : list of str
    fixed : collection of str
        Names of inputs whose shape the user gave.
    """
    sizes = {endpoint.shape[0] for endpoint in inputs if endpoint.shape and endpoint.shape[0] is not None}
    if len(sizes) != 1:
        return inputs
    size = sizes.pop()

    def free(endpoint: Endpoint, batch: int | None) -> Endpoint:
        if endpoint.name in fixed or not endpoint.shape or endpoint.shape[0] != size:
            return endpoint
        return replace(endpoint, shape=(batch, *endpoint.shape[1:]))

    probe = PROBE if size != PROBE else PROBE + 4
    probed = tuple(free(endpoint, probe) for endpoint in inputs)
    if not _follows(graph, probed, outputs, probe):
        return inputs
    return [free(endpoint, None) for endpoint in inputs]


def _follows(graph: Graph, inputs: tuple[Endpoint, ...], outputs: list[str], batch: int) -> bool:
    """Whether all outputs have ``batch`` rows when the inputs have."""
    try:
        types = infer_types(cut(graph, Interface(inputs, ())).pruned(outputs))
    except ValueError:
        return False
    shapes = [types[tensor].shape for tensor in outputs if tensor in types]
    return all(shape is None or (shape and shape[0] in (None, batch)) for shape in shapes)
