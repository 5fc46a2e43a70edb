"""Cross entropies, which some models give out as scores."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import INT64


@lowers("SoftmaxCrossEntropyWithLogits", dtypes=FLOATS)
def lower_cross_entropy(call: Call) -> tuple[str, ...]:
    """``-Σ labels · log softmax(logits)`` of each sample, and ``softmax(logits) - labels``."""
    labels = call.input(1)
    terms = call.widened("Mul", labels, call.widened("LogSoftmax", call.input(0), axis=-1))
    return _negated_sum(call, terms), call.widened("Sub", call.widened("Softmax", call.input(0), axis=-1), labels)


@lowers("SparseSoftmaxCrossEntropyWithLogits", dtypes=FLOATS)
def lower_sparse_cross_entropy(call: Call) -> tuple[str, ...]:
    """The same with one class for each sample, whose label is 1."""
    column = call.unsqueeze(call.cast(call.input(1), INT64), [1])
    picked = call.emit("GatherElements", call.widened("LogSoftmax", call.input(0), axis=-1), column, axis=1)
    loss = call.widened("Neg", call.squeeze(picked, [1]))
    if not call.is_read(1):
        return (loss,)
    classes = call.emit("Gather", call.emit("Shape", call.input(0)), call.scalar(1, INT64))
    every = call.emit("Range", call.scalar(0, INT64), classes, call.scalar(1, INT64))
    labels = call.cast(call.emit("Equal", column, call.unsqueeze(every, [0])), call.dtype())
    return loss, call.widened("Sub", call.widened("Softmax", call.input(0), axis=-1), labels)


def _negated_sum(call: Call, terms: str) -> str:
    dtype = call.dtype()
    wide = call.wide_dtype("ReduceSum", dtype)
    total = call.reduce("ReduceSum", terms if wide == dtype else call.cast(terms, wide), [1])
    return call.widened("Neg", total if wide == dtype else call.cast(total, dtype))
