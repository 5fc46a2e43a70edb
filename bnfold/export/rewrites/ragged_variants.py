"""Ragged tensors that are packed into a variant, and unpacked again."""

from __future__ import annotations

from collections.abc import Set

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node


@rewrites(order=-5)
def unpack_ragged(graph: Graph, kept: Set[str]) -> None:
    """What is unpacked as it was packed is what was packed."""
    for node in [node for node in graph if node.op == "RaggedTensorFromVariant"]:
        packed = graph.find_producer(node.inputs[0])
        if packed is None or packed.op != "RaggedTensorToVariant" or not _are_alike(packed, node):
            continue
        outputs = [node.tensor(index) for index in range(len(packed.inputs))]
        if kept.isdisjoint(outputs):
            for output, tensor in zip(outputs, packed.inputs, strict=True):
                graph.redirect(output, tensor)


def _are_alike(packed: Node, unpacked: Node) -> bool:
    """A batch of variants, one for each row, is unpacked without a rank of its own; one variant with none either."""
    ragged_rank = packed.attrs["RAGGED_RANK"]
    return bool(
        unpacked.attrs["output_ragged_rank"] == ragged_rank
        and packed.attrs["Tsplits"] == unpacked.attrs["Tsplits"]
        and packed.attrs["Tvalues"] == unpacked.attrs["Tvalues"]
    )
