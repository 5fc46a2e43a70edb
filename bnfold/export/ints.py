"""Integers of a lowering under one arithmetic, whether they are known now or computed when the model runs.

A lowering that works with shapes, axes or indices is written once: with what is known numpy does the sums and an
initializer comes out, with the rest nodes are emitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from bnfold.export.numbers import Numbers
from bnfold.graph import Array
from bnfold.graph.dtypes import INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call

LARGEST = 2**63 - 1
"""As the end of a Slice: all the rest. Its negative, as the end of a backward Slice, likewise."""

Operand = Union["Ints", int, Sequence[int], Array]


class Ints(Numbers[Operand]):
    """An int64 tensor, or the bool one that a comparison gives.

    Division and remainder are of numbers that are not negative.
    """

    def __init__(self, call: Call, content: Any) -> None:
        super().__init__(call, content, np.int64)

    def _like(self, content: Any) -> Ints:
        return Ints(self.call, content)

    def _operand(self, value: Operand) -> Ints:
        return as_ints(self.call, value)

    def number(self) -> int | None:
        """The one number in it, if it is known."""
        return None if self.known is None else int(self.known.reshape(()))

    def __floordiv__(self, other: Operand) -> Ints:
        return self.same(np.floor_divide, "Div", other)

    def __mod__(self, other: Operand) -> Ints:
        return self.same(np.mod, "Mod", other)

    def __neg__(self) -> Ints:
        return self.same(np.negative, "Neg")

    def __invert__(self) -> Ints:
        return self.same(np.logical_not, "Not")

    def as_int(self) -> Ints:
        """A bool as 0 and 1."""
        if self.known is not None:
            return Ints(self.call, self.known.astype(np.int64))
        return Ints(self.call, self.call.cast(self.name, INT64))

    def product(self) -> Ints:
        """Of all entries, as a scalar."""
        if self.known is not None:
            return Ints(self.call, np.prod(self.known, dtype=np.int64))
        return Ints(self.call, self.call.reduce("ReduceProd", self.name, None))

    def sum(self) -> Ints:
        if self.known is not None:
            return Ints(self.call, np.sum(self.known, dtype=np.int64))
        return Ints(self.call, self.call.reduce("ReduceSum", self.name, None))

    def max(self) -> Ints:
        if self.known is not None:
            return Ints(self.call, np.max(self.known))
        return Ints(self.call, self.call.reduce("ReduceMax", self.name, None))

    def vector(self) -> Ints:
        """A scalar (or anything else) as rank 1."""
        return self.reshaped([-1])

    def scalar(self) -> Ints:
        return self.reshaped([])

    def spread(self, shape: Operand) -> Ints:
        """A scalar repeated over ``shape``."""
        return self.same(np.broadcast_to, "Expand", shape)

    def entries(self, start: Operand | None = None, stop: Operand | None = None, step: int = 1) -> Ints:
        """``self[start:stop:step]`` of a vector."""
        return self._sliced(0 if start is None else start, LARGEST if stop is None else stop, step)

    def _sliced(self, start: Operand, stop: Operand, step: int) -> Ints:
        first, last = as_ints(self.call, start), as_ints(self.call, stop)
        if self.known is not None and first.known is not None and last.known is not None:
            return Ints(self.call, self.known[first.number() : last.number() : step])
        bounds = [first.vector().name, last.vector().name]
        more = [] if step == 1 else [self.call.ints([0]), self.call.ints([step])]
        return Ints(self.call, self.call.emit("Slice", self.name, *bounds, *more))

    def take(self, indices: Operand) -> Ints:
        """The entries of a vector at ``indices``, whose shape the result has."""
        return self.same(lambda array, at: array[at], "Gather", indices, axis=0)

    def from_front(self, rank: Operand) -> Ints:
        """Axes, of which the negative ones count from the end of ``rank`` axes, counted from the first."""
        return (self < 0).where(self + rank, self)

    def __getitem__(self, index: Operand) -> Ints:
        """One entry of a vector, as a scalar."""
        return self.take(index)


def as_ints(call: Call, value: Operand) -> Ints:
    return value if isinstance(value, Ints) else Ints(call, np.asarray(value, np.int64))


def input_ints(call: Call, index: int) -> Ints:
    """Input ``index``, of any integer dtype."""
    array = call.value(index)
    return Ints(
        call,
        call.cast(call.input(index), INT64)
        if array is None and call.dtype(index) != INT64
        else call.input(index)
        if array is None
        else array,
    )


def joined(call: Call, *parts: Operand) -> Ints:
    """The scalars and vectors ``parts`` one after another, as a vector; neighbours that are known become one."""
    pieces: list[Ints] = []
    for part in parts:
        piece = as_ints(call, part)
        piece = piece if piece.known is None else piece.vector()
        if pieces and pieces[-1].known is not None and piece.known is not None:
            pieces[-1] = Ints(call, np.concatenate([pieces[-1].known, piece.known]))
        elif piece.known is None or piece.known.size:
            pieces.append(piece)
    if not pieces:
        return Ints(call, np.zeros(0, np.int64))
    return pieces[0] if len(pieces) == 1 else Ints(call, call.emit("Concat", *(p.name for p in pieces), axis=0))


def shape_of(call: Call, index: int = 0) -> Ints:
    """The shape of input ``index``, which is read in TensorFlow's layout."""
    shape = call.shape(index)
    if shape is not None and None not in shape:
        return Ints(call, shape)
    sizes = run_time_shape(call, call.input(index))
    return sizes.entries(0, -1) if call.dtype(index).name.startswith("complex") else sizes


def size_of(call: Call, index: int, axis: int) -> Ints:
    """The size of TensorFlow's ``axis`` of input ``index``, in whatever layout it is read, as a vector of one."""
    shape = call.shape(index)
    if shape is not None and shape[axis] is not None:
        return Ints(call, [shape[axis]])
    at = call.axis(axis, index) if shape is not None else axis
    return run_time_shape(call, call.input(index)).take([at])


def sizes_of(call: Call, index: int, axes: Sequence[int]) -> Ints:
    """The sizes of TensorFlow's ``axes`` of input ``index``, as a vector."""
    shape = call.shape(index)
    if shape is not None and all(shape[axis] is not None for axis in axes):
        return Ints(call, [shape[axis] for axis in axes])
    at = [call.axis(axis, index) for axis in axes]
    return run_time_shape(call, call.input(index)).take(at)


def run_time_shape(call: Call, value: str) -> Ints:
    """The shape of an ONNX value."""
    return Ints(call, call.emit("Shape", value))


def counted(call: Call, start: Operand, stop: Operand, step: Operand = 1) -> Ints:
    """The numbers from ``start`` to ``stop`` (left out), all scalars, as a vector."""
    return as_ints(call, start).same(np.arange, "Range", stop, step)


def strides_of(call: Call, shape: Ints, rank: int | None) -> Ints:
    """How many elements one step along each axis of ``shape`` goes: the product of the sizes after it."""
    if rank is not None:
        return joined(call, *(shape.entries(axis + 1).product().vector() for axis in range(rank)))
    axes = counted(call, 0, run_time_shape(call, shape.name).scalar())
    later = (axes.expanded(1) < axes.expanded(0)).where(shape.expanded(0), 1)
    return Ints(call, call.reduce("ReduceProd", later.name, [1]))
