"""Ways to a size, shortened: from the Shape, through the gathers and slices behind it, to the entry that is meant.

    Gather(Gather(v, a), b)            Gather(v, a[b])
    Unsqueeze(Gather(v, scalar i))     Gather(v, [i])
    Squeeze(Gather(v, [i]))            Gather(v, scalar i)
    Slice(Gather(v, a), b, e)          Gather(v, a[b:e])
    Gather(Shape(x), [i, i + 1, …])    Shape(x, start, end), since opset 15
    Slice(Shape(x), b, e)              the same

All along axis 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.tidying.bench import Bench
from bnfold.graph import Array

_CUTS_SINCE = 15
"""The opset in which Shape got ``start`` and ``end``."""

_END = 2**31 - 1
"""A slice that ends here or later ends with its vector."""


def shorten_size_paths(bench: Bench) -> bool:
    changed = False
    for node in bench.graph.nodes:
        rule = _RULES.get(node.op)
        if rule is not None and not node.domain:
            changed |= rule(bench, node)
    return changed


def _gather(bench: Bench, node: OnnxNode) -> bool:
    index = bench.array(node.inputs[1])
    if index is None or node.attrs.get("axis", 0) != 0:
        return False
    inner = bench.maker(node.inputs[0], "Gather")
    first = _along_first_axis(bench, inner)
    if inner is not None and first is not None and first.ndim == 1 and (index < first.size).all():
        return _become_gather(bench, node, inner.inputs[0], first[index])
    whole = _whole_shape(bench, node.inputs[0])
    if whole is None or index.ndim != 1 or not index.size or bench.opset < _CUTS_SINCE:
        return False
    start, end = int(index[0]), int(index[-1]) + 1
    if start < 0 or index.tolist() != list(range(start, end)):
        return False
    return _become_cut(node, whole, start, end)


def _unsqueeze(bench: Bench, node: OnnxNode) -> bool:
    inner = bench.maker(node.inputs[0], "Gather")
    index = _along_first_axis(bench, inner)
    if inner is None or index is None or index.ndim or bench.vector(node.inputs[1]) != [0]:
        return False
    if not _is_vector(bench, inner.inputs[0]):
        return False
    return _become_gather(bench, node, inner.inputs[0], index.reshape(1))


def _squeeze(bench: Bench, node: OnnxNode) -> bool:
    inner = bench.maker(node.inputs[0], "Gather", "Shape")
    if inner is None or len(node.inputs) != 2 or bench.vector(node.inputs[1]) != [0]:
        return False
    index = _along_first_axis(bench, inner) if inner.op == "Gather" else None
    if index is None or index.shape != (1,) or not _is_vector(bench, inner.inputs[0]):
        return False
    return _become_gather(bench, node, inner.inputs[0], index.reshape(()))


def _slice(bench: Bench, node: OnnxNode) -> bool:
    bounds = [bench.vector(value) for value in node.inputs[1:]]
    if any(bound is None or len(bound) != 1 for bound in bounds) or not all(node.inputs):
        return False
    start, end, axis, step = [bound[0] for bound in bounds if bound is not None] + [0, 1][len(bounds) - 2 :]
    if axis != 0:
        return False
    inner = bench.maker(node.inputs[0], "Gather")
    first = _along_first_axis(bench, inner)
    if inner is not None and first is not None and first.ndim == 1 and step > 0:
        return _become_gather(bench, node, inner.inputs[0], first[start:end:step])
    whole = _whole_shape(bench, node.inputs[0])
    if whole is None or step != 1 or bench.opset < _CUTS_SINCE:
        return False
    return _become_cut(node, whole, start, None if end >= _END else end)


_RULES: dict[str, Callable[[Bench, OnnxNode], bool]] = {
    "Gather": _gather,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
}


def _along_first_axis(bench: Bench, node: OnnxNode | None) -> Array | None:
    """The constant index of a Gather along axis 0."""
    if node is None or node.op != "Gather" or node.attrs.get("axis", 0) != 0:
        return None
    return bench.array(node.inputs[1])


def _is_vector(bench: Bench, value: str) -> bool:
    return bench.maker(value, "Shape") is not None


def _whole_shape(bench: Bench, value: str) -> str | None:
    """``x``, if ``value`` is ``Shape(x)`` uncut."""
    node = bench.maker(value, "Shape")
    if node is None or node.attrs.get("start") is not None or node.attrs.get("end") is not None:
        return None
    return node.inputs[0]


def _become_gather(bench: Bench, node: OnnxNode, value: str, index: Array) -> bool:
    node.op, node.attrs = "Gather", {"axis": 0}
    node.inputs = [value, bench.constant(np.asarray(index, np.int64), f"{node.outputs[0]}/index")]
    return True


def _become_cut(node: OnnxNode, value: str, start: int, end: int | None) -> bool:
    node.op, node.inputs = "Shape", [value]
    node.attrs = {"start": start, "end": end}
    return True
