"""Functions computed in float64, whatever the dtype: rounded once, they are right to the last place of float32.

For some of them onnxruntime has no kernel in any dtype; those that it has are for float32, and miss where float32 is
short: near a zero of the function, or far out in its tails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.graph.dtypes import FLOAT64


class Doubles:
    """The arithmetic of float64 values."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __call__(self, op: str, *operands: str | float) -> str:
        return self.call.emit(op, *map(self._value, operands))

    def where(self, condition: str, then: str | float, other: str | float) -> str:
        return selected(self.call, condition, self._value(then), self._value(other), FLOAT64)

    def _value(self, x: str | float) -> str:
        return x if isinstance(x, str) else self.call.scalar(x, FLOAT64)

    def unit(self, y: str, x: str) -> tuple[str, str]:
        """``y`` and ``x``, finite and the larger of them 1 or -1, unless both are 0."""
        limits = np.finfo(np.float64)
        y, x = (self("Clip", value, float(limits.min), float(limits.max)) for value in (y, x))
        scale = self("Max", self("Abs", y), self("Abs", x), float(limits.tiny))
        return self("Div", y, scale), self("Div", x, scale)

    def spread(self, x: str, numbers: Sequence[float], op: str) -> str:
        """``op(x, number)`` for each of ``numbers``, on a new last axis."""
        along = self.call.constant(np.array(numbers, np.float64))
        return self.call.emit(op, self.call.unsqueeze(x, [-1]), along)

    def over_last(self, op: str, value: str) -> str:
        """ReduceSum or ReduceProd over the last axis."""
        return self.call.reduce(op, value, [-1])

    def polynomial(self, x: str, coefficients: Sequence[float]) -> str:
        """``Σ cₖ xᵏ``, the constant first: its powers times the coefficients, all at once."""
        powers = self.spread(x, range(len(coefficients)), "Pow")
        return self.call.emit("MatMul", powers, self.call.constant(np.array(coefficients, np.float64)))

    def ratio(self, x: str, above: Sequence[float], below: Sequence[float]) -> str:
        return self("Div", self.polynomial(x, above), self.polynomial(x, below))


def in_doubles(call: Call, function: Callable[..., str]) -> str:
    """``function(doubles, *inputs)`` in float64, given in the dtype of the node."""
    inputs = [call.cast(call.input(index), FLOAT64) for index in range(call.arity)]
    return call.cast(function(Doubles(call), *inputs), call.dtype())
