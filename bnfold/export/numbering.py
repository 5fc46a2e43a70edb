"""Strings as numbers, for ops that ONNX has for numbers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.export.ints import Ints, joined, run_time_shape

if TYPE_CHECKING:
    from bnfold.export.call import Call


def numbered(call: Call, *values: str) -> list[Ints]:
    """``values`` with a number in the place of each string: equal strings have equal numbers, in all of them."""
    flat = [call.emit("Reshape", value, call.ints([-1])) for value in values]
    both = call.emit("Concat", *flat, axis=0) if len(flat) > 1 else flat[0]
    _, _, where = call.emit_many("Unique", both, outputs=3, sorted=1)
    end, numbers = Ints(call, [0]), []
    for value, vector in zip(values, flat, strict=True):
        start, end = end, end + run_time_shape(call, vector)
        part = Ints(call, where).entries(start, end)
        shape = joined(call, run_time_shape(call, value))
        numbers.append(Ints(call, call.emit("Reshape", part.name, shape.name)))
    return numbers


def same_texts(call: Call, x: str, y: str) -> str:
    """Where two tensors of strings, broadcast, are equal; before opset 19, which compares strings, by their numbers."""
    if call.opset >= 19:
        return call.emit("Equal", x, y)
    first, second = numbered(call, x, y)
    return first.equals(second).name
