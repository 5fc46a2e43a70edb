"""Which sizes of a graph are the same, although none of them is known.

TensorFlow's static shapes say "unknown" for each; here the unknown size of an input has a name, and is followed
through the graph: into what ``Shape`` gives, through the arithmetic on it, and into the shapes that come of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bnfold.export.part_sizes import PARTS
from bnfold.export.placement import Drops, Expands, Follows, Permutes, Reshapes, Spatial
from bnfold.export.size import Size
from bnfold.export.table import find_row
from bnfold.graph import Graph, Node

Shape = tuple[Size, ...]
Values = tuple[Size | None, ...]

LONGEST = 64
"""Entries up to which the content of a tensor is followed."""


class Sizes:
    """The sizes of every tensor of ``graph``, and the content of those that hold sizes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._shapes: dict[str, Shape] = {}
        self._values: dict[str, Values] = {}
        for node in graph.topological():
            self._measure(node)

    def shape(self, tensor: str) -> Shape | None:
        """The sizes of ``tensor``; None when not even the rank is known."""
        return self._shapes.get(tensor)

    def values(self, tensor: str) -> Values | None:
        """The content of ``tensor``, an integer or a vector of them; None in it is what is no known polynomial."""
        if tensor not in self._values:
            array = self.graph.value(tensor)
            if array is None or array.ndim > 1 or array.size > LONGEST or array.dtype.kind not in "iu":
                return None
            self._values[tensor] = tuple(Size.of(int(number)) for number in array.flat)
        return self._values[tensor]

    def reshaped(self, node: Node) -> Values | None:
        """The sizes of a Reshape's result, with -1 resolved where it can be."""
        target, before = self.values(node.inputs[1]), self.shape(node.inputs[0])
        if target is None:
            return None
        if Size.of(-1) not in target:
            return target
        others = [size for size in target if size != Size.of(-1)]
        left: Size | None = None
        if before is not None and None not in others:
            left = Size.product(before).divided(Size.product(size for size in others if size is not None))
        return tuple(left if size == Size.of(-1) else size for size in target)

    def _measure(self, node: Node) -> None:
        if (content := _content(self, node)) is not None and self._is_flat(node.output):
            self._values[node.output] = content
        index = 0
        while (known := self.graph.type_of(node.tensor(index))) is not None:
            tensor = node.tensor(index)
            if known.shape is not None:
                followed = self._followed(node, index, len(known.shape)) if None in known.shape else None
                self._shapes[tensor] = tuple(
                    Size.of(size) if size is not None else self._named(followed, tensor, axis)
                    for axis, size in enumerate(known.shape)
                )
            index += 1

    def _is_flat(self, tensor: str) -> bool:
        """Has it one axis at most? Of a matrix of sizes the order of its entries says nothing."""
        shape = self.graph.shape_of(tensor)
        return shape is not None and len(shape) <= 1

    def _named(self, followed: Values | None, tensor: str, axis: int) -> Size:
        size = followed[axis] if followed is not None else None
        return Size.symbol(f"{tensor}[{axis}]") if size is None else size

    def _followed(self, node: Node, index: int, rank: int) -> Values | None:
        """The sizes of output ``index`` as those of the inputs tell them."""
        follow = _BY_OP.get(node.op)
        if follow is None:
            row = find_row(node.op)
            follow = _BY_PLACEMENT.get(type(row.placement)) if row is not None else None
        found = follow(self, node) if follow is not None else None
        return found if found is not None and len(found) == rank else None


Follow = Callable[[Sizes, Node], "Values | None"]


def _of_operands(sizes: Sizes, node: Node) -> Values | None:
    """Elementwise: what all operands agree on that are not known to be 1 there."""
    row = find_row(node.op)
    if row is None or not isinstance(row.placement, Follows) or row.placement.constant:
        return None
    shapes = [sizes.shape(node.inputs[index]) for index in row.placement.data_inputs(node)]
    if not shapes or None in shapes:
        return None
    known = [shape for shape in shapes if shape is not None]
    rank = max(map(len, known))
    result: list[Size | None] = []
    for axis in range(rank):
        here = {shape[axis - rank + len(shape)] for shape in known if axis - rank + len(shape) >= 0}
        here.discard(Size.of(1))
        result.append(here.pop() if len(here) == 1 else Size.of(1) if not here else None)
    return tuple(result)


