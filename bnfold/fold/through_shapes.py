"""Rows of the table: ops that move elements about and compute nothing. A map moves with its elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnfold.fold.algebra import Affine, Array, affine
from bnfold.fold.row import Before, Behind, Maps, Op, Passage, Refused, Through

UNSHAPED = "its shape is not known"


def one_to_one(
    back: Callable[[Op, Affine], Affine | Refused], forth: Callable[[Op, Affine], Affine | Refused]
) -> tuple[Behind, Before]:
    """The two directions of an op with one data input, the first, and one output."""

    def behind(op: Op, maps: Maps) -> list[Passage] | Refused:
        assert maps[0] is not None
        inner = back(op, maps[0])
        return inner if isinstance(inner, Refused) else [Passage([inner])]

    def before(op: Op, maps: Maps) -> Passage | Refused:
        if maps[0] is None:
            return op.refuse("the map reaches it through an input that is not its data")
        outer = forth(op, maps[0])
        return outer if isinstance(outer, Refused) else Passage([outer])

    return behind, before


def must_rise(op: Op, map_: Affine) -> Refused | None:
    """Why ``map_`` does not pass an op that keeps order only, if it turns it anywhere."""
    return None if (map_.scale >= 0).all() else op.refuse("a scale below 0 does not pass it")


def _same(_op: Op, map_: Affine) -> Affine:
    return map_


# Reshape and its kin


def _reshape(
    op: Op, map_: Affine, old: Sequence[int | None] | None, new: Sequence[int | None] | None
) -> Affine | Refused:
    if old is None or new is None:
        return op.refuse(UNSHAPED)
    return map_.reshaped(old, new) or op.refuse("it mixes the channels with an axis whose size is not known")


def _reshape_back(op: Op, map_: Affine) -> Affine | Refused:
    return _reshape(op, map_, op.shape_out(), op.shape(0))


def _reshape_forth(op: Op, map_: Affine) -> Affine | Refused:
    return _reshape(op, map_, op.shape(0), op.shape_out())


def _order(op: Op) -> list[int] | Refused:
    return op.integers(1) or op.refuse("its order of axes is computed at run time")


def _transpose_back(op: Op, map_: Affine) -> Affine | Refused:
    order = _order(op)
    return order if isinstance(order, Refused) else map_.transposed([order.index(axis) for axis in range(len(order))])


def _transpose_forth(op: Op, map_: Affine) -> Affine | Refused:
    order = _order(op)
    return order if isinstance(order, Refused) else map_.transposed(order)


# Blocks of space


def _channels_alone(op: Op, map_: Affine, axis: int) -> Refused | None:
    return op.refuse("the map varies along more than the channels") if map_.varying - {axis} else None


def _space_batch(op: Op, map_: Affine) -> Affine | Refused:
    rank = map_.rank
    moved = {0, *range(1, 3 if op.node.op.endswith(("Batch", "Space")) else 1 + len(op.integers(1) or range(rank)))}
    if map_.varying & moved:
        return op.refuse("the map varies along an axis that it cuts into blocks")
    if op.node.op.startswith("SpaceToBatch") and not map_.is_scale:
        paddings = op.integers(1 if op.node.op == "SpaceToBatch" else 2)
        if paddings is None or any(paddings):
            return op.refuse("it pads with zeros, where a shift other than 0 is missing")
    return map_


def _depth_space(gather: bool) -> Callable[[Op, Affine], Affine | Refused]:
    """Channels ↔ blocks of pixels; ``gather``: from the side with few channels to the side with many.

    TensorFlow orders the deep channels as (row of the block, column of the block, channel): tf.nn.depth_to_space.
    """

    def move(op: Op, map_: Affine) -> Affine | Refused:
        axis = op.channel_axis
        if refusal := _channels_alone(op, map_, axis):
            return refusal
        pixels = op.node.attrs["block_size"] ** 2
        if map_.size(axis) == 1:
            return map_
        if gather:
            reps = [pixels if a == axis else 1 for a in range(map_.rank)]
            return map_.spread(axis, map_.size(axis)).rearranged(lambda a: np.tile(a, reps))
        parts = map_.split(axis, [map_.size(axis) // pixels] * pixels)
        if not all(part.equals(parts[0]) for part in parts):
            return op.refuse("the map differs between channels that become one")
        return parts[0]

    return move


def _tile(op: Op, map_: Affine) -> Affine | Refused:
    multiples = op.integers(1)
    if multiples is None or any(multiples[axis] != 1 for axis in map_.varying):
        return op.refuse("it repeats an axis along which the map varies")
    return map_


# Slices


def _slices(op: Op) -> list[slice | int | None] | Refused:
    """What a Slice or StridedSlice takes, as Python would write it; None for a new axis."""
    shape = op.shape(0)
    if shape is None:
        return op.refuse(UNSHAPED)
    if op.node.op == "Slice":
        begin, size = op.integers(1), op.integers(2)
        if begin is None or size is None:
            return op.refuse("what it takes is computed at run time")
        return [slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True)]
    limits = [op.integers(position) for position in (1, 2, 3)]
    if any(limit is None for limit in limits):
        return op.refuse("what it takes is computed at run time")
    return _strided(op, len(shape), *(limit or [] for limit in limits))


def _strided(op: Op, rank: int, begin: list[int], end: list[int], strides: list[int]) -> list[slice | int | None]:
    masks = {key: op.node.attrs[f"{key}_mask"] for key in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    parts: list[slice | int | None] = []
    for i in range(len(begin)):
        bit = 1 << i
        if masks["ellipsis"] & bit:
            named = sum(1 for j in range(len(begin)) if j != i and not masks["new_axis"] & (1 << j))
            parts += [slice(None)] * (rank - named)
        elif masks["new_axis"] & bit:
            parts.append(None)
        elif masks["shrink_axis"] & bit:
            parts.append(begin[i])
        else:
            first = None if masks["begin"] & bit else begin[i]
            last = None if masks["end"] & bit else end[i]
            parts.append(slice(first, last, strides[i]))
    return parts + [slice(None)] * (rank - sum(part is not None for part in parts))


def _slice_forth(op: Op, map_: Affine) -> Affine | Refused:
    parts = _slices(op)
    if isinstance(parts, Refused):
        return parts
    axis = 0
    index: list[slice | int | None] = []
    for part in parts:
        if part is None:
            index.append(None)
            continue
        constant = map_.size(axis) == 1
        index.append((0 if isinstance(part, int) else slice(None)) if constant else part)
        if not constant:
            map_ = map_.spread(axis, map_.size(axis))
        axis += 1
    return map_.rearranged(lambda a: a[tuple(index)])


def _slice_back(op: Op, map_: Affine) -> Affine | Refused:
    """The map on what is taken; what is left out nobody else reads, and it keeps the identity."""
    parts, shape = _slices(op), op.shape(0)
    if isinstance(parts, Refused):
        return parts
    assert shape is not None
    added, place = [], 0
    for part in parts:
        if part is None:
            added.append(place)
        place += not isinstance(part, int)
    inner = map_.without(added) if not map_.varying & set(added) else None
    taken = [part for part in parts if part is not None]
    dropped = [axis for axis, part in enumerate(taken) if isinstance(part, int)]
    if inner is None:
        return op.refuse("the map varies along an axis that it adds")
    inner = inner.with_axes(dropped)
    for axis in inner.varying:
        size = shape[axis]
        if size is None:
            return op.refuse(UNSHAPED)
        chosen = np.arange(size)[taken[axis]]
        scale, shift = (_scatter(a, axis, size, chosen, rest) for a, rest in ((inner.scale, 1), (inner.shift, 0)))
        inner = affine(scale, shift)
    return inner


def _scatter(array: Array, axis: int, size: int, chosen: Array, rest: float) -> Array:
    """An array of ``size`` along ``axis`` that is ``array`` at ``chosen`` and ``rest`` elsewhere."""
    whole = np.full((*array.shape[:axis], size, *array.shape[axis + 1 :]), float(rest))
    whole[(slice(None),) * axis + (chosen,)] = array
    return whole


SHAPES = (
    Through(
        "identity",
        ("Identity", "StopGradient", "PreventGradient", "Snapshot", "EnsureShape"),
        ("s·x + t = s·x + t",),
        "always",
        *one_to_one(_same, _same),
    ),
    Through(
        "reshape",
        ("Reshape", "Squeeze", "ExpandDims"),
        ("s·reshape(x) + t = reshape(s'·x + t')", "s', t' = s, t in the shape of x"),
        "the sizes of the axes that it mixes with the channels are known",
        *one_to_one(_reshape_back, _reshape_forth),
    ),
    Through(
        "transpose",
        ("Transpose",),
        ("s·transpose(x) + t = transpose(s'·x + t')", "s', t' = s, t in the order of x"),
        "the order of axes is constant",
        *one_to_one(_transpose_back, _transpose_forth),
    ),
    Through(
        "space ↔ batch",
        ("SpaceToBatchND", "BatchToSpaceND", "SpaceToBatch", "BatchToSpace"),
        ("s·blocks(x) + t = blocks(s·x + t)",),
        "the map varies along the channels alone; where zeros are padded, t = 0",
        *one_to_one(_space_batch, _space_batch),
    ),
    Through(
        "depth to space",
        ("DepthToSpace",),
        ("s·blocks(x) + t = blocks(s'·x + t')", "s', t' = s, t repeated for each pixel of a block"),
        "forward, the map is the same for the channels that become one",
        *one_to_one(_depth_space(gather=True), _depth_space(gather=False)),
    ),
    Through(
        "space to depth",
        ("SpaceToDepth",),
        ("s'·blocks(x) + t' = blocks(s·x + t)", "s', t' = s, t repeated for each pixel of a block"),
        "backward, the map is the same for the channels that come from one",
        *one_to_one(_depth_space(gather=False), _depth_space(gather=True)),
    ),
    Through(
        "tile",
        ("Tile",),
        ("s·tile(x) + t = tile(s·x + t)",),
        "the axes that are repeated are none along which the map varies",
        *one_to_one(_tile, _tile),
    ),
    Through(
        "slice",
        ("Slice", "StridedSlice"),
        ("s·x[i] + t = (s'·x + t')[i]", "s'[i], t'[i] = s, t; elsewhere 1, 0"),
        "what is taken is constant",
        *one_to_one(_slice_back, _slice_forth),
    ),
)
