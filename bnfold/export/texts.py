"""Strings put together, and literal text in them replaced, by what ONNX has: StringConcat and StringSplit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnfold.export.carry import selected
from bnfold.export.ints import Ints, counted, joined, run_time_shape
from bnfold.export.steps import Step, repeated
from bnfold.graph import TensorType
from bnfold.graph.dtypes import STRING

if TYPE_CHECKING:
    from bnfold.export.call import Call


def joined_rows(call: Call, value: str, size: int | None, separator: str = "") -> str:
    """The rows of ``value`` (along axis 0) put together element by element; of no rows, empty strings.

    Parameters
    ----------
    size : int or None
        The number of rows, if it is known; up to `_UNROLLED` they need no loop.
    """
    if size is not None and 0 < size <= _UNROLLED:
        return _unrolled(call, value, size, separator)
    sizes = run_time_shape(call, value)
    if separator:
        value = call.emit("StringConcat", _prefixes(call, sizes, separator), value)
    nothing = call.emit("Expand", call.scalar("", STRING), sizes.entries(1).name)

    def write(step: Step, k: str, carried: list[str]) -> Sequence[str]:
        end = step("Add", k, call.ints([1]))
        row = step.squeeze(step("Slice", value, k, end, call.ints([0])), 0)
        return [step("StringConcat", carried[0], row)]

    return repeated(call, sizes[0].name, [(nothing, TensorType(STRING, None))], write)[0]


_UNROLLED = 8


def _unrolled(call: Call, value: str, size: int, separator: str) -> str:
    rows: Sequence[str] = [value]
    if size > 1:
        outputs = size if call.opset >= 18 else None
        rows = call.emit_many("Split", value, axis=0, num_outputs=outputs, outputs=size)
    result, *others = [call.squeeze(row, [0]) for row in rows]
    for row in others:
        if separator:
            result = call.emit("StringConcat", result, call.scalar(separator, STRING))
        result = call.emit("StringConcat", result, row)
    return result


def _prefixes(call: Call, sizes: Ints, separator: str) -> str:
    """Nothing before the first of as many rows, ``separator`` before the others."""
    later = counted(call, 0, sizes[0]) > 0
    prefixes = selected(call, later.name, call.scalar(separator, STRING), call.scalar("", STRING), STRING)
    ones = (sizes.entries(1) * 0) + 1
    return call.emit("Reshape", prefixes, joined(call, [-1], ones).name)


def replaced(call: Call, value: str, text: str, new: str, *, once: bool = False) -> str:
    """``value`` with ``new`` in place of each ``text`` (or of the first), from left to right."""
    flat = call.emit("Reshape", value, call.ints([-1]))
    most = 1 if once else None
    parts, counts = call.emit_many("StringSplit", flat, delimiter=text, maxsplit=most, outputs=2)
    width = run_time_shape(call, parts)[1]
    column = counted(call, 0, width).expanded(0)
    later = (column > 0) & (column < Ints(call, counts).expanded(1))
    if new:
        before = selected(call, later.name, call.scalar(new, STRING), call.scalar("", STRING), STRING)
        parts = call.emit("StringConcat", before, parts)
    result = joined_rows(call, call.transpose(parts, [1, 0]), None)
    return call.emit("Reshape", result, run_time_shape(call, value).name)
