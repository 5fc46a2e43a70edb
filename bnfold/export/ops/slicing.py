"""Slices, in their two forms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import LARGEST, Ints, counted, input_ints, run_time_shape, sizes_of
from bnfold.export.ops.complex import from_end, stored_axis
from bnfold.export.placement import SLICES, Follows
from bnfold.export.table import ANY, lowers
from bnfold.graph.dtypes import STRING


@lowers("Slice", dtypes=ANY, placement=Follows(data=(0,), constant=(1, 2)))
def lower_slice(call: Call) -> str:
    """``size`` entries from ``begin``; a size of -1 is all the rest."""
    begin, size = input_ints(call, 1), input_ints(call, 2)
    end = (size < 0).where(LARGEST, begin + size)
    shape = call.shape()
    if shape is None:
        return call.emit("Slice", call.input(0), begin.name, end.name)
    axes = list(range(len(shape)))
    if begin.known is not None and end.known is not None:
        last = [LARGEST if size is None else size for size in shape]
        axes = [axis for axis in axes if begin.known[axis] or end.known[axis] < last[axis]]
    if not axes:
        return call.input(0)
    if len(axes) < len(shape):
        begin, end = begin.take(axes), end.take(axes)
    return call.emit("Slice", call.input(0), begin.name, end.name, call.ints(call.axis(axis) for axis in axes))


@dataclass
class Spec:
    """What a StridedSlice asks for, axis by axis.

    Attributes
    ----------
    sliced : list of (int, int)
        Axis of the input, and the entry of begin, end and strides that says how to slice it.
    shrunk : list of (int, int)
        Likewise, where one position is taken and the axis goes.
    new : list of int
        Axes of the result that are added, of size 1.
    """

    sliced: list[tuple[int, int]] = field(default_factory=list)
    shrunk: list[tuple[int, int]] = field(default_factory=list)
    new: list[int] = field(default_factory=list)


def spec_of(call: Call) -> Spec:
    """Read the masks: an ellipsis stands for as many axes as are left, and there may be one."""
    entries = _entries(call) or 0
    masks = {name: call.attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}

    def masked(name: str, entry: int) -> bool:
        return bool(masks[name] >> entry & 1)

    takes = [entry for entry in range(entries) if not masked("new_axis", entry) and not masked("ellipsis", entry)]
    spec, axis, result = Spec(), 0, 0
    for entry in range(entries):
        if masked("ellipsis", entry):
            after = range(entry + 1, entries)
            left = sum(later > entry for later in takes)
            if call.shape() is None:  # what follows is counted from the end
                axis = -left
                result = -sum(not masked("shrink_axis", later) or masked("new_axis", later) for later in after)
                continue
            axis, result = call.rank() - left, result + call.rank() - left - axis
        elif masked("new_axis", entry):
            spec.new.append(result)
            result += 1
        elif masked("shrink_axis", entry):
            spec.shrunk.append((axis, entry))
            axis += 1
        else:
            spec.sliced.append((axis, entry))
            axis, result = axis + 1, result + 1
    return spec


def _entries(call: Call) -> int | None:
    """How many entries begin, end and strides have, as far as any of them says."""
    shapes = [call.shape(index) for index in (1, 2, 3)]
    return next((shape[0] for shape in shapes if shape is not None and shape[0] is not None), None)


_MOST_AXES = 32
"""The bits of a mask."""


def _leading(call: Call) -> str:
    """A slice of as many of the first axes as turn out to be named."""
    if any(call.attr(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis")):
        raise call.refusal("the length of its begin is not known, and it changes the rank")
    begin, end, step = (input_ints(call, index) for index in (1, 2, 3))
    axes = counted(call, 0, run_time_shape(call, begin.name).scalar())
    forward = step > 0
    begin = _masked(call, "begin", axes).where(forward.where(0, LARGEST), begin)
    end = _masked(call, "end", axes).where(forward.where(LARGEST, -LARGEST), end)
    if forward.known is None or not forward.known.all():
        sizes = run_time_shape(call, call.input(0)).take(axes)
        end = (begin < -sizes).where(forward.where(end, _BEYOND), end)
    return call.emit("Slice", call.input(0), begin.name, end.name, axes.name, step.name)


def _masked(call: Call, name: str, axes: Ints) -> Ints:
    """Whether the mask ``name`` has the bit of each of ``axes``."""
    mask = call.attr(f"{name}_mask")
    return _flags(call, [bool(mask >> bit & 1) for bit in range(_MOST_AXES)]).take(axes)


@lowers("StridedSlice", dtypes=ANY, placement=SLICES)
def lower_strided_slice(call: Call) -> str:
    """Slice, then drop the axes that were shrunk, then add the new ones.

    One position of one axis, and nothing else, is a Gather; of strings onnxruntime's Gather (1.31) is wrong.
    """
    if _entries(call) is None:
        return _leading(call)
    spec, value = spec_of(call), call.input(0)
    sliced = [(axis, entry) for axis, entry in spec.sliced if not _is_whole(call, entry)]
    if len(spec.shrunk) == 1 and not sliced and call.dtype() != STRING:
        axis, entry = spec.shrunk[0]
        value = call.emit("Gather", value, input_ints(call, 1)[entry].name, axis=stored_axis(call, axis))
    elif sliced or spec.shrunk:
        value = _cut(call, value, [*sliced, *spec.shrunk], [entry for _, entry in spec.shrunk])
        value = call.squeeze(value, sorted(stored_axis(call, axis) for axis, _ in spec.shrunk))
    return call.unsqueeze(value, [from_end(call, axis) for axis in spec.new])


def _is_whole(call: Call, entry: int) -> bool:
    strides = call.value(3)
    whole = (call.attr("begin_mask") & call.attr("end_mask")) >> entry & 1
    return bool(whole) and strides is not None and strides[entry] == 1


def _cut(call: Call, value: str, taken: list[tuple[int, int]], shrunk: list[int]) -> str:
    """ONNX counts negative positions from the end, and clamps, as TensorFlow does.

    An open end is as far as an int64 goes; the position after -1, where an axis is shrunk, is one too.
    """
    taken = sorted(taken)
    entries = [entry for _, entry in taken]
    begin, end, step = (input_ints(call, index) for index in (1, 2, 3))
    if entries != list(range(_entries(call) or 0)):
        begin, end, step = begin.take(entries), end.take(entries), step.take(entries)
    one = _flags(call, [entry in shrunk for entry in entries])
    step = one.where(1, step) if shrunk else step
    forward = step > 0
    opened = _opened(call, "begin", entries, shrunk)
    if opened is not None:
        begin = opened.where(forward.where(0, LARGEST), begin)
    if (until := _opened(call, "end", entries, shrunk)) is not None:
        end = until.where(forward.where(LARGEST, -LARGEST), end)
    end = _nothing_before(call, begin, end, forward, [axis for axis, _ in taken])
    if shrunk:
        end = one.where(begin.equals(-1).where(LARGEST, begin + 1), end)
    axes = call.ints(stored_axis(call, axis) for axis, _ in taken)
    steps = [] if step.known is not None and (step.known == 1).all() else [step.name]
    return call.emit("Slice", value, begin.name, end.name, axes, *steps)


_BEYOND = 2**62
"""As the end of a backward slice: nothing. The largest int64 is for onnxruntime the start of the axis there."""


def _nothing_before(call: Call, begin: Ints, end: Ints, forward: Ints, axes: list[int]) -> Ints:
    """Backwards from before the first entry there is nothing, in TensorFlow; ONNX would begin with the first."""
    if forward.known is not None and forward.known.all():
        return end
    if begin.known is not None and (begin.known >= -1).all():
        return end
    sizes = _sizes(call, axes)
    return (begin < -sizes).where(forward.where(end, _BEYOND), end)


def _sizes(call: Call, axes: list[int]) -> Ints:
    if call.shape() is not None:
        return sizes_of(call, 0, axes)
    return run_time_shape(call, call.input(0)).take([from_end(call, axis) for axis in axes])


def _opened(call: Call, name: str, entries: list[int], shrunk: list[int]) -> Ints | None:
    mask = call.attr(f"{name}_mask")
    opened = [bool(mask >> entry & 1) and entry not in shrunk for entry in entries]
    return _flags(call, opened) if any(opened) else None


def _flags(call: Call, flags: list[bool]) -> Ints:
    return Ints(call, np.array(flags, np.bool_))
