"""SpaceToBatchND → convolution → BatchToSpaceND is one dilated convolution.

TensorFlow writes a dilated convolution as an undilated one over each phase of the image: pixels whose coordinates
are equal modulo the dilation ``d``. The phases hold the same pixels that the dilated kernel reaches, zeros that pad
each of them are ``d`` rows of the image, and rows cropped from the result are rows not padded, so

    padding of the dilated convolution = paddings + d · (padding of the inner one) - crops

holds for every size of image for which the chain itself runs. Where the size is not known, TensorFlow computes how far
to pad until the phases are equal, and crops as much: in the difference it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import cache

from bnfold.export.rewrites import rewrites
from bnfold.export.size import Size
from bnfold.export.sizes import Sizes
from bnfold.graph import Graph, Node, TensorType

_CONVOLUTIONS = {"Conv1D": 1, "DepthwiseConv1d": 1, "Conv2D": 2, "DepthwiseConv2dNative": 2, "Conv3D": 3}
_BIASES = frozenset({"BiasAdd", "Add", "AddV2"})

Pads = list[tuple[int, int]]
Measured = Callable[[], Sizes]


@dataclass(frozen=True)
class Chain:
    """The nodes of the pattern, from the inside: the bias may stand before the way back."""

    spread: Node
    conv: Node
    bias: Node | None
    gather: Node


@rewrites()
def fold_dilations(graph: Graph, kept: Set[str]) -> None:
    measured = cache(lambda: Sizes(graph))
    for gather in list(graph):
        if gather.op == "BatchToSpaceND" and (chain := _chain(graph, gather, kept)) is not None:
            pads = _pads(graph, chain, measured)
            if pads is not None and all(side >= 0 for pair in pads for side in pair):
                _fold(graph, chain, pads)


def _chain(graph: Graph, gather: Node, kept: Set[str]) -> Chain | None:
    """The chain that ends in ``gather``, if nothing else sees what is inside it."""
    bias, conv = None, graph.producer_of(gather.inputs[0])
    if conv.op in _BIASES:
        bias, conv = conv, graph.producer_of(conv.inputs[0])
        if graph.value(bias.inputs[1]) is None or not _is_vector(graph, bias.inputs[1]):
            return None
    if conv.op not in _CONVOLUTIONS or str(conv.attrs.get("data_format", "")).startswith("NC"):
        return None
    spread = graph.producer_of(conv.inputs[0])
    if spread.op != "SpaceToBatchND" or any(_is_seen(graph, node, kept) for node in (spread, conv, bias) if node):
        return None
    return Chain(spread, conv, bias, gather)


def _is_vector(graph: Graph, tensor: str) -> bool:
    """Is the constant one number for each channel?"""
    array = graph.value(tensor)
    return array is not None and array.ndim >= 1 and array.shape[-1] == array.size


def _is_seen(graph: Graph, node: Node, kept: Set[str]) -> bool:
    return node.output in kept or len(graph.readers(node.output)) != 1


def _pads(graph: Graph, chain: Chain, measured: Measured) -> Pads | None:
    """The padding of the dilated convolution, or None where the chain is not one."""
    count = _CONVOLUTIONS[chain.conv.op]
    blocks, gathered = (graph.value(node.inputs[1]) for node in (chain.spread, chain.gather))
    kernel = graph.shape_of(chain.conv.inputs[1])
    plain = [1] * (count + 2)
    if blocks is None or gathered is None or kernel is None or None in kernel[:count]:
        return None
    if chain.conv.attrs["strides"] != plain or chain.conv.attrs.get("dilations", plain) != plain:
        return None
    if blocks.tolist() != gathered.tolist() or len(blocks) != count:
        return None
    inner = _inner_pads(chain.conv, [int(size or 0) for size in kernel[:count]])
    paddings, crops = (_pairs(graph, node.inputs[2], measured) for node in (chain.spread, chain.gather))
    if inner is None or paddings is None or crops is None:
        return None
    sides = [
        (pads[side] + block * inside[side] - cut[side]).known
        for block, pads, inside, cut in zip(blocks.tolist(), paddings, inner, crops, strict=True)
        for side in (0, 1)
    ]
    known = [side for side in sides if side is not None]
    return list(zip(known[::2], known[1::2], strict=True)) if len(known) == len(sides) else None


def _pairs(graph: Graph, tensor: str, measured: Measured) -> list[tuple[Size, Size]] | None:
    """What stands before and after each axis: constants, or rows put together from sizes."""
    array = graph.value(tensor)
    if array is not None:
        return [(Size.of(int(before)), Size.of(int(after))) for before, after in array]
    node = graph.producer_of(tensor)
    if node.op == "StridedSlice" and _is_whole(graph, node):
        return _pairs(graph, node.inputs[0], measured)
    if node.op != "Pack" or node.attrs.get("axis", 0) != 0:
        return None
    rows = [measured().values(row) for row in node.inputs]
    pairs = [(row[0], row[1]) for row in rows if row is not None and len(row) == 2]
    found = [(before, after) for before, after in pairs if before is not None and after is not None]
    return found if len(found) == len(rows) else None


def _is_whole(graph: Graph, node: Node) -> bool:
    """Does the slice take all rows, in their order?"""
    before, after, step = graph.shape_of(node.inputs[0]), graph.shape_of(node.output), graph.value(node.inputs[3])
    return (
        before is not None and before == after and None not in before and step is not None and bool((step == 1).all())
    )


def _inner_pads(conv: Node, kernel: list[int]) -> Pads | None:
    if conv.attrs["padding"] == "VALID":
        return [(0, 0)] * len(kernel)
    if conv.attrs["padding"] == "SAME":
        return [((size - 1) // 2, size // 2) for size in kernel]
    return None


def _fold(graph: Graph, chain: Chain, pads: Pads) -> None:
    """The last node keeps its name, so that its readers need not change."""
    blocks = graph.value(chain.spread.inputs[1])
    assert blocks is not None
    conv = chain.conv.with_attrs(
        dilations=[1, *blocks.tolist(), 1],
        padding="EXPLICIT",
        explicit_paddings=[0, 0, *(side for pair in pads for side in pair), 0, 0],
    ).with_inputs([chain.spread.inputs[0], *chain.conv.inputs[1:]])
    graph.remove(chain.gather.name)
    result = graph.types[chain.gather.output]
    if chain.bias is None:
        graph.remove(conv.name)
        graph.add(replace(conv, name=chain.gather.name))
    else:
        graph.replace(conv)
        graph.types[conv.output] = TensorType(result.dtype, result.shape)
        graph.remove(chain.bias.name)
        graph.add(replace(chain.bias, name=chain.gather.name))
    graph.remove(chain.spread.name)
