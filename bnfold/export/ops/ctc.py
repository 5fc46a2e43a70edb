"""Decoding of connectionist temporal classification."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import as_ints, size_of
from bnfold.export.table import lowers
from bnfold.graph.dtypes import INT64


@lowers("CTCGreedyDecoder", dtypes=("float32", "float64"))
def lower_ctc_greedy_decoder(call: Call) -> tuple[str, ...]:
    """The best class of each step; blanks, and if asked for repeats, dropped; as a sparse tensor.

    Inputs are time × batch × classes, and the length of each sequence. Outputs are the indices (sequence, position),
    the classes, the dense shape, and minus the sum of the best logits of each sequence.
    """
    logits = call.transpose(call.input(0), [1, 0, 2])
    steps = size_of(call, 0, 0).scalar()
    classes = size_of(call, 0, 2).scalar()
    best = call.emit("ArgMax", logits, axis=2, keepdims=0)
    times = call.emit("Range", call.scalar(0, INT64), steps.name, call.scalar(1, INT64))
    lengths = call.unsqueeze(call.cast(call.input(1), INT64), [1])
    within = call.emit("Less", times, lengths)
    blank: int = call.attr("blank_index")
    symbol = classes + blank if blank < 0 else as_ints(call, blank)
    kept = call.emit("And", within, call.emit("Not", call.emit("Equal", best, symbol.name)))
    if call.attr("merge_repeated"):
        pads = call.ints([0, 1, 0, 0])
        longer = call.emit("Pad", best, pads, call.scalar(-1, INT64))
        before = call.emit("Slice", longer, call.ints([0]), call.ints([-1]), call.ints([1]))
        kept = call.emit("And", kept, call.emit("Not", call.emit("Equal", best, before)))
    places = call.emit("Transpose", call.emit("NonZero", kept), perm=[1, 0])
    counts = call.emit("CumSum", call.cast(kept, INT64), call.scalar(1, INT64))
    position = call.unsqueeze(call.emit("Sub", call.emit("GatherND", counts, places), call.ints([1])), [1])
    sequence = call.emit("Slice", places, call.ints([0]), call.ints([1]), call.ints([1]))
    longest = call.reduce("ReduceMax", counts, [0, 1])
    batch = size_of(call, 0, 1)
    scores = call.reduce("ReduceMax", logits, [2])
    counted = call.emit("Where", within, scores, call.scalar(0, call.dtype()))
    return (
        call.emit("Concat", sequence, position, axis=1),
        call.emit("GatherND", best, places),
        call.emit("Concat", batch.name, call.reshape(longest, [1]), axis=0),
        call.emit("Neg", call.reduce("ReduceSum", counted, [1], keepdims=True)),
    )
