"""Blocks of pixels moved to channels or to the batch, and back."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import LARGEST, Ints, input_ints, joined, run_time_shape, sizes_of
from bnfold.export.kernels import KERNELS
from bnfold.export.ops.window import channel_axis, is_channels_first
from bnfold.export.placement import SPATIAL
from bnfold.export.table import ALL, lowers


@lowers("SpaceToDepth", "DepthToSpace", dtypes=ALL, placement=SPATIAL)
def lower_depth(call: Call) -> str:
    """Both TensorFlow and ONNX (in mode DCR) order the new channels as row in block, column in block, channel."""
    if str(call.attr("data_format")).endswith("VECT_C"):
        raise call.refusal("its channels are packed")
    block = int(call.attr("block_size"))
    if call.dtype().name in KERNELS[call.op] or call.dtype().name == "bfloat16":
        return call.widened(call.op, call.input(0), blocksize=block)
    value = call.input(0)
    depth = sizes_of(call, 0, [channel_axis(call)])
    size = sizes_of(call, 0, [2, 3] if is_channels_first(call) else [1, 2])
    rows, columns, each = size.take([0]), size.take([1]), Ints(call, [block])
    if call.op == "SpaceToDepth":
        fewer = rows // block, columns // block
        turned = call.transpose(_reshaped(call, value, None, depth, fewer[0], each, fewer[1], each), (0, 3, 5, 1, 2, 4))
        return _reshaped(call, turned, None, depth * block**2, *fewer)
    left = depth // block**2
    turned = call.transpose(_reshaped(call, value, None, each, each, left, rows, columns), (0, 3, 4, 1, 5, 2))
    return _reshaped(call, turned, None, left, rows * block, columns * block)


@lowers("SpaceToBatchND", "SpaceToBatch", dtypes=ALL)
def lower_space_to_batch(call: Call) -> str:
    """Pads, splits each spatial axis in blocks, and moves the place in the block in front of the batch."""
    blocks, pads = _blocks(call), _pairs(call)
    count, rank = _count(call, blocks), call.rank(0)
    value, (batch, *sizes) = call.input(0), _sizes(call)
    if pads.known is None or pads.known.any():
        none = [0] * (rank - count - 1)
        before, after = (joined(call, 0, _side(pads, side), none) for side in (0, 1))
        value = moved(call, "Pad", [value, joined(call, before, after).name], call.dtype())
        sizes = [size + before.take([axis]) + after.take([axis]) for axis, size in enumerate(sizes, 1)]
    each = [blocks.take([axis]) for axis in range(count)]
    fewer, rest = [size // block for size, block in zip(sizes, each, strict=False)], sizes[count:]
    split = [part for pair in zip(fewer, each, strict=True) for part in pair]
    order = [*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), *range(2 * count + 1, rank + count)]
    turned = call.transpose(_reshaped(call, value, batch, *split, *rest), order)
    return _reshaped(call, turned, None, *fewer, *rest)


@lowers("BatchToSpaceND", "BatchToSpace", dtypes=ALL)
def lower_batch_to_space(call: Call) -> str:
    """The way back, and then crops."""
    blocks, crops = _blocks(call), _pairs(call)
    count, rank = _count(call, blocks), call.rank(0)
    _, *sizes = _sizes(call)
    order = [count]
    for axis in range(count):
        order += [count + 1 + axis, axis]
    order += range(2 * count + 1, rank + count)
    each = [blocks.take([axis]) for axis in range(count)]
    turned = call.transpose(_reshaped(call, call.input(0), *each, None, *sizes), order)
    whole = [size * block for size, block in zip(sizes, each, strict=False)]
    result = _reshaped(call, turned, None, *whole, *sizes[count:])
    if crops.known is not None and not crops.known.any():
        return result
    after = _side(crops, 1)
    end = (after > 0).where(-after, LARGEST)
    return call.emit("Slice", result, _side(crops, 0).name, end.name, call.ints(range(1, 1 + count)))


def _sizes(call: Call) -> list[Ints]:
    """The size of each axis of input 0, each a vector of one."""
    shape = call.known_shape(0)
    computed = run_time_shape(call, call.input(0)) if None in shape else None
    return [
        Ints(call, [size]) if size is not None or computed is None else computed.take([axis])
        for axis, size in enumerate(shape)
    ]


def _reshaped(call: Call, value: str, *sizes: Ints | None) -> str:
    """Reshape to ``sizes``, of which one may be None, "whatever is left"; the only one that is computed is left so."""
    computed = [index for index, size in enumerate(sizes) if size is not None and size.known is None]
    if None not in sizes and len(computed) == 1:
        sizes = tuple(None if index in computed else size for index, size in enumerate(sizes))
    return call.emit("Reshape", value, joined(call, *(-1 if size is None else size for size in sizes)).name)


def _blocks(call: Call) -> Ints:
    """The block of each spatial axis; the older ops have one size for both."""
    if call.op.endswith("ND"):
        return input_ints(call, 1).vector()
    return Ints(call, [int(call.attr("block_size"))] * 2)


def _pairs(call: Call) -> Ints:
    """The paddings or crops, before and after each spatial axis."""
    return input_ints(call, call.arity - 1)


def _side(pairs: Ints, side: int) -> Ints:
    """What is before (0) or after (1) each axis."""
    return pairs.vector().entries(side, None, 2)


def _count(call: Call, blocks: Ints) -> int:
    """The number of spatial axes with blocks, which TensorFlow always knows."""
    count = len(blocks.known) if blocks.known is not None else call.known_shape(1)[0]
    assert count is not None
    return count
