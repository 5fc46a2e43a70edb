"""Static types of parts of a saved graph, which may hold ops that no TensorFlow of today knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bnfold.graph import DType, Graph, Node, Shape, TensorType
from bnfold.graph.evaluate import infer_types
from bnfold.graph.graph_def import op_definition
from bnfold.graph.stages import Endpoint
from bnfold.inference.op_kinds import PIPELINE

RANKS = {"Conv2D": 4, "DepthwiseConv2dNative": 4, "Conv3D": 5, "MatMul": 2}
"""Layers that say what their input looks like."""

ELEMENTWISE = frozenset({"Identity", "Cast", "Mul", "Sub", "Add", "AddV2", "RealDiv", "Div", "Relu", "Switch"})
REACH = 6
"""How many of those to look through on the way to a layer."""


def static_types(graph: Graph, tensors: Iterable[str]) -> dict[str, TensorType]:
    """Types of all tensors that ``tensors`` depend on, as far as they can be told.

    The ops that bring data in are taken at their attributes' word, so that readers and parsers of another age do not
    stand in the way. Where TensorFlow refuses the rest too, only those are returned.
    """
    tensors = list(tensors)
    if not tensors:
        return {}
    pipelines = [node for node in graph if PIPELINE.fullmatch(node.op)]
    entries = {n.tensor(i): found for n in pipelines for i, found in enumerate(_handed_over(graph, n))}
    try:
        types = infer_types(_with_placeholders(graph.pruned(tensors, stop=entries), entries))
    except ValueError:
        types = {}
    return {**types, **entries}


def _with_placeholders(graph: Graph, entries: dict[str, TensorType]) -> Graph:
    """``graph``, which is edited, with a Placeholder for each of the tensors ``entries`` that it reads."""
    for tensor, found in entries.items():
        if not graph.readers(tensor):
            continue
        name = graph.fresh_name(tensor.replace(":", "_"))
        graph.add(Node(name, "Placeholder", attrs={"dtype": found.dtype, "shape": found.shape}))
        graph.redirect(tensor, f"{name}:0")
    return graph


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
    if node.op.startswith(("ParseExample", "ParseSingleExample")):
        return _parsed_shapes(node)
    if node.op in ("DecodeJpeg", "DecodePng", "DecodeAndCropJpeg"):
        return [(None, None, node.attrs.get("channels") or None)]
    if node.op == "Mfcc":
        return [(None, None, node.attrs.get("dct_coefficient_count"))]
    return []


def _parsed_shapes(node: Node) -> list[Shape | None]:
    """Sparse features first, three tensors each, then the dense ones."""
    sparse = len(node.attrs.get("sparse_types") or [])
    batch: Shape = (None,) if node.op.startswith("ParseExample") else ()
    dense: list[Shape | None] = [
        None if shape is None else (*batch, *shape) for shape in node.attrs.get("dense_shapes") or []
    ]
    return [None] * (3 * sparse) + dense


def _queue_shapes(graph: Graph, node: Node) -> list[Shape | None]:
    """A queue knows the shapes of its elements; how many come at once is a matter of the pipeline, not the model."""
    queue = graph.find_producer(node.inputs[0])
    while queue is not None and queue.op in ("Switch", "RefSwitch", "Identity", "Enter"):
        queue = graph.find_producer(queue.inputs[0])
    shapes: Any = queue.attrs.get("shapes") if queue is not None else None
    if not shapes:
        return []
    if node.op.startswith(("QueueDequeueMany", "QueueDequeueUpTo")):
        count = graph.find_producer(node.inputs[1])
        size = int(count.attrs["value"]) if count is not None and count.op == "Const" else None
        return [None if shape is None else (size, *shape) for shape in shapes]
    return list(shapes)


def shape_from_readers(graph: Graph, tensor: str) -> Shape | None:
    """The shape of ``tensor`` as the first layer behind it demands, every size but the channels unknown."""
    for _ in range(REACH):
        readers = graph.readers(tensor)
        for reader in readers:
            if reader.op in RANKS and reader.inputs[0] == tensor:
                return _demanded(graph, reader)
        onward = [reader for reader in readers if reader.op in ELEMENTWISE]
        if not onward:
            return None
        tensor = onward[0].output
    return None


def _demanded(graph: Graph, layer: Node) -> Shape:
    rank = RANKS[layer.op]
    channels = None
    kernel = static_types(graph, [layer.inputs[1]]).get(layer.inputs[1])
    if kernel is not None and kernel.shape is not None:
        axis = (1 if layer.attrs.get("transpose_b") else 0) if layer.op == "MatMul" else -2
        channels = kernel.shape[axis]
    first = str(layer.attrs.get("data_format", "")).startswith("NC")
    return (None, channels, *[None] * (rank - 2)) if first else (*[None] * (rank - 1), channels)


def forward_of(graph: Graph, inputs: Iterable[Endpoint], outputs: Iterable[str]) -> Graph:
    """What ``outputs`` need of ``graph`` beyond ``inputs``, before those are cut."""
    names = {endpoint.tensor: endpoint.name for endpoint in inputs}
    return graph.pruned((names.get(tensor, tensor) for tensor in outputs), stop=names.values(), controls=True)
