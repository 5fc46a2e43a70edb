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

_OPERANDS: dict[int, dict[str, tuple[int, ...]]] = {
    0: {
        **dict.fromkeys(("NonMaxSuppressionV2", "NonMaxSuppressionV3", "NonMaxSuppressionV4"), (2, 3, 4)),
        **dict.fromkeys(("NonMaxSuppressionV5", "CombinedNonMaxSuppression"), (2, 3, 4, 5)),
        "NonMaxSuppressionWithOverlaps": (2, 3, 4),
        **dict.fromkeys(("AdjustContrastv2", "AdjustHue", "AdjustSaturation", "TopKV2"), (1,)),
        "FakeQuantWithMinMaxVars": (1, 2),
        "NonMaxSuppression": (2,),
        "OneHot": (1, 2, 3),
        "Range": (0, 1, 2),
        "Split": (0,),
    },
    1: {
        **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (1, 2, 3, 4)),
        **dict.fromkeys(("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput", "Conv3DBackpropInputV2"), (0,)),
        **dict.fromkeys(("BiasAdd", "BiasAddV1", "SpaceToBatchND", "BatchToSpaceND", "ReverseSequence"), (1,)),
        **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"), (1,)),
        **dict.fromkeys(("Reshape", "BroadcastTo", "Tile", "Transpose"), (1,)),
        **dict.fromkeys(("FakeQuantWithMinMaxVarsPerChannel", "MaxPoolV2", "Slice"), (1, 2)),
        "StridedSlice": (1, 2, 3),
        "CropAndResize": (3,),
        "Fill": (0,),
    },
    2: {
        **dict.fromkeys(("SpaceToBatchND", "BatchToSpaceND"), (2,)),
        **dict.fromkeys(("SpaceToBatch", "BatchToSpace", "Pad", "PadV2", "MirrorPad"), (1,)),
    },
}
"""By rank, the inputs of each op that are scalars, vectors and matrices: sizes, thresholds, one number per channel."""


@rewrites(order=-45)
def ranks_that_ops_imply(graph: Graph, kept: Set[str]) -> None:
    """Tensors of unknown rank that go into such an op, alone or through others that keep the rank, get it."""
    del kept
    _mend_volumes(graph)
    found = {tensor: rank for node in list(graph) for tensor, rank in _implied(graph, node)}
    if not found:
        return
    for tensor, rank in found.items():
        graph.types[tensor] = TensorType(graph.types[tensor].dtype, (None,) * rank)
        producer = graph.find_producer(tensor)
        if producer is not None and producer.op == "Placeholder":
            graph.replace(producer.with_attrs(shape=(None,) * rank))
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
    ranks = {**ranks, **{index: rank for rank, ops in _OPERANDS.items() for index in ops.get(node.op, ())}}
    for index, rank in ranks.items():
        if index >= len(node.inputs):
            continue
        yield from _upwards(graph, node.inputs[index], rank)


_PADS = frozenset({"Pad", "PadV2", "MirrorPad"})
_KEEPS = _PADS | {"SpaceToBatchND", "BatchToSpaceND", "ReverseV2"}
"""Ops with more inputs than one whose output has the rank of the first."""


def _upwards(graph: Graph, tensor: str, rank: int) -> Iterator[tuple[str, int]]:
    """``tensor`` and what decides its rank, as far as that is unknown, with their ranks."""
    while (known := graph.type_of(tensor)) is not None and known.shape is None:
        yield tensor, rank
        if (node := graph.find_producer(tensor)) is None:
            return
        row = find_row(node.op)
        if node.op == "ExpandDims":
            rank -= 1
        elif node.op not in _KEEPS and (len(node.inputs) != 1 or row is None or not isinstance(row.placement, Follows)):
            return
        tensor = node.inputs[0]