def _of_window(sizes: Sizes, node: Node) -> Values | None:
    """Convolutions and pools keep the batch, and with stride 1 and SAME padding the image."""
    row = find_row(node.op)
    assert row is not None
    assert isinstance(row.placement, Spatial)
    shape = sizes.shape(node.inputs[row.placement.data[0]])
    if shape is None or node.op.endswith(("BackpropInput", "BackpropInputV2")):
        return sizes.values(node.inputs[0])
    strides = node.attrs.get("strides")
    if node.op not in _KEEPS_BATCH or strides is None:
        return None
    same = node.attrs.get("padding") == "SAME"
    kept = [size if stride == 1 and same else None for size, stride in zip(shape, strides, strict=True)]
    kept[0] = shape[0]
    if node.op in _CHANGES_CHANNELS:
        kept[1 if str(node.attrs.get("data_format")).startswith("NC") else -1] = None
    return tuple(kept)


_CHANGES_CHANNELS = frozenset({"Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1d", "DepthwiseConv2dNative"})
_KEEPS_BATCH = _CHANGES_CHANNELS | {"MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"}


def _of_dropped(sizes: Sizes, node: Node) -> Values | None:
    row, shape = find_row(node.op), sizes.shape(node.inputs[0])
    if row is None or shape is None or not isinstance(row.placement, Drops):
        return None
    dropped = row.placement.dropped(sizes.graph, node, len(shape))
    if dropped is None:
        return None
    keep = row.placement.keep and node.attrs.get(row.placement.keep)
    if keep:
        return tuple(Size.of(1) if axis in dropped else size for axis, size in enumerate(shape))
    return tuple(size for axis, size in enumerate(shape) if axis not in dropped)


def _of_expanded(sizes: Sizes, node: Node) -> Values | None:
    shape, axis = sizes.shape(node.inputs[0]), sizes.graph.value(node.inputs[1])
    if shape is None or axis is None:
        return None
    sizes_now: list[Size | None] = list(shape)
    sizes_now.insert(int(axis.flat[0]) % (len(shape) + 1), Size.of(1))
    return tuple(sizes_now)


def _of_permuted(sizes: Sizes, node: Node) -> Values | None:
    shape, permutation = sizes.shape(node.inputs[0]), sizes.graph.value(node.inputs[1])
    if shape is None or permutation is None:
        return None
    return tuple(shape[int(axis)] for axis in permutation.flat)


def _of_concatenated(sizes: Sizes, node: Node) -> Values | None:
    axis_input = node.inputs[-1] if node.op == "ConcatV2" else node.inputs[0]
    others = node.inputs[:-1] if node.op == "ConcatV2" else node.inputs[1:]
    shapes = [sizes.shape(tensor) for tensor in others]
    axis = sizes.graph.value(axis_input)
    if axis is None or any(shape is None for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    result: list[Size | None] = list(known[0])
    total = Size.of(0)
    for shape in known:
        total = total + shape[int(axis.flat[0])]
    result[int(axis.flat[0])] = total
    return tuple(result)


def _of_product(sizes: Sizes, node: Node) -> Values | None:
    first, second = sizes.shape(node.inputs[0]), sizes.shape(node.inputs[1])
    if first is None or second is None or len(first) != len(second):
        return None
    turned = [
        node.attrs.get(name) for name in (("adj_x", "adj_y"), ("transpose_a", "transpose_b"))[node.op == "MatMul"]
    ]
    batch = [a if a == b or b == Size.of(1) else None for a, b in zip(first[:-2], second[:-2], strict=True)]
    return (*batch, first[-1 if turned[0] else -2], second[-2 if turned[1] else -1])


def _of_resized(sizes: Sizes, node: Node) -> Values | None:
    """Resized images keep the batch and the channels; their height and width are the second input."""
    shape = sizes.shape(node.inputs[0])
    if shape is None or len(shape) != 4:
        return None
    height, width = sizes.values(node.inputs[1]) or (None, None)
    return (shape[0], height, width, shape[3])


def _of_steps(sizes: Sizes, node: Node) -> Values | None:
    """A recurrent layer keeps time and batch."""
    shape = sizes.shape(node.inputs[0])
    return None if shape is None else (*shape[:2], None)


_BY_PLACEMENT: dict[type, Follow] = {
    Follows: _of_operands,
    Spatial: _of_window,
    Drops: _of_dropped,
    Expands: _of_expanded,
    Permutes: _of_permuted,
    Reshapes: Sizes.reshaped,
}
_BY_OP: dict[str, Follow] = {
    **PARTS,
    "ConcatV2": _of_concatenated,
    "Concat": _of_concatenated,
    "MatMul": _of_product,
    "BatchMatMul": _of_product,
    "BatchMatMulV2": _of_product,
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"), _of_resized),
    "Fill": lambda sizes, node: sizes.values(node.inputs[0]),
    "BroadcastTo": lambda sizes, node: sizes.values(node.inputs[1]),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _of_steps),
}


