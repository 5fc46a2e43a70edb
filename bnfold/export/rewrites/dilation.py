"""SpaceToBatchND → convolution → BatchToSpaceND is one dilated convolution.

TensorFlow writes a dilated convolution as an undilated one over each phase of the image: pixels whose coordinates
are equal modulo the dilation ``d``. The phases hold the same pixels that the dilated kernel reaches, zeros that pad
each of them are ``d`` rows of the image, and rows cropped from the result are rows not padded, so

    padding of the dilated convolution = paddings + d · (padding of the inner one) - crops

holds for every size of image for which the chain itself runs.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node, TensorType

_CONVOLUTIONS = {"Conv1D": 1, "DepthwiseConv1d": 1, "Conv2D": 2, "DepthwiseConv2dNative": 2, "Conv3D": 3}
_BIASES = frozenset({"BiasAdd", "Add", "AddV2"})

Pads = list[tuple[int, int]]


@dataclass(frozen=True)
class Chain:
    """The nodes of the pattern, from the inside: the bias may stand before the way back."""

    spread: Node
    conv: Node
    bias: Node | None
    gather: Node


@rewrites()
def fold_dilations(graph: Graph, kept: Set[str]) -> None:
    for gather in list(graph):
        if gather.op == "BatchToSpaceND" and (chain := _chain(graph, gather, kept)) is not None:
            pads = _pads(graph, chain)
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


def _pads(graph: Graph, chain: Chain) -> Pads | None:
    """The padding of the dilated convolution, or None where the chain is not one."""
    count = _CONVOLUTIONS[chain.conv.op]
    arrays = [graph.value(tensor) for node in (chain.spread, chain.gather) for tensor in node.inputs[1:]]
    kernel = graph.shape_of(chain.conv.inputs[1])
    plain = [1] * (count + 2)
    if any(array is None for array in arrays) or kernel is None or None in kernel[:count]:
        return None
    if chain.conv.attrs["strides"] != plain or chain.conv.attrs.get("dilations", plain) != plain:
        return None
    blocks, paddings, gathered, crops = (array.tolist() for array in arrays if array is not None)
    if blocks != gathered or len(blocks) != count:
        return None
    inner = _inner_pads(chain.conv, [int(size or 0) for size in kernel[:count]])
    if inner is None:
        return None
    return [
        (before + block * inside[0] - cut[0], after + block * inside[1] - cut[1])
        for block, (before, after), inside, cut in zip(blocks, paddings, inner, crops, strict=True)
    ]


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
