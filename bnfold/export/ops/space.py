"""Blocks of pixels moved to channels or to the batch, and back."""

from __future__ import annotations

from collections.abc import Sequence

from bnfold.export.call import Call
from bnfold.export.kernels import KERNELS
from bnfold.export.ops.window import channels, spatial
from bnfold.export.placement import SPATIAL
from bnfold.export.table import ALL, lowers

Size = int | str
"""A size of a shape: a number, or the name of an int64 value with one element."""


def reshape_to(call: Call, value: str, sizes: Sequence[Size | None]) -> str:
    """Reshape; one size may be None, "whatever is left", and those that are values are gathered at run time."""
    if all(size is None or isinstance(size, int) for size in sizes):
        return call.reshape(value, [-1 if size is None else int(size) for size in sizes])
    parts = [size if isinstance(size, str) else call.ints([-1 if size is None else size]) for size in sizes]
    return call.emit("Reshape", value, call.emit("Concat", *parts, axis=0))


def size_of(call: Call, value: str, axis: int, known: int | None) -> Size:
    """The size of ``axis`` of an ONNX value: the number if it is known, else computed."""
    if known is not None:
        return known
    return call.emit("Gather", call.emit("Shape", value), call.ints([axis]))


def _scaled(call: Call, size: Size, *, times: int = 1, over: int = 1) -> Size:
    if isinstance(size, int):
        return size * times // over
    size = call.emit("Mul", size, call.ints([times])) if times != 1 else size
    return call.emit("Div", size, call.ints([over])) if over != 1 else size


@lowers("SpaceToDepth", "DepthToSpace", dtypes=ALL, placement=SPATIAL)
def lower_depth(call: Call) -> str:
    """Both TensorFlow and ONNX (in mode DCR) order the new channels as row in block, column in block, channel."""
    if str(call.attr("data_format")).endswith("VECT_C"):
        raise call.refusal("its channels are packed")
    block = int(call.attr("block_size"))
    if call.dtype().name in KERNELS[call.op] or call.dtype().name == "bfloat16":
        return call.widened(call.op, call.input(0), blocksize=block)
    shape = call.known_shape(0)
    value = call.input(0)
    depth, (height, width) = channels(call, shape), spatial(call, shape)
    rows, columns = size_of(call, value, 2, height), size_of(call, value, 3, width)
    if depth is None:
        raise call.refusal("its number of channels is not known")
    if call.op == "SpaceToDepth":
        fewer = _scaled(call, rows, over=block), _scaled(call, columns, over=block)
        apart = reshape_to(call, value, [None, depth, fewer[0], block, fewer[1], block])
        moved = call.transpose(apart, (0, 3, 5, 1, 2, 4))
        return reshape_to(call, moved, [None, depth * block * block, *fewer])
    left = depth // (block * block)
    apart = reshape_to(call, value, [None, block, block, left, rows, columns])
    moved = call.transpose(apart, (0, 3, 4, 1, 5, 2))
    return reshape_to(call, moved, [None, left, _scaled(call, rows, times=block), _scaled(call, columns, times=block)])


@lowers("SpaceToBatchND", "SpaceToBatch", dtypes=ALL)
def lower_space_to_batch(call: Call) -> str:
    """Pads, splits each spatial axis in blocks, and moves the place in the block in front of the batch."""
    blocks, pads = (
        _blocks(call, 1 if call.op == "SpaceToBatchND" else None),
        call.constant_value(_other(call), "paddings"),
    )
    count, rank = len(blocks), call.rank(0)
    shape = list(call.known_shape(0))
    value = call.input(0)
    if pads.any():
        before = [0, *pads[:, 0].tolist(), *[0] * (rank - count - 1)]
        after = [0, *pads[:, 1].tolist(), *[0] * (rank - count - 1)]
        value = call.emit("Pad", value, call.ints(before + after))
        shape = [size if size is None else size + before[i] + after[i] for i, size in enumerate(shape)]
    sizes = [size_of(call, value, axis, size) for axis, size in enumerate(shape)]
    split: list[Size] = [sizes[0]]
    for axis, block in enumerate(blocks, 1):
        split += [_scaled(call, sizes[axis], over=block), block]
    rest = sizes[1 + count :]
    order = [*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), *range(2 * count + 1, 2 * count + 1 + len(rest))]
    moved = call.transpose(reshape_to(call, value, _one_open([*split, *rest])), order)
    return reshape_to(call, moved, [None, *split[1::2], *rest])


@lowers("BatchToSpaceND", "BatchToSpace", dtypes=ALL)
def lower_batch_to_space(call: Call) -> str:
    """The way back, and then crops."""
    blocks, crops = (
        _blocks(call, 1 if call.op == "BatchToSpaceND" else None),
        call.constant_value(_other(call), "crops"),
    )
    count = len(blocks)
    value = call.input(0)
    sizes = [size_of(call, value, axis, size) for axis, size in enumerate(call.known_shape(0))]
    rest = sizes[1 + count :]
    split: list[Size | None] = [*blocks, None, *sizes[1:]]
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    order += range(2 * count + 1, 2 * count + 1 + len(rest))
    moved = call.transpose(reshape_to(call, value, split), order)
    whole = [_scaled(call, size, times=block) for size, block in zip(sizes[1 : 1 + count], blocks, strict=True)]
    result = reshape_to(call, moved, [None, *whole, *rest])
    if not crops.any():
        return result
    ends = [-int(after) if after else 2**62 for after in crops[:, 1]]
    axes = call.ints(range(1, 1 + count))
    return call.emit("Slice", result, call.ints(crops[:, 0]), call.ints(ends), axes)


def _blocks(call: Call, index: int | None) -> list[int]:
    """The block of each spatial axis; the older ops have one size for both."""
    if index is None:
        return [int(call.attr("block_size"))] * 2
    return [int(size) for size in call.constant_value(index, "block shape")]


def _other(call: Call) -> int:
    """The input with the paddings or crops."""
    return call.arity - 1


def _one_open(sizes: Sequence[Size]) -> list[Size | None]:
    """``sizes`` with the first that is a value left open, where it is the only one."""
    computed = [index for index, size in enumerate(sizes) if isinstance(size, str)]
    return [None if [index] == computed else size for index, size in enumerate(sizes)]