# Content


def _content(sizes: Sizes, node: Node) -> Values | None:
    rule = _CONTENT.get(node.op)
    found = rule(sizes, node) if rule is not None else None
    return found if found is not None and len(found) <= LONGEST else None


def _taken(sizes: Sizes, node: Node) -> Values | None:
    """StridedSlice of a vector."""
    values = sizes.values(node.inputs[0])
    bounds = [sizes.graph.value(tensor) for tensor in node.inputs[1:]]
    if values is None or any(bound is None or bound.size != 1 for bound in bounds):
        return None
    if node.attrs.get("new_axis_mask") or node.attrs.get("ellipsis_mask"):
        return None
    begin, end, step = (int(bound.flat[0]) for bound in bounds if bound is not None)
    if node.attrs.get("shrink_axis_mask"):
        return (values[begin],) if -len(values) <= begin < len(values) else None
    first = None if node.attrs.get("begin_mask") else begin
    return values[first : None if node.attrs.get("end_mask") else end : step]


def _gathered(sizes: Sizes, node: Node) -> Values | None:
    values, index = sizes.values(node.inputs[0]), sizes.graph.value(node.inputs[1])
    if values is None or index is None or index.ndim > 1 or (index >= len(values)).any():
        return None
    return tuple(values[int(i)] for i in index.flat)


def _joined(sizes: Sizes, tensors: Sequence[str]) -> Values | None:
    parts = [sizes.values(tensor) or _opaque(sizes, tensor) for tensor in tensors]
    if any(part is None for part in parts):
        return None
    return tuple(size for part in parts if part is not None for size in part)


def _opaque(sizes: Sizes, tensor: str) -> Values | None:
    """A number of which nothing is known, which must not hide its neighbours."""
    return (None,) if sizes.graph.shape_of(tensor) in ((), (1,)) else None


def _packed(sizes: Sizes, node: Node) -> Values | None:
    if any(sizes.graph.shape_of(tensor) != () for tensor in node.inputs):
        return None
    return _joined(sizes, node.inputs)


def _elementwise(function: Callable[[Size, Size], Size | None]) -> Follow:
    def follow(sizes: Sizes, node: Node) -> Values | None:
        first, second = sizes.values(node.inputs[0]), sizes.values(node.inputs[1])
        if first is None or second is None:
            return None
        length = max(len(first), len(second))
        first, second = first * (length if len(first) == 1 else 1), second * (length if len(second) == 1 else 1)
        if len(first) != len(second):
            return None
        return tuple(None if a is None or b is None else function(a, b) for a, b in zip(first, second, strict=True))

    return follow


def _multiplied(sizes: Sizes, node: Node) -> Values | None:
    values, axes = sizes.values(node.inputs[0]), sizes.graph.value(node.inputs[1])
    if values is None or None in values or node.attrs.get("keep_dims") or axes is None or not axes.size:
        return None
    return (Size.product(size for size in values if size is not None),)


def _same(sizes: Sizes, node: Node) -> Values | None:
    return sizes.values(node.inputs[0])


def _cast(sizes: Sizes, node: Node) -> Values | None:
    """What is a bool, or has but a few bits, is another number."""
    target = sizes.graph.type_of(node.output)
    return sizes.values(node.inputs[0]) if target is not None and target.dtype.name in _HOLD_SIZES else None


_HOLD_SIZES = frozenset({"int32", "int64", "uint32", "uint64", "float32", "float64"})


_CONTENT: dict[str, Follow] = {
    "Shape": lambda sizes, node: sizes.shape(node.inputs[0]),
    "Size": lambda sizes, node: None if (s := sizes.shape(node.inputs[0])) is None else (Size.product(s),),
    "StridedSlice": _taken,
    "Gather": _gathered,
    "GatherV2": _gathered,
    "Pack": _packed,
    "ConcatV2": lambda sizes, node: _joined(sizes, node.inputs[:-1]),
    "Prod": _multiplied,
    "Add": _elementwise(lambda a, b: a + b),
    "AddV2": _elementwise(lambda a, b: a + b),
    "Sub": _elementwise(lambda a, b: a - b),
    "Mul": _elementwise(lambda a, b: a * b),
    "FloorDiv": _elementwise(lambda a, b: a.divided(b)),
    "FloorMod": _elementwise(lambda a, b: a.remainder(b)),
    "Cast": _cast,
    **dict.fromkeys(("Identity", "Reshape", "ExpandDims", "Squeeze", "StopGradient"), _same),
}
