"""Ops that today's TensorFlow runs no more, written as ops that it does."""

from __future__ import annotations

from dataclasses import replace

from bnfold.graph import Graph, Node
from bnfold.inference.beams import follow_beams

GLOBAL_NORMALIZATION = frozenset({"BatchNormWithGlobalNormalization", "_BatchNormWithGlobalNormalization"})


def modernise(graph: Graph) -> Graph:
    """``GatherTree`` as a loop; ``BatchNormWithGlobalNormalization`` (removed at version 9) as ``FusedBatchNormV3``.

        y = (x − mean) / sqrt(variance + variance_epsilon) · gamma + beta

    Without ``scale_after_normalization`` gamma is read but not used.
    https://www.tensorflow.org/api_docs/python/tf/raw_ops/BatchNormWithGlobalNormalization
    """
    graph = follow_beams(graph)
    old = [node for node in graph if node.op in GLOBAL_NORMALIZATION]
    if not old:
        return graph
    graph = graph.copy()
    for node in old:
        x, mean, variance, beta, gamma = node.inputs
        dtype = node.attrs["T"]
        if not node.attrs["scale_after_normalization"]:
            ones = Node(graph.fresh_name(f"{node.name}/gamma"), "OnesLike", (gamma,), {"T": dtype})
            gamma = graph.add(ones).output
        attrs = {
            "T": dtype,
            "U": dtype,
            "epsilon": node.attrs["variance_epsilon"],
            "exponential_avg_factor": 1.0,
            "data_format": "NHWC",
            "is_training": False,
        }
        graph.replace(replace(node, op="FusedBatchNormV3", inputs=(x, gamma, beta, mean, variance), attrs=attrs))
    return graph
