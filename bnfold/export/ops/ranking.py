"""The largest few, and whether something is among them."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import input_ints
from bnfold.export.order import order_kept
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph.dtypes import INT32, INT64


@lowers("TopK", "TopKV2", dtypes=NUMBERS)
def lower_top_k(call: Call) -> tuple[str, ...]:
    """Of equals the first comes first, in both. What is asked for in no order comes in order."""
    under = order_kept(call, "TopK", call.input(0))
    values, indices = call.emit_many("TopK", under.value, _count(call), axis=-1, outputs=2)
    dtype = call.out_dtype(1)
    return under.back(values), indices if dtype == INT64 else call.cast(indices, dtype)


def _count(call: Call) -> str:
    if call.op == "TopK":
        return call.ints([call.attr("k")])
    count = call.value(1)
    if count is not None:
        return call.ints([int(count)])
    value = call.input(1) if call.dtype(1) == INT64 else call.cast(call.input(1), INT64)
    return call.reshape(value, [1])


@lowers("NthElement", dtypes=NUMBERS)
def lower_nth_element(call: Call) -> str:
    """The last of the n + 1 smallest, or largest."""
    count = input_ints(call, 1).vector() + 1
    under = order_kept(call, "TopK", call.input(0))
    values, _ = call.emit_many("TopK", under.value, count.name, axis=-1, largest=call.attr("reverse"), outputs=2)
    return under.back(call.emit("Gather", values, input_ints(call, 1).scalar().name, axis=-1))


@lowers("InTopK", "InTopKV2", dtypes=("int32", "int64"))
def lower_in_top_k(call: Call) -> str:
    """Are fewer than k predictions above the target's? A row with one that is not finite says no."""
    predictions, targets = call.input(0), call.unsqueeze(_as_int64(call, 1), [1])
    last = call.emit("Sub", call.emit("Gather", call.emit("Shape", predictions), call.ints([1])), call.ints([1]))
    nearest = call.emit("Max", call.emit("Min", targets, last), call.ints([0]))
    wanted = call.emit("GatherElements", predictions, nearest, axis=1)
    above = call.cast(call.emit("Greater", predictions, wanted), INT64)
    count = call.reduce("ReduceSum", above, [1])
    limit = call.scalar(call.attr("k"), INT64) if call.op == "InTopK" else _as_int64(call, 2)
    finite = call.emit("Less", call.emit("Abs", predictions), call.scalar(np.inf, call.dtype(0)))
    sound = call.reduce("ReduceMin", call.cast(finite, INT32), [1])
    valid = call.squeeze(call.emit("Equal", nearest, targets), [1])
    answers = call.emit("And", call.emit("Less", count, limit), call.emit("Equal", sound, call.scalar(1, INT32)))
    return call.emit("And", answers, valid)


def _as_int64(call: Call, index: int) -> str:
    value = call.input(index)
    return value if call.dtype(index) == INT64 else call.cast(value, INT64)
