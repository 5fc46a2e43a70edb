"""Sets: what is in a tensor, how often, and what is not in another."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import carrier, moved
from bnfold.export.ints import counted, size_of
from bnfold.export.numbering import same_texts
from bnfold.export.table import ALL, lowers
from bnfold.graph.dtypes import BOOL, INT32, INT64


@lowers("Unique", "UniqueWithCounts", dtypes=ALL)
@lowers("UniqueV2", "UniqueWithCountsV2", dtypes=ALL, axis=1)
def lower_unique(call: Call) -> tuple[str, ...]:
    """In the order in which they come first: values, where each entry is among them, how often each is there."""
    dtype = call.dtype()
    under = carrier("Unique", dtype)
    if under is None:
        raise call.refusal(f"onnxruntime has no Unique for {dtype}")
    value = call.input(0) if under == dtype else call.cast(call.input(0), under)
    values, _, places, counts = call.emit_many("Unique", value, outputs=4, axis=_axis(call), sorted=0)
    found = values if under == dtype else call.cast(values, dtype)
    whole = [places, counts] if "Counts" in call.op else [places]
    index = call.out_dtype(1)
    return found, *(part if index == INT64 else call.cast(part, index) for part in whole)


def _axis(call: Call) -> int | None:
    """None is all of a vector; V2 may name an axis, in a vector that may be empty."""
    if call.fact("axis") is None:
        return None
    named = call.constant_value(1, "axis").reshape(-1)
    return int(named[0]) % call.rank() if named.size else None


@lowers("ListDiff", dtypes=ALL)
def lower_list_diff(call: Call) -> tuple[str, str]:
    """What of the first vector is not in the second, and where."""
    x, y = call.unsqueeze(call.input(0), [1]), call.unsqueeze(call.input(1), [0])
    same = call.widened("Equal", x, y) if call.dtype().name != "string" else same_texts(call, x, y)
    hits = call.reduce("ReduceSum", call.cast(same, INT32), [1])
    left = call.emit("Not", call.cast(hits, BOOL))
    places = counted(call, 0, size_of(call, 0, 0).scalar())
    where = call.emit("Compress", places.name, left, axis=0)
    index = call.out_dtype(1)
    kept = moved(call, "Compress", [call.input(0), left], call.dtype(), axis=0)
    return kept, where if index == INT64 else call.cast(where, index)


@lowers("LowerBound", onnx="Less")
@lowers("UpperBound", onnx="LessOrEqual")
def lower_bound(call: Call) -> str:
    """How many of a row's sorted entries are less than (or equal to) each value."""
    entries, values = call.unsqueeze(call.input(0), [1]), call.unsqueeze(call.input(1), [2])
    before = call.cast(call.widened(call.fact("onnx"), entries, values), INT64)
    count = call.reduce("ReduceSum", before, [2])
    return count if call.out_dtype() == INT64 else call.cast(count, call.out_dtype())
