"""Coordinates and weights of a lowering under one arithmetic, whether they are known now or computed at run time.

The float32 counterpart of `ints`: what is known numpy computes, rounding as TensorFlow's kernels do, and an
initializer comes out; for the rest nodes are emitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

import numpy as np

from bnfold.export.ints import Ints
from bnfold.export.numbers import Numbers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32, INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call

Operand = Union["Reals", float]


class Reals(Numbers[Operand]):
    """A float32 (or float64) tensor, or the bool one that a comparison gives."""

    def __init__(self, call: Call, content: Any, dtype: DType = FLOAT32) -> None:
        super().__init__(call, content, dtype.numpy)
        self.dtype = dtype

    def _like(self, content: Any) -> Reals:
        return Reals(self.call, content, self.dtype)

    def _operand(self, value: Operand) -> Reals:
        return as_reals(self.call, value, self.dtype)

    @staticmethod
    def of(values: Ints) -> Reals:
        """Integers as floats."""
        if values.known is not None:
            return Reals(values.call, values.known)
        return Reals(values.call, values.call.cast(values.name, FLOAT32))

    def __rtruediv__(self, other: Operand) -> Reals:
        return as_reals(self.call, other, self.dtype) / self

    def __truediv__(self, other: Operand) -> Reals:
        return self.same(np.divide, "Div", other)

    def abs(self) -> Reals:
        return self.same(np.abs, "Abs")

    def floor(self) -> Reals:
        return self.same(np.floor, "Floor")

    def ceil(self) -> Reals:
        return self.same(np.ceil, "Ceil")

    def rint(self) -> Reals:
        """To the nearest integer, halves to the even one."""
        return self.same(np.rint, "Round")

    def total(self, axis: int) -> Reals:
        """The sum over ``axis``, which stays with size 1."""
        if self.known is not None:
            return Reals(self.call, self.known.sum(axis, keepdims=True), self.dtype)
        return Reals(self.call, self.call.reduce("ReduceSum", self.name, [axis], keepdims=True), self.dtype)

    def entry(self, index: int) -> Reals:
        """One entry of a vector, as a scalar."""
        if self.known is not None:
            return Reals(self.call, self.known[index], self.dtype)
        return Reals(self.call, self.call.emit("Gather", self.name, self.call.scalar(index, INT64)), self.dtype)

    def entries(self, indices: Ints) -> Reals:
        """The entries of a vector at ``indices``, whose shape the result has."""
        if self.known is not None and indices.known is not None:
            return Reals(self.call, self.known[indices.known], self.dtype)
        return Reals(self.call, self.call.emit("Gather", self.name, indices.name), self.dtype)

    def as_ints(self) -> Ints:
        """Cut towards zero."""
        if self.known is not None:
            return Ints(self.call, self.known.astype(np.int64))
        return Ints(self.call, self.call.cast(self.name, INT64))


def as_reals(call: Call, value: Operand, dtype: DType = FLOAT32) -> Reals:
    return value if isinstance(value, Reals) else Reals(call, value, dtype)


def input_reals(call: Call, index: int, dtype: DType) -> Reals:
    """Input ``index``, a float of any width, as ``dtype``."""
    array = call.value(index)
    if array is not None:
        return Reals(call, array.astype(dtype.numpy), dtype)
    value = call.input(index)
    return Reals(call, value if call.dtype(index) == dtype else call.cast(value, dtype), dtype)


def counted(call: Call, count: Ints) -> Reals:
    """0, 1, … ``count`` - 1."""
    if (known := count.number()) is not None:
        return Reals(call, np.arange(known))
    steps = call.emit("Range", call.scalar(0, INT64), count.scalar().name, call.scalar(1, INT64))
    return Reals(call, call.cast(steps, FLOAT32))
