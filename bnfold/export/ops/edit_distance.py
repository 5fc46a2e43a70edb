"""How many changes make one sequence another."""

from __future__ import annotations

import math

from bnfold.export.call import Call
from bnfold.export.ints import LARGEST, Ints, counted, input_ints, joined, run_time_shape, strides_of
from bnfold.export.numbering import numbered
from bnfold.export.ops.sparse import dot
from bnfold.export.steps import Step, repeated
from bnfold.export.table import INTEGERS, lowers
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT32, INT64, STRING

_MATRIX = TensorType(INT64, (None, None))


@lowers("EditDistance", dtypes=(*INTEGERS, "bool", "string"))
def lower_edit_distance(call: Call) -> str:
    """V. I. Levenshtein's distance of the sequences on the last axis of two sparse tensors.

    Divided by the length of the truth if asked for: then it is infinite where the truth is empty, and 0 where both are.
    """
    shape = input_ints(call, 2).at_least(input_ints(call, 5)).entries(0, -1)
    count = shape.product()
    values = _comparable(call)
    guesses, lengths = _rows(call, 0, values[0], shape, count)
    truths, wanted = _rows(call, 3, values[1], shape, count)
    distances = _distances(call, guesses, lengths, truths)
    found = call.emit("GatherElements", distances, wanted.expanded(1).name, axis=1)
    distance, length = (call.cast(value, FLOAT32) for value in (call.squeeze(found, [1]), wanted.name))
    if call.attr("normalize"):
        nothing = call.scalar(0, FLOAT32)
        share = call.emit("Div", distance, call.emit("Max", length, call.scalar(1, FLOAT32)))
        endless = call.emit("And", call.emit("Equal", length, nothing), call.emit("Greater", distance, nothing))
        distance = call.emit("Where", endless, call.scalar(math.inf, FLOAT32), share)
    return call.reshape_to(distance, shape.name)


def _comparable(call: Call) -> list[Ints]:
    """The entries of both as integers that are equal where they are."""
    values = [call.input(1), call.input(4)]
    if call.dtype(1) == STRING:
        return numbered(call, *values)
    return [Ints(call, call.cast(value, INT64)) for value in values]


def _rows(call: Call, index: int, values: Ints, shape: Ints, count: Ints) -> tuple[str, Ints]:
    """The sequences as the rows of a matrix, and their lengths; gaps between entries count for nothing."""
    places = input_ints(call, index)
    outer = Ints(call, call.emit("Slice", places.name, call.ints([0]), call.ints([-1]), call.ints([1])))
    rows = dot(call, outer, strides_of(call, shape, None))
    each = counted(call, 0, run_time_shape(call, rows.name).scalar())
    earlier = (rows.expanded(0).equals(rows.expanded(1)) & (each.expanded(0) < each.expanded(1))).as_int()
    column = Ints(call, call.reduce("ReduceSum", earlier.name, [1]))
    here = rows.expanded(0).equals(counted(call, 0, count).expanded(1)).as_int()
    lengths = Ints(call, call.reduce("ReduceSum", here.name, [1]))
    width = joined(call, [0], lengths).max()
    blank = call.emit("Expand", call.scalar(0, INT64), joined(call, count.vector(), width.vector()).name)
    at = call.emit("Concat", rows.expanded(1).name, column.expanded(1).name, axis=1)
    return call.emit("ScatterND", blank, at, values.name), lengths


def _distances(call: Call, guesses: str, lengths: Ints, truths: str) -> str:
    """The distance of each whole guess from the first 0, 1, … entries of its truth.

    One step takes one entry of all guesses. An entry of the truth that is left out costs 1, so that the distance is
    j + min (cost - j) of all places up to j.
    """
    width = run_time_shape(call, truths)[1]
    place = counted(call, 0, width + 1)
    upto = (place.expanded(0) <= place.expanded(1)).name
    rows = run_time_shape(call, truths)[0]
    start = call.emit("Expand", place.expanded(0).name, joined(call, rows.vector(), [1]).name)
    one, far = call.scalar(1, INT64), call.scalar(2**40, INT64)
    first, second, last, end, along = (call.ints([number]) for number in (0, 1, -1, LARGEST, 1))
    axes, ends = [call.ints([2])] if call.opset >= 18 else [], lengths.expanded(1).name

    def write(step: Step, k: str, state: list[str]) -> tuple[str]:
        (before,) = state
        entry = step("Gather", guesses, k, axis=1)
        other = step("Cast", step("Not", step("Equal", entry, truths)), to=INT64)
        replaced = step("Add", step("Slice", before, first, last, along), other)
        added = step("Add", before, one)
        begin = step("Slice", added, first, second, along)
        rest = step("Min", replaced, step("Slice", added, second, end, along))
        cost = step("Sub", step("Concat", begin, rest, axis=1), place.name)
        every = step("Where", upto, step.unsqueeze(cost, 1), far)
        least = step("ReduceMin", every, *axes, keepdims=0, axes=None if axes else [2])
        after = step("Add", least, place.name)
        return (step("Where", step("Less", k, ends), after, before),)

    steps = run_time_shape(call, guesses).entries(1).name
    return repeated(call, steps, [(start, _MATRIX)], write)[0]
