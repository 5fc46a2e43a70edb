"""Rows of the table: ops that compute with the elements, and what of a map they let through."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from bnfold.fold.algebra import Affine, Array
from bnfold.fold.row import Before, Behind, Maps, Op, Passage, Refused, Through
from bnfold.fold.through_shapes import must_rise, one_to_one

# Averages and maxima


def _window(op: Op, map_: Affine) -> Affine | Refused:
    """A pool over space: what varies along the channels alone passes."""
    axis = op.channel_axis if op.layout in ("NHWC", "NCHW", "NDHWC", "NCDHW") else -1
    sizes = op.node.attrs.get("ksize")
    if map_.varying - {axis} or (map_.varying and (sizes is None or sizes[axis] != 1)):
        return op.refuse("the map varies within its window")
    return map_


def _maximum_window(op: Op, map_: Affine) -> Affine | Refused:
    return must_rise(op, map_) or _window(op, map_)


def _reduced_axes(op: Op) -> list[int] | Refused:
    axes, shape = op.integers(1), op.shape(0)
    if axes is None or shape is None:
        return op.refuse("its axes are not known")
    return sorted(axis % len(shape) for axis in axes)


def _reduction(scale_only: bool, rising: bool, forth: bool) -> Callable[[Op, Affine], Affine | Refused]:
    """Mean (all of a map passes), Sum (each of n terms shifts) or Max and Min (scale ≥ 0), over constant axes."""

    def move(op: Op, map_: Affine) -> Affine | Refused:
        axes = _reduced_axes(op)
        if isinstance(axes, Refused):
            return axes
        if rising and (refusal := must_rise(op, map_)):
            return refusal
        kept = op.node.attrs["keep_dims"]
        if forth and map_.varying & set(axes):
            return op.refuse("the map varies along an axis that it reduces")
        if scale_only and not map_.is_scale:
            sizes = [(op.shape(0) or ())[axis] for axis in axes]
            known = [size for size in sizes if size is not None]
            if len(known) < len(sizes):
                return op.refuse("how many terms it sums is not known")
            terms = math.prod(known)
            map_ = map_.with_shift(map_.shift * terms if forth else map_.shift / terms)
        if kept:
            return map_
        return map_.without(axes) if forth else map_.with_axes(axes)

    return move


def _reduce(scale_only: bool = False, rising: bool = False) -> tuple[Behind, Before]:
    return one_to_one(_reduction(scale_only, rising, forth=False), _reduction(scale_only, rising, forth=True))


def _resize(op: Op, map_: Affine) -> Affine | Refused:
    if map_.varying & {1, 2}:
        return op.refuse("the map varies along an axis that it resizes")
    before, after = op.graph.type_of(op.node.inputs[0]), op.graph.type_of(op.node.output)
    if before is None or after is None or before.dtype != after.dtype:
        return op.refuse("it changes the type")
    return map_


# Padding


def _paddings(op: Op) -> Array | Refused:
    flat = op.integers(1)
    return op.refuse("its paddings are computed at run time") if flat is None else np.reshape(flat, (-1, 2))


def _mirror_pad(op: Op, map_: Affine) -> Affine | Refused:
    paddings = _paddings(op)
    if isinstance(paddings, Refused):
        return paddings
    if any(paddings[axis].any() for axis in map_.varying):
        return op.refuse("it pads an axis along which the map varies")
    return map_


def _pad(forth: bool) -> Callable[[Op, Affine], Passage | Refused]:
    def move(op: Op, map_: Affine) -> Passage | Refused:
        paddings = _paddings(op)
        constant = op.constant(2) if len(op.node.inputs) > 2 else np.zeros(())
        if isinstance(paddings, Refused):
            return paddings
        if constant is None:
            return op.refuse("its value is computed at run time")
        if any(paddings[axis].any() for axis in map_.varying):
            return op.refuse("it pads an axis along which the map varies")
        value = float(constant)
        if not paddings.any() or (map_.scale * value + map_.shift == value).all():
            return Passage([map_])
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = (value - map_.shift) / map_.scale if forth else map_.scale * value + map_.shift
        if not np.isfinite(moved).all() or (moved != moved.flat[0]).any():
            return op.refuse(f"the {value:g} it pads with would differ from channel to channel")
        return Passage([map_], operands={2: np.asarray(moved.flat[0])}, op="PadV2")

    return move


def _pad_behind(op: Op, maps: Maps) -> list[Passage] | Refused:
    assert maps[0] is not None
    found = _pad(forth=False)(op, maps[0])
    return found if isinstance(found, Refused) else [found]


def _pad_before(op: Op, maps: Maps) -> Passage | Refused:
    if maps[0] is None:
        return op.refuse("the map reaches it through an input that is not its data")
    return _pad(forth=True)(op, maps[0])


# Rectifiers


def _rectifier(op: Op, map_: Affine) -> Affine | Refused:
    if not map_.is_scale:
        return op.refuse("a shift does not pass it")
    return must_rise(op, map_) or map_


VALUES = (
    Through(
        "average pool",
        ("AvgPool", "AvgPool3D"),
        ("s·avg(x) + t = avg(s·x + t)",),
        "the map varies along the channels alone; TensorFlow leaves padding out of the average",
        *one_to_one(_window, _window),
    ),
    Through(
        "max pool",
        ("MaxPool", "MaxPool3D"),
        ("s·max(x) + t = max(s·x + t)",),
        "s ≥ 0, and the map varies along the channels alone",
        *one_to_one(_maximum_window, _maximum_window),
    ),
    Through(
        "mean",
        ("Mean",),
        ("s·mean(x) + t = mean(s·x + t)",),
        "the map does not vary along what is averaged",
        *_reduce(),
    ),
    Through(
        "sum",
        ("Sum",),
        ("s·Σx + t = Σ(s·x + t/n)",),
        "the map does not vary along what is summed, and the number n of terms is known or t = 0",
        *_reduce(scale_only=True),
    ),
    Through(
        "maximum over axes",
        ("Max", "Min"),
        ("s·max(x) + t = max(s·x + t)",),
        "s ≥ 0, and the map does not vary along what is reduced",
        *_reduce(rising=True),
    ),
    Through(
        "resize",
        ("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"),
        ("s·resize(x) + t = resize(s·x + t)",),
        "the weights of each pixel add up to 1; the map varies along the channels alone",
        *one_to_one(_resize, _resize),
    ),
    Through(
        "mirror pad",
        ("MirrorPad",),
        ("s·mirror(x) + t = mirror(s·x + t)",),
        "the map does not vary along what is padded",
        *one_to_one(_mirror_pad, _mirror_pad),
    ),
    Through(
        "pad",
        ("Pad", "PadV2"),
        ("s·pad(x, v) + t = pad(s·x + t, s·v + t)",),
        "the map does not vary along what is padded, and the value is one number: v = 0 and t = 0, or s·v + t is the"
        " same for all channels",
        _pad_behind,
        _pad_before,
    ),
    Through(
        "rectifier",
        ("Relu", "LeakyRelu"),
        ("s·relu(x) = relu(s·x)",),
        "s ≥ 0 and t = 0",
        *one_to_one(_rectifier, _rectifier),
    ),
)
