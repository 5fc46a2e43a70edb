"""The sizes of what ops cut out of a tensor, repeat, and put together: which axes they leave whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bnfold.export.size import Size
from bnfold.graph import Node

if TYPE_CHECKING:
    from bnfold.export.sizes import Sizes

Values = tuple[Size | None, ...]


def _of_strided_slice(sizes: Sizes, node: Node) -> Values | None:
    """Entries that ask for all of an axis, in either direction, and axes that have no entry."""
    shape, bounds = sizes.shape(node.inputs[0]), [sizes.values(tensor) for tensor in node.inputs[1:]]
    if shape is None or any(bound is None for bound in bounds):
        return None
    begins, ends, steps = ([None if n is None else n.known for n in bound] for bound in bounds if bound is not None)
    masks = {name: int(node.attrs.get(f"{name}_mask") or 0) for name in ("begin", "end", "ellipsis", "new_axis")}
    dropped = int(node.attrs.get("shrink_axis_mask") or 0)
    taking = [i for i in range(len(begins)) if not (masks["ellipsis"] | masks["new_axis"]) >> i & 1]
    result: list[Size | None] = []
    axis = 0
    for i, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if masks["ellipsis"] >> i & 1:
            stop = len(shape) - sum(other > i for other in taking)
            result.extend(shape[axis:stop])
            axis = stop
        elif masks["new_axis"] >> i & 1:
            result.append(Size.of(1))
        else:
            from_border = masks["begin"] >> i & 1 or begin == (0 if step == 1 else -1)
            to_border = masks["end"] >> i & 1 or end == _FAR
            if not dropped >> i & 1:
                result.append(shape[axis] if from_border and to_border and step in (1, -1) else None)
            axis += 1
    return (*result, *shape[axis:])


_FAR = 2**31 - 1
"""The end of a slice that is written as int32 without a mask."""


def _of_slice(sizes: Sizes, node: Node) -> Values | None:
    shape, begins, wanted = sizes.shape(node.inputs[0]), sizes.values(node.inputs[1]), sizes.values(node.inputs[2])
    if shape is None or begins is None or wanted is None or not len(wanted) == len(begins) == len(shape):
        return None
    rest = [size if begin == Size.of(0) else None for size, begin in zip(shape, begins, strict=True)]
    return tuple(left if size == Size.of(-1) else size for size, left in zip(wanted, rest, strict=True))


def _of_padded(sizes: Sizes, node: Node) -> Values | None:
    """An axis whose padding is computed says nothing of the others."""
    shape, array = sizes.shape(node.inputs[0]), sizes.graph.value(node.inputs[1])
    if shape is None:
        return None
    if array is not None:
        return tuple(size + int(both.sum()) for size, both in zip(shape, array, strict=True))
    rows = sizes.graph.find_producer(node.inputs[1])
    if rows is None or rows.op != "Pack" or rows.attrs.get("axis") or len(rows.inputs) != len(shape):
        return None
    return tuple(_widened(size, sizes.values(row)) for size, row in zip(shape, rows.inputs, strict=True))


def _widened(size: Size, pads: Values | None) -> Size | None:
    if pads is None or len(pads) != 2 or pads[0] is None or pads[1] is None:
        return None
    return size + pads[0] + pads[1]


def _of_tiles(sizes: Sizes, node: Node) -> Values | None:
    shape, times = sizes.shape(node.inputs[0]), sizes.values(node.inputs[1])
    if shape is None or times is None or len(times) != len(shape):
        return None
    return tuple(None if count is None else size * count for size, count in zip(shape, times, strict=True))


def _of_entries(sizes: Sizes, node: Node) -> Values | None:
    """Gather: the axis becomes those of the indices, less those that both sides share."""
    shape, indices = sizes.shape(node.inputs[0]), sizes.shape(node.inputs[1])
    array = sizes.graph.value(node.inputs[2]) if len(node.inputs) > 2 else None
    if shape is None or indices is None or (array is None and len(node.inputs) > 2):
        return None
    axis = int(array.flat[0]) % len(shape) if array is not None else 0
    return (*shape[:axis], *indices[int(node.attrs.get("batch_dims") or 0) % (len(indices) + 1) :], *shape[axis + 1 :])


def _of_shares(sizes: Sizes, node: Node) -> Values | None:
    """Split and SplitV keep all axes but one."""
    data, where = (1, 0) if node.op == "Split" else (0, 2)
    shape, axis = sizes.shape(node.inputs[data]), sizes.graph.value(node.inputs[where])
    if shape is None or axis is None:
        return None
    result: list[Size | None] = list(shape)
    place = int(axis.flat[0]) % len(shape)
    result[place] = shape[place].divided(Size.of(int(node.attrs["num_split"]))) if node.op == "Split" else None
    return tuple(result)


def _of_stacked(sizes: Sizes, node: Node) -> Values | None:
    shape = sizes.shape(node.inputs[0])
    if shape is None:
        return None
    axis = int(node.attrs.get("axis") or 0) % (len(shape) + 1)
    return (*shape[:axis], Size.of(len(node.inputs)), *shape[axis:])


def _of_unstacked(sizes: Sizes, node: Node) -> Values | None:
    shape = sizes.shape(node.inputs[0])
    if not shape:
        return None
    axis = int(node.attrs.get("axis") or 0) % len(shape)
    return (*shape[:axis], *shape[axis + 1 :])


def _of_one_hot(sizes: Sizes, node: Node) -> Values | None:
    shape, depth = sizes.shape(node.inputs[0]), sizes.values(node.inputs[1])
    if shape is None:
        return None
    axis = int(node.attrs.get("axis", -1)) % (len(shape) + 1)
    return (*shape[:axis], depth[0] if depth else None, *shape[axis:])


def _of_blocks(sizes: Sizes, node: Node) -> Values | None:
    """SpaceToDepth and DepthToSpace keep the batch, and divide or multiply the sides."""
    shape, block = sizes.shape(node.inputs[0]), Size.of(int(node.attrs["block_size"]))
    if shape is None or str(node.attrs.get("data_format") or "NHWC") != "NHWC":
        return None
    sides = [side.divided(block) if node.op == "SpaceToDepth" else side * block for side in shape[1:3]]
    return (shape[0], *sides, None)


def _of_crops(sizes: Sizes, node: Node) -> Values | None:
    image, boxes = sizes.shape(node.inputs[0]), sizes.shape(node.inputs[1])
    if image is None or boxes is None:
        return None
    return (boxes[0], *(sizes.values(node.inputs[3]) or (None, None)), image[-1])


def _of_letters(sizes: Sizes, node: Node) -> Values | None:
    """Einsum without an ellipsis: each letter is one size."""
    left, _, right = str(node.attrs["equation"]).replace(" ", "").partition("->")
    if "." in left:
        return None
    letters: dict[str, Size] = {}
    for term, tensor in zip(left.split(","), node.inputs, strict=True):
        if (shape := sizes.shape(tensor)) is None or len(shape) != len(term):
            return None
        letters.update(zip(term, shape, strict=True))
    return tuple(letters.get(letter) for letter in right)


def _of_input(sizes: Sizes, node: Node) -> Values | None:
    return sizes.shape(node.inputs[0])


def _all_but_last(sizes: Sizes, node: Node) -> Values | None:
    shape = sizes.shape(node.inputs[0])
    return (*shape[:-1], None) if shape else None


def _batch_of(sizes: Sizes, node: Node) -> Values | None:
    shape = sizes.shape(node.inputs[0])
    return (shape[0], *[None] * (len(shape) - 1)) if shape else None


PARTS: dict[str, Callable[[Sizes, Node], Values | None]] = {
    "StridedSlice": _of_strided_slice,
    "Slice": _of_slice,
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _of_padded),
    "Tile": _of_tiles,
    **dict.fromkeys(("Gather", "GatherV2"), _of_entries),
    **dict.fromkeys(("Split", "SplitV"), _of_shares),
    "Pack": _of_stacked,
    "Unpack": _of_unstacked,
    "OneHot": _of_one_hot,
    **dict.fromkeys(("SpaceToDepth", "DepthToSpace"), _of_blocks),
    "CropAndResize": _of_crops,
    "Einsum": _of_letters,
    **dict.fromkeys(("TopK", "TopKV2"), _all_but_last),
    **dict.fromkeys(("ExtractImagePatches", "ExtractVolumePatches", "Dilation2D", "MaxPoolWithArgmax"), _batch_of),
    **dict.fromkeys(("ReverseV2", "ReverseSequence", "Roll", "Cumsum", "Cumprod", "MatrixBandPart"), _of_input),
}
"""By op, the sizes of each of its outputs; None for those of which nothing is said."""
