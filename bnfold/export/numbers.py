"""The arithmetic that `Ints` and `Reals` share: numpy's on what is known now, ONNX nodes for the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from bnfold.graph import Array

if TYPE_CHECKING:
    from typing_extensions import Self

    from bnfold.export.call import Call

Operand = TypeVar("Operand")


class Numbers(ABC, Generic[Operand]):
    """A tensor of a lowering, or the bool one that a comparison gives.

    Attributes
    ----------
    known : ndarray or None
        The content, where it is known.
    """

    def __init__(self, call: Call, content: Any, dtype: Any) -> None:
        self.call = call
        self.known: Array | None = None
        self._name = ""
        if isinstance(content, str):
            self._name = content
        else:
            array = np.asarray(content)
            self.known = array if array.dtype == bool else array.astype(dtype)

    @abstractmethod
    def _like(self, content: Any) -> Self:
        """``content``, an array or the name of an ONNX value, with this one's call and dtype."""

    @abstractmethod
    def _operand(self, value: Operand) -> Self:
        """What an arithmetic operator of this class is given."""

    @property
    def name(self) -> str:
        """The ONNX value."""
        if not self._name:
            assert self.known is not None
            self._name = self.call.constant(self.known)
        return self._name

    def same(self, numpy: Callable[..., Any], op: str, *others: Operand, **attrs: Any) -> Self:
        """``numpy`` of what is known, else a node ``op`` of it all."""
        operands = [self, *(self._operand(other) for other in others)]
        if all(operand.known is not None for operand in operands):
            return self._like(numpy(*(operand.known for operand in operands)))
        return self._like(self.call.emit(op, *(operand.name for operand in operands), **attrs))

    def __add__(self, other: Operand) -> Self:
        return self.same(np.add, "Add", other)

    def __sub__(self, other: Operand) -> Self:
        return self.same(np.subtract, "Sub", other)

    def __rsub__(self, other: Operand) -> Self:
        return self._operand(other).same(np.subtract, "Sub", self)  # type: ignore[arg-type]

    def __mul__(self, other: Operand) -> Self:
        return self.same(np.multiply, "Mul", other)

    def __lt__(self, other: Operand) -> Self:
        return self.same(np.less, "Less", other)

    def __gt__(self, other: Operand) -> Self:
        return self.same(np.greater, "Greater", other)

    def __le__(self, other: Operand) -> Self:
        return self.same(np.less_equal, "LessOrEqual", other)

    def __ge__(self, other: Operand) -> Self:
        return self.same(np.greater_equal, "GreaterOrEqual", other)

    def __and__(self, other: Operand) -> Self:
        return self.same(np.logical_and, "And", other)

    def __or__(self, other: Operand) -> Self:
        return self.same(np.logical_or, "Or", other)

    def equals(self, other: Operand) -> Self:
        return self.same(np.equal, "Equal", other)

    def at_most(self, other: Operand) -> Self:
        return self.same(np.minimum, "Min", other)

    def at_least(self, other: Operand) -> Self:
        return self.same(np.maximum, "Max", other)

    def where(self, then: Operand, other: Operand) -> Self:
        """``then`` where this (a bool) is true, else ``other``."""
        return self.same(np.where, "Where", then, other)

    def reshaped(self, shape: Sequence[int]) -> Self:
        if self.known is not None:
            return self._like(self.known.reshape(shape))
        return self._like(self.call.reshape(self.name, shape))

    def expanded(self, axis: int) -> Self:
        """With a new axis of size 1."""
        if self.known is not None:
            return self._like(np.expand_dims(self.known, axis))
        return self._like(self.call.unsqueeze(self.name, [axis]))
