"""Coordinates and weights of a lowering under one arithmetic, whether they are known now or computed at run time.

The float32 counterpart of `ints`: what is known numpy computes, rounding as TensorFlow's kernels do, and an
initializer comes out; for the rest nodes are emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from bnfold.export.ints import Ints
from bnfold.graph import Array, DType
from bnfold.graph.dtypes import FLOAT32, INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call

Operand = Union["Reals", float]


class Reals:
    """A float32 (or float64) tensor, or the bool one that a comparison gives.

    Attributes
    ----------
    known : ndarray or None
        The content, where it is known.
    """

    def __init__(self, call: Call, content: Any, dtype: DType = FLOAT32) -> None:
        self.call = call
        self.dtype = dtype
        self.known: Array | None = None
        self._name = ""
        if isinstance(content, str):
            self._name = content
        else:
            array = np.asarray(content)
            self.known = array if array.dtype == bool else array.astype(dtype.numpy)

    @staticmethod
    def of(values: Ints) -> Reals:
        """Integers as floats."""
        if values.known is not None:
            return Reals(values.call, values.known)
        return Reals(values.call, values.call.cast(values.name, FLOAT32))

    @property
    def name(self) -> str:
        """The ONNX value."""
        if not self._name:
            assert self.known is not None
            self._name = self.call.constant(self.known)
        return self._name

    def same(self, numpy: Callable[..., Any], op: str, *others: Operand, **attrs: Any) -> Reals:
        """``numpy`` of what is known, else a node ``op`` of it all."""
        operands = [self, *(as_reals(self.call, other, self.dtype) for other in others)]
        if all(operand.known is not None for operand in operands):
            return Reals(self.call, numpy(*(operand.known for operand in operands)), self.dtype)
        return Reals(self.call, self.call.emit(op, *(operand.name for operand in operands), **attrs), self.dtype)

    def __add__(self, other: Operand) -> Reals:
        return self.same(np.add, "Add", other)

    def __sub__(self, other: Operand) -> Reals:
        return self.same(np.subtract, "Sub", other)

    def __rsub__(self, other: Operand) -> Reals:
        return as_reals(self.call, other, self.dtype) - self

    def __mul__(self, other: Operand) -> Reals:
        return self.same(np.multiply, "Mul", other)

    def __rtruediv__(self, other: Operand) -> Reals:
        return as_reals(self.call, other, self.dtype) / self

    def __truediv__(self, other: Operand) -> Reals:
        return self.same(np.divide, "Div", other)

    def __lt__(self, other: Operand) -> Reals:
        return self.same(np.less, "Less", other)

    def __gt__(self, other: Operand) -> Reals:
        return self.same(np.greater, "Greater", other)

    def __ge__(self, other: Operand) -> Reals:
        return self.same(np.greater_equal, "GreaterOrEqual", other)

    def __le__(self, other: Operand) -> Reals:
        return self.same(np.less_equal, "LessOrEqual", other)

    def equals(self, other: Operand) -> Reals:
        return self.same(np.equal, "Equal", other)

    def __and__(self, other: Reals) -> Reals:
        return self.same(np.logical_and, "And", other)

    def __or__(self, other: Reals) -> Reals:
        return self.same(np.logical_or, "Or", other)

    def abs(self) -> Reals:
        return self.same(np.abs, "Abs")

    def floor(self) -> Reals:
        return self.same(np.floor, "Floor")

    def ceil(self) -> Reals:
        return self.same(np.ceil, "Ceil")

    def rint(self) -> Reals:
        """To the nearest integer, halves to the even one."""
        return self.same(np.rint, "Round")

    def at_most(self, other: Operand) -> Reals:
        return self.same(np.minimum, "Min", other)

    def at_least(self, other: Operand) -> Reals:
        return self.same(np.maximum, "Max", other)

    def where(self, then: Operand, other: Operand) -> Reals:
        """``then`` where this (a bool) is true, else ``other``."""
        return self.same(np.where, "Where", then, other)

    def total(self, axis: int) -> Reals:
        """The sum over ``axis``, which stays with size 1."""
        if self.known is not None:
            return Reals(self.call, self.known.sum(axis, keepdims=True), self.dtype)
        return Reals(self.call, self.call.reduce("ReduceSum", self.name, [axis], keepdims=True), self.dtype)

    def expanded(self, axis: int) -> Reals:
        """With one more axis of size 1."""
        if self.known is not None:
            return Reals(self.call, np.expand_dims(self.known, axis), self.dtype)
        return Reals(self.call, self.call.unsqueeze(self.name, [axis]), self.dtype)

    def entry(self, index: int) -> Reals:
        """One entry of a vector, as a scalar."""
        if self.known is not None:
            return Reals(self.call, self.known[index], self.dtype)
        return Reals(self.call, self.call.emit("Gather", self.name, self.call.scalar(index, INT64)), self.dtype)

    def reshaped(self, shape: Sequence[int]) -> Reals:
        if self.known is not None:
            return Reals(self.call, self.known.reshape(shape), self.dtype)
        return Reals(self.call, self.call.reshape(self.name, shape), self.dtype)

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
