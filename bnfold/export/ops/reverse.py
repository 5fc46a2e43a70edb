"""Entries of an axis in another order: reversed, rolled."""

from __future__ import annotations

import numpy as np

from bnfold.export.along import Along
from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import LARGEST, Ints, as_ints, counted, input_ints, joined, run_time_shape, size_of
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import from_ends, is_complex
from bnfold.export.placement import Follows
from bnfold.export.table import ANY, lowers
from bnfold.graph.dtypes import INT64


@lowers("ReverseV2", dtypes=ANY, placement=Follows(data=(0,), constant=(1,)))
def lower_reverse_v2(call: Call) -> str:
    axes = input_ints(call, 1)
    if axes.known is None or call.shape() is None:
        axes = from_ends(call, axes)
    if axes.known is not None and call.shape() is not None:
        stored = Ints(call, [call.axis(axis) for axis in axes.known])
        return _reversed(call, stored, Ints(call, np.full(axes.known.shape, True)))
    count = Ints(call, call.emit("Shape", axes.name)) if axes.known is None else Ints(call, [axes.known.size])
    return _reversed(call, axes, as_ints(call, 1).spread(count).equals(1))


@lowers("Reverse", dtypes=ANY)
def lower_reverse(call: Call) -> str:
    """A flag for each axis."""
    flags = call.value(1)
    backward = Ints(call, call.input(1) if flags is None else flags)
    axes = (
        Ints(call, range(call.rank())) if call.shape() is not None else counted(call, 0, size_of(call, 1, 0).scalar())
    )
    return _reversed(call, axes, backward)


def _reversed(call: Call, axes: Ints, backward: Ints) -> str:
    """Slice the ``axes`` from the end to the start where ``backward``, else whole."""
    if backward.known is not None:
        if not backward.known.any():
            return call.input(0)
        axes, backward = axes.take(np.flatnonzero(backward.known)), Ints(call, backward.known[backward.known])
    start, stop = backward.where(LARGEST, 0), backward.where(-LARGEST, LARGEST)
    return call.emit("Slice", call.input(0), start.name, stop.name, axes.name, backward.where(-1, 1).name)


@lowers("ReverseSequence", dtypes=ANY)
def lower_reverse_sequence(call: Call) -> str:
    """ONNX wants the batch and the time on the first two axes."""
    if call.shape() is None:
        return _sequences_of_unknown_rank(call)
    rank = call.rank()
    time, batch = call.attr("seq_dim") % rank, call.attr("batch_dim") % rank
    lengths = call.cast(call.input(1), INT64)
    if {time, batch} == {0, 1}:
        return _reversed_sequences(call, call.input(0), lengths, time, batch)
    order = [batch, time, *(axis for axis in range(rank) if axis not in (batch, time))]
    parts = [rank] if is_complex(call) else []
    value = call.transpose(call.input(0), [*order, *parts])
    value = _reversed_sequences(call, value, lengths, 1, 0)
    return call.transpose(value, [*(order.index(axis) for axis in range(rank)), *parts])


def _sequences_of_unknown_rank(call: Call) -> str:
    """As a tensor of five axes: what is before, between and behind the time and the batch is one axis each."""
    time, batch = call.attr("seq_dim"), call.attr("batch_dim")
    lengths = call.cast(call.input(1), INT64)
    if {time, batch} == {0, 1}:
        return _reversed_sequences(call, call.input(0), lengths, time, batch)
    first, second = sorted((time, batch))
    shape = run_time_shape(call, call.input(0))
    parts = [shape.entries(0, first), shape.take([first]), shape.entries(first + 1, second), shape.take([second])]
    sizes = joined(call, *(part.product().vector() for part in (*parts, shape.entries(second + 1))))
    order = [1, 3, 0, 2, 4]
    value = call.transpose(call.emit("Reshape", call.input(0), sizes.name), order)
    value = _reversed_sequences(
        call, value, lengths, order.index(1 if time < batch else 3), order.index(3 if time < batch else 1)
    )
    value = call.transpose(value, [order.index(axis) for axis in range(5)])
    return call.emit("Reshape", value, shape.name)


def _reversed_sequences(call: Call, value: str, lengths: str, time: int, batch: int) -> str:
    dtype = part_dtype(call.dtype())
    return moved(call, "ReverseSequence", [value, lengths], dtype, time_axis=time, batch_axis=batch)


@lowers("Roll", dtypes=ANY, placement=Follows(data=(0,), constant=(2,)))
def lower_roll(call: Call) -> str:
    """Shift and axis are scalars or vectors of the same length; an axis named twice is rolled twice."""
    shifts, axes = input_ints(call, 1).vector(), input_ints(call, 2).vector()
    value = call.input(0)
    if axes.known is not None and call.shape() is None:
        for axis, shift in zip(axes.known, range(axes.known.size), strict=True):
            along = Along(call, value, as_ints(call, int(axis)), extra=1 if is_complex(call) else 0)
            value = along.whole(_turned(call, along.value, 1, along.size.scalar(), shifts.take([shift]).scalar()))
        return value
    if axes.known is not None:
        rank = call.rank()
        for axis in sorted({int(axis) % rank for axis in axes.known}):
            entries = np.flatnonzero(axes.known % rank == axis)
            value = _rolled(call, value, axis, shifts.take(entries).sum())
        return value
    if call.shape() is None and call.shape(2) == ():
        along = Along(call, value, axes, extra=1 if is_complex(call) else 0)
        return along.whole(_turned(call, along.value, 1, along.size.scalar(), shifts.sum()))
    for axis in range(call.rank()):
        chosen = axes.equals(axis) | axes.equals(axis - call.rank())
        value = _rolled(call, value, axis, chosen.where(shifts, 0).sum())
    return value


def _rolled(call: Call, value: str, axis: int, shift: Ints) -> str:
    """The last ``shift mod size`` entries come first."""
    return _turned(call, value, call.axis(axis), size_of(call, 0, axis).scalar(), shift)


def _turned(call: Call, value: str, stored: int, size: Ints, shift: Ints) -> str:
    cut = size - shift % size.at_least(1)
    if cut.known is not None and cut.known == size.known:
        return value
    at, axes = cut.vector().name, call.ints([stored])
    tail = call.emit("Slice", value, at, call.ints([LARGEST]), axes)
    head = call.emit("Slice", value, call.ints([0]), at, axes)
    return call.emit("Concat", tail, head, axis=stored)
