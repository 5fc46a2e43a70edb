"""Ranks that nobody says and that can be no other, since an op takes only one: a convolution's image has four axes."""

from __future__ import annotations

from collections.abc import Iterator, Set

from bnfold.export.placement import Follows
from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.shapes import more_specific
from bnfold.export.table import find_row
from bnfold.graph import Graph, Node, TensorType
from bnfold.graph.evaluate import infer_types

_OF_FORMAT: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "Conv3D"), (0, 1)),
    **dict.fromkeys(("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput", "Conv3DBackpropInputV2"), (1, 2)),
    **dict.fromkeys(("MaxPool", "MaxPoolV2", "AvgPool", "MaxPool3D", "AvgPool3D"), (0,)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "SpaceToDepth", "DepthToSpace"), (0,)),
}
"""Inputs with one axis for each letter of the attribute ``data_format``."""

_IMAGES = (
    *("LRN", "SpaceToBatch", "BatchToSpace", "MaxPoolWithArgmax", "Dilation2D", "ExtractImagePatches"),
    *("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate"),
    *("CropAndResize", "ExtractGlimpse", "ExtractGlimpseV2", "DrawBoundingBoxes", "DrawBoundingBoxesV2"),
    *("ImageProjectiveTransformV2", "ImageProjectiveTransformV3", "BatchNormWithGlobalNormalization"),
)

_FIXED: dict[str, dict[int, int]] = {
    **{op: {0: 4} for op in _IMAGES},
    "Dilation2D": {0: 4, 1: 3},
    "ExtractVolumePatches": {0: 5},
    "CropAndResize": {0: 4, 1: 2, 2: 1},
    **{f"NonMaxSuppression{version}": {0: 2, 1: 1} for version in ("", "V2", "V3", "V4", "V5", "WithOverlaps")},
    "CombinedNonMaxSuppression": {0: 4, 1: 3},
    "CTCGreedyDecoder": {0: 3, 1: 1},
}
"""The rank of inputs, by index."""


@rewrites(order=-45)
def ranks_that_ops_imply(graph: Graph, kept: Set[str]) -> None:
    """Placeholders of unknown rank that go into such an op, alone or through others that keep the rank, get it."""
    del kept
    _mend_volumes(graph)
    found = {tensor: rank for node in list(graph) for tensor, rank in _implied(graph, node)}
    if not found:
        return
    for tensor, rank in found.items():
        placeholder = graph.producer_of(tensor)
        graph.replace(placeholder.with_attrs(shape=(None,) * rank))
        graph.types[tensor] = TensorType(graph.types[tensor].dtype, (None,) * rank)
    for tensor, known in infer_types(graph).items():
        graph.types[tensor] = more_specific(graph.types.get(tensor), known)


def _mend_volumes(graph: Graph) -> None:
    """TensorFlow's shape function forgets an axis of the patches of a volume whose sizes are not known.

    What follows from that is as wrong: the types are inferred again, from placeholders with the right shape.
    """
    mended = graph.copy()
    for node in graph:
        shape = graph.shape_of(node.output) if node.op == "ExtractVolumePatches" else None
        if shape is not None and len(shape) == 4:
            attrs = {"dtype": graph.types[node.output].dtype, "shape": (shape[0], None, *shape[1:])}
            mended.replace(Node(node.name, "Placeholder", (), attrs))
    if any(mended[node.name] is not node for node in graph):
        graph.types.update(infer_types(mended))


def _implied(graph: Graph, node: Node) -> Iterator[tuple[str, int]]:
    ranks = _FIXED.get(node.op, {})
    if node.op in _OF_FORMAT:
        five = "3D" in node.op
        rank = len(str(node.attrs.get("data_format") or ("NDHWC" if five else "NHWC")))
        ranks = dict.fromkeys(_OF_FORMAT[node.op], rank)
    if node.op in _PADS and (pairs := graph.shape_of(node.inputs[1])) and pairs[0] is not None:
        ranks = {0: pairs[0]}
    for index, rank in ranks.items():
        origin = _origin(graph, node.inputs[index], rank)
        if origin is not None:
            yield origin


_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
_KEEPS = _PADS | {"SpaceToBatchND", "BatchToSpaceND", "ReverseV2"}
"""Ops with more inputs than one whose output has the rank of the first."""


def _origin(graph: Graph, tensor: str, rank: int) -> tuple[str, int] | None:
    """The placeholder of unknown rank that decides the rank of ``tensor``, and its rank."""
    while (known := graph.type_of(tensor)) is not None and known.shape is None:
        node = graph.find_producer(tensor)
        if node is None or node.op == "Placeholder":
            return (tensor, rank) if node is not None else None
        row = find_row(node.op)
        if node.op == "ExpandDims":
            rank -= 1
        elif node.op not in _KEEPS and (len(node.inputs) != 1 or row is None or not isinstance(row.placement, Follows)):
            return None
        tensor = node.inputs[0]
    return None
