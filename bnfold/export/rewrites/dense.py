"""Dense layers on values of many axes: TensorFlow flattens to a matrix and back, ONNX multiplies as it is."""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import cache

from bnfold.export.rewrites import rewrites
from bnfold.export.sizes import Sizes
from bnfold.graph import Graph, Node


@rewrites(order=15)
def multiply_without_flattening(graph: Graph, kept: Set[str]) -> None:
    """``reshape(matmul(reshape(x, [-1, k]), kernel), [*shape(x)[:-1], m])`` is ``matmul(x, kernel)``."""
    measured = cache(lambda: Sizes(graph))
    for back in [node for node in graph if node.op == "Reshape"]:
        product = graph.producer_of(back.inputs[0])
        if product.op != "MatMul" or product.output in kept or len(graph.readers(product.output)) != 1:
            continue
        flat = graph.producer_of(product.inputs[0])
        if flat.op != "Reshape" or product.attrs.get("transpose_a") or product.attrs.get("transpose_b"):
            continue
        kernel = graph.value(product.inputs[1])
        if kernel is None or not _only_flattens(graph, flat.inputs[0], back, kernel.shape, measured):
            continue
        attrs = {"T": product.attrs["T"], "adj_x": False, "adj_y": False}
        graph.replace(Node(back.name, "BatchMatMulV2", (flat.inputs[0], product.inputs[1]), attrs))
        graph.remove(product.name)
        if flat.output not in kept and not graph.consumers(flat.name):
            graph.remove(flat.name)


def _only_flattens(graph: Graph, x: str, back: Node, kernel: tuple[int, ...], measured: Callable[[], Sizes]) -> bool:
    """Has ``x`` the sizes of the result, but for the last, and as many columns as ``kernel`` has rows?"""
    before, after = graph.shape_of(x), graph.shape_of(back.output)
    if before is None or after is None or len(before) != len(after) or len(before) < 3:
        return False
    if (before[-1], after[-1]) != kernel:
        return False
    if before[:-1] == after[:-1] and before.count(None) <= 1:
        return True
    sizes, result = measured().shape(x), measured().reshaped(back)
    return sizes is not None and result is not None and sizes[:-1] == result[:-1]
