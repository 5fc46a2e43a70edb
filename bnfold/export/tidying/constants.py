"""Nodes of constants alone are constants: thresholds that are reshaped, boxes that are cut and scaled."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np

from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.tidying.bench import Bench
from bnfold.graph import Array, DType

_LARGEST = 1 << 16
"""Elements of what is computed here: more than sizes, axes, thresholds and boxes have, less than weights."""

_ARITHMETIC = ("float32", "float64", "int32", "int64")
"""The dtypes in which numpy and onnxruntime compute the same, bit for bit."""

Rule = Callable[[OnnxNode, list[Array]], "Array | None"]


def fold_constants(bench: Bench) -> bool:
    """Let initializers stand for what nodes make of initializers. An output of the graph stays a node's."""
    instead: dict[str, str] = {}
    kept: list[OnnxNode] = []
    outputs = set(bench.graph.outputs)
    for node in bench.graph.nodes:
        node.rename(instead)
        result = _result(bench, node) if outputs.isdisjoint(node.outputs) else None
        if result is None:
            kept.append(node)
        else:
            instead[node.outputs[0]] = bench.constant(result, node.outputs[0])
    bench.graph.nodes = kept
    return bool(instead)


def _result(bench: Bench, node: OnnxNode) -> Array | None:
    """What ``node`` gives, if all that it reads is constant."""
    rule = _RULES.get(node.op)
    if rule is None or node.domain or len(node.outputs) != 1 or not node.inputs:
        return None
    arrays = [array for value in node.inputs if (array := bench.array(value)) is not None]
    if len(arrays) < len(node.inputs) or not all(map(_is_plain, arrays)):
        return None
    try:
        result = rule(node, arrays)
    except (ValueError, IndexError):
        return None  # it fails when it runs, which in a branch that is never taken it does not
    return result if result is not None and _is_plain(result) else None


def _is_plain(array: Array) -> bool:
    return array.dtype.kind in "biuf" and array.size <= _LARGEST


def _elementwise(function: Callable[..., Array]) -> Rule:
    def fold(node: OnnxNode, arrays: list[Array]) -> Array | None:
        if any(array.dtype.name not in _ARITHMETIC for array in arrays):
            return None
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays))

    return fold


def _quotient(node: OnnxNode, arrays: list[Array]) -> Array | None:
    """Of integers it is cut towards zero."""
    first, second = arrays
    if first.dtype.kind == "f":
        return _elementwise(operator.truediv)(node, arrays)
    if first.dtype.kind != "i" or (second == 0).any():
        return None
    found: Array = (np.abs(first) // np.abs(second) * np.sign(first) * np.sign(second)).astype(first.dtype)
    return found


def _extreme(function: Callable[[Array, Array], Array]) -> Rule:
    """Max and Min take any number of operands."""

    def fold(node: OnnxNode, arrays: list[Array]) -> Array | None:
        if any(array.dtype.name not in _ARITHMETIC or np.isnan(array).any() for array in arrays):
            return None
        result = arrays[0]
        for array in arrays[1:]:
            result = function(result, array)
        return result

    return fold


def _logical(function: Callable[..., Array]) -> Rule:
    return lambda node, arrays: np.asarray(function(*arrays))


def _cast(node: OnnxNode, arrays: list[Array]) -> Array | None:
    """Where every number has a place in the other dtype."""
    [array], target = arrays, node.attrs["to"]
    if not isinstance(target, DType) or target.numpy is None or np.dtype(target.numpy).kind not in "biuf":
        return None
    if np.dtype(target.numpy).kind in "iu" and array.size:
        bounds = np.iinfo(target.numpy)
        if not np.isfinite(array).all() or int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            return None
    return array.astype(target.numpy)


def _reshaped(node: OnnxNode, arrays: list[Array]) -> Array | None:
    array, target = arrays
    sizes: list[int] = target.tolist()
    if not node.attrs.get("allowzero"):
        sizes = [array.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return array.reshape(sizes)


def _unsqueezed(node: OnnxNode, arrays: list[Array]) -> Array:
    return np.expand_dims(arrays[0], tuple(arrays[1].ravel().tolist()))


def _squeezed(node: OnnxNode, arrays: list[Array]) -> Array:
    return np.squeeze(arrays[0], tuple(arrays[1].ravel().tolist()) if len(arrays) > 1 else None)


def _sliced(node: OnnxNode, arrays: list[Array]) -> Array:
    array, starts, ends = arrays[:3]
    axes = arrays[3] if len(arrays) > 3 else np.arange(len(starts))
    steps = arrays[4] if len(arrays) > 4 else np.ones_like(starts)
    cuts = [slice(None)] * array.ndim
    for axis, *cut in zip(*(bounds.tolist() for bounds in (axes, starts, ends, steps)), strict=True):
        cuts[axis] = slice(*cut)
    return array[tuple(cuts)]


def _gathered(node: OnnxNode, arrays: list[Array]) -> Array | None:
    array, index = arrays
    axis = int(node.attrs.get("axis") or 0)
    size = array.shape[axis]
    return array.take(index, axis) if (index >= -size).all() and (index < size).all() else None


def _counted(node: OnnxNode, arrays: list[Array]) -> Array | None:
    start, end, step = (array.item() for array in arrays)
    if arrays[0].dtype.kind != "i" or step == 0 or abs((end - start) / step) > _LARGEST:
        return None
    return np.arange(int(start), int(end), int(step)).astype(arrays[0].dtype)


def _expanded(node: OnnxNode, arrays: list[Array]) -> Array | None:
    array, target = arrays
    shape = np.broadcast_shapes(array.shape, tuple(target.tolist()))
    return np.broadcast_to(array, shape) if np.prod(shape) <= _LARGEST else None


def _joined(node: OnnxNode, arrays: list[Array]) -> Array:
    return np.concatenate(arrays, int(node.attrs["axis"]))


def _transposed(node: OnnxNode, arrays: list[Array]) -> Array:
    return arrays[0].transpose(node.attrs.get("perm"))


_RULES: dict[str, Rule] = {
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _quotient,
    "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil),
    "Neg": _elementwise(np.negative),
    "Max": _extreme(np.maximum),
    "Min": _extreme(np.minimum),
    "Greater": _logical(np.greater),
    "GreaterOrEqual": _logical(np.greater_equal),
    "Less": _logical(np.less),
    "LessOrEqual": _logical(np.less_equal),
    "Equal": _logical(np.equal),
    "And": _logical(np.logical_and),
    "Or": _logical(np.logical_or),
    "Not": _logical(np.logical_not),
    "Where": _logical(np.where),
    "Cast": _cast,
    "Reshape": _reshaped,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Slice": _sliced,
    "Gather": _gathered,
    "Range": _counted,
    "Expand": _expanded,
    "Concat": _joined,
    "Transpose": _transposed,
}
