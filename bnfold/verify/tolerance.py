"""How far two correct float programs may lie apart, from the graph itself."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnfold.graph import Graph, Node
from bnfold.verify.report import Tolerance

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half the distance from 1 to the next number of the type: the relative error of one rounding."""

SAFETY = 8.0
"""Rounding errors walk at random, ``u·√n`` after ``n`` roundings; no correct file has been seen to leave 8 times that
without TensorFlow's own result being as far from the float64 one."""

LARGEST_RTOL = 1e-4
"""Beyond this a float32 difference is never taken for rounding by its size alone."""

FACTOR = 4.0
"""How many times TensorFlow's own float32 error the file's error may be."""

FLOOR = 8.0
"""Error against the float64 result that is always allowed, in roundings: an output of a few numbers may by luck
be exact in one program and a few roundings off in the other."""

KERNEL_ERRORS = {"Sigmoid": 3.0}
"""Ops whose kernel in onnxruntime is off by itself, however small its result: by how many roundings at 1. Its Sigmoid
is 1/2 plus a rational function; it has been measured to be 2.3 roundings off, a third of a thousandth of σ(-8)."""

VIEWS = frozenset({"Identity", "Reshape", "Squeeze", "ExpandDims", "Transpose"})

WORST_NOISE = 1e-2
"""Where TensorFlow's own float32 result is farther than this from the float64 one, it proves nothing."""


def tolerance(
    graph: Graph,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    exact: bool = False,
    compute: str = "float32",
    once_a_layer: bool = False,
) -> Tolerance:
    """The tolerance for a graph, or the one the caller asks for.

    ::

        rtol = SAFETY · u · √n        at most LARGEST_RTOL (for float32)

    with ``u`` the unit roundoff of the type computed in, and ``n`` the number of products summed on the way to an
    output: over the convolutions and dense layers, the sum of the number of products in one of their sums. It
    follows the probabilistic bound for sums of rounded products (Higham and Mary, 2019).

    Parameters
    ----------
    graph : Graph
        With ``types``.
    rtol, atol : float, optional
        Replace the formula; whichever is not given is 0.
    exact : bool
        Judge by the float64 result alone.
    compute : str
        The type that the file computes in: ``float16`` for one written with half precision.
    once_a_layer : bool
        Sums are taken in float32 and rounded to ``compute`` at the end of each layer, as onnxruntime does for half
        precision: ``n`` counts layers, twice, for their weights and for their results.
    """
    unit = UNIT_ROUNDOFF[compute]
    if rtol is not None or atol is not None:
        return Tolerance(rtol or 0.0, atol or 0.0, None, 0.0, False, "given")
    sums = [products_in_one_sum(graph, node) for node in graph]
    products = 2 * sum(count > 0 for count in sums) if once_a_layer else sum(sums)
    bound = SAFETY * unit * math.sqrt(max(products, 1))
    limit = LARGEST_RTOL * max(1.0, unit / UNIT_ROUNDOFF["float32"])
    counted = "roundings" if once_a_layer else "summed products"
    reason = f"{SAFETY:g}·u·√n, u = {unit:.1e} ({compute}), n = {products} {counted}"
    if bound > limit:
        bound, reason = limit, f"{reason}, at most {limit:.0e}"
    half = compute != "float32"
    # TensorFlow's own float32 error says nothing of a half-precision file: the rounding model decides alone.
    return Tolerance(bound, 0.0, None if half else FACTOR, 0.0 if half else FLOOR * unit, exact and not half, reason)


def kernel_error(graph: Graph, tensor: str) -> float:
    """What onnxruntime's kernel may be off, in absolute terms, where one of `KERNEL_ERRORS` gives ``tensor``."""
    known = graph.types.get(tensor)
    if known is None or known.dtype.name != "float32":
        return 0.0
    node = graph.find_producer(tensor)
    while node is not None and node.op in VIEWS:
        node = graph.find_producer(node.inputs[0])
    return 0.0 if node is None else KERNEL_ERRORS.get(node.op, 0.0) * UNIT_ROUNDOFF["float32"]


def products_in_one_sum(graph: Graph, node: Node) -> int:
    """How many products are summed for one element of the output of ``node``; 0 for other ops."""
    count = _SUMS.get(node.op)
    if count is None or len(node.inputs) < 2:
        return 0
    shape = graph.shape_of(node.inputs[1])
    if shape is None or any(size is None for size in shape):
        return 0
    return count(tuple(int(size or 0) for size in shape), node)


def _convolution(kernel: tuple[int, ...], _: Node) -> int:
    return math.prod(kernel[:-1])


def _depthwise(kernel: tuple[int, ...], _: Node) -> int:
    return math.prod(kernel[:-2])


def _transposed(kernel: tuple[int, ...], _: Node) -> int:
    return math.prod(kernel[:-2]) * kernel[-1]


def _dense(kernel: tuple[int, ...], node: Node) -> int:
    transposed = node.attrs.get("transpose_b") or node.attrs.get("adj_y")
    return kernel[-1 if transposed else -2]


_SUMS: dict[str, Callable[[tuple[int, ...], Node], int]] = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    "Conv3DBackpropInputV2": _transposed,
    "MatMul": _dense,
    "BatchMatMul": _dense,
    "BatchMatMulV2": _dense,
    "BatchMatMulV3": _dense,
}
