"""Products of vectors."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.table import NUMBERS, lowers


@lowers("Cross", dtypes=NUMBERS)
def lower_cross(call: Call) -> str:
    """a × b = (a₁b₂ - a₂b₁, a₂b₀ - a₀b₂, a₀b₁ - a₁b₀) on the last axis"""
    next_one, one_after = call.ints([1, 2, 0]), call.ints([2, 0, 1])
    a, b = call.inputs()

    def turned(value: str, order: str) -> str:
        return call.emit("Gather", value, order, axis=-1)

    first = call.widened("Mul", turned(a, next_one), turned(b, one_after))
    second = call.widened("Mul", turned(a, one_after), turned(b, next_one))
    return call.widened("Sub", first, second)
