"""Non-maximum suppression."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ops.greedy_suppression import Rule, given_overlaps, greedily, overlaps_of_boxes
from bnfold.export.reals import Reals, input_reals
from bnfold.export.table import lowers
from bnfold.graph.dtypes import FLOAT32, INT32, INT64

HALF_OR_FLOAT = ("float16", "float32")


@lowers("NonMaxSuppression", dtypes=("int32",))
@lowers("NonMaxSuppressionV2", "NonMaxSuppressionV3", dtypes=HALF_OR_FLOAT)
@lowers("NonMaxSuppressionV4", "NonMaxSuppressionV5", dtypes=HALF_OR_FLOAT)
def lower_non_max_suppression(call: Call) -> tuple[str, ...]:
    """One image, one class; the indices may be padded with zeros to the largest number."""
    limit = call.reshape(_int64(call, 2), [1])
    sigma = call.value(5) if call.op.endswith("V5") else 0
    if sigma is None or sigma > 0:
        threshold, least, lowering = (input_reals(call, index, FLOAT32) for index in (3, 4, 5))
        rule = Rule(threshold, least, lowering)
        indices, scores = greedily(call, _float32(call, 1), overlaps_of_boxes(call), rule, call.reshape(limit, []))
    else:
        boxes = call.unsqueeze(_float32(call, 0), [0])
        selected = _suppressed(call, boxes, call.unsqueeze(_float32(call, 1), [0, 1]), limit)
        indices = call.emit("Gather", selected, call.scalar(2, INT64), axis=1)
        scores = call.emit("Gather", _float32(call, 1), indices) if call.op.endswith("V5") else ""
    results = [indices, scores] if call.op.endswith("V5") else [indices]
    count = call.emit("Shape", indices)
    if call.attr("pad_to_max_output_size"):
        pads = call.emit("Concat", call.ints([0]), call.emit("Sub", limit, count), axis=0)
        results = [call.emit("Pad", result, pads) for result in results]
    results[0] = call.cast(results[0], INT32)
    if call.op.endswith("V5"):
        results[1] = call.cast(results[1], call.out_dtype(1))
    if call.op.endswith(("V4", "V5")):
        results.append(call.cast(call.reshape(count, []), INT32))
    return tuple(results)


@lowers("NonMaxSuppressionWithOverlaps", dtypes=("int32",))
def lower_non_max_suppression_with_overlaps(call: Call) -> str:
    """As of boxes, but how much they overlap is given."""
    threshold, least = (input_reals(call, index, FLOAT32) for index in (3, 4))
    rule = Rule(threshold, least, Reals(call, 0.0))
    limit = call.reshape(_int64(call, 2), [])
    indices, _ = greedily(call, call.input(1), given_overlaps(call), rule, limit)
    return call.cast(indices, INT32)


def _suppressed(call: Call, boxes: str, scores: str, limit: str) -> str:
    thresholds = []
    if call.op == "NonMaxSuppression":
        thresholds.append(call.scalar(call.attr("iou_threshold"), FLOAT32))
    else:
        thresholds += [_float32(call, index) for index in range(3, min(call.arity, 5))]
    flat = [call.reshape(threshold, [1]) for threshold in thresholds]
    return call.emit("NonMaxSuppression", boxes, scores, limit, *flat)


def _float32(call: Call, index: int) -> str:
    value = call.input(index)
    return value if call.dtype(index) == FLOAT32 else call.cast(value, FLOAT32)


def _int64(call: Call, index: int) -> str:
    value = call.input(index)
    return value if call.dtype(index) == INT64 else call.cast(value, INT64)


@lowers("CombinedNonMaxSuppression", dtypes=("float32",))
def lower_combined_non_max_suppression(call: Call) -> tuple[str, ...]:
    """Each class of each image by itself; then, of every image, the best of all classes.

    The scores that survive are put among -1s, so that one TopK finds the best; boxes and classes follow from where
    it found them.
    """
    boxes, scores = call.input(0), call.emit("Transpose", call.input(1), perm=[0, 2, 1])
    shape = call.emit("Shape", scores)
    batch, classes, count = (call.emit("Gather", shape, call.ints([axis])) for axis in range(3))
    own = call.known_shape(0)[2]
    every = call.emit("Mul", batch, classes)
    single, four = call.ints([1]), call.ints([4])
    if own is None:  # boxes that all classes share become boxes of each
        boxes = call.emit("Expand", boxes, call.emit("Concat", batch, count, classes, four, axis=0))
    if own == 1:
        flat_boxes, flat_scores = call.squeeze(boxes, [2]), scores
    else:
        by_class = call.emit("Transpose", boxes, perm=[0, 2, 1, 3])
        flat_boxes = call.emit("Reshape", by_class, call.emit("Concat", every, count, four, axis=0))
        flat_scores = call.emit("Reshape", scores, call.emit("Concat", every, single, count, axis=0))
    limit = call.reshape(_int64(call, 2), [1])
    thresholds = [call.reshape(call.input(index), [1]) for index in (4, 5)]
    kept = call.emit("NonMaxSuppression", flat_boxes, flat_scores, limit, *thresholds)
    lowest = call.emit("Expand", call.scalar(-_HUGE, FLOAT32), call.emit("Shape", flat_scores))
    survivors = call.emit("ScatterND", lowest, kept, call.emit("GatherND", flat_scores, kept))
    survivors = call.emit("Reshape", survivors, call.emit("Concat", batch, call.ints([-1]), axis=0))
    total = _total(call, limit, classes)
    best, places, found = _best(call, survivors, total)
    number = call.emit("Div", places, count)
    wanted = call.emit("Mod", places, count) if own == 1 else places
    pool = flat_boxes if own == 1 else call.emit(
        "Reshape", flat_boxes, call.emit("Concat", batch, call.ints([-1]), four, axis=0)
    )  # fmt: skip
    picked = call.emit("GatherND", pool, call.unsqueeze(wanted, [2]), batch_dims=1)
    if call.attr("clip_boxes"):
        picked = call.emit("Clip", picked, call.scalar(0, FLOAT32), call.scalar(1, FLOAT32))
    zero = call.scalar(0, FLOAT32)
    return (
        call.emit("Where", call.unsqueeze(found, [2]), picked, zero),
        call.emit("Where", found, best, zero),
        call.emit("Where", found, call.cast(number, FLOAT32), zero),
        call.reduce("ReduceSum", call.cast(found, INT32), [1]),
    )


_HUGE = 3.4e38


def _total(call: Call, limit: str, classes: str) -> str:
    """How many boxes there are of each image, padded."""
    total = call.reshape(_int64(call, 3), [1])
    return call.emit("Min", total, call.emit("Mul", limit, classes)) if call.attr("pad_per_class") else total


def _best(call: Call, scores: str, total: str) -> tuple[str, str, str]:
    """The ``total`` best of each row, where they are, and whether they are boxes at all."""
    width = call.emit("Gather", call.emit("Shape", scores), call.ints([1]))
    missing = call.emit("Max", call.emit("Sub", total, width), call.ints([0]))
    pads = call.emit("Concat", call.ints([0, 0, 0]), missing, axis=0)
    padded = call.emit("Pad", scores, pads, call.scalar(-_HUGE, FLOAT32))
    best, places = call.emit_many("TopK", padded, total, axis=-1, outputs=2)
    found = call.emit("Greater", best, call.scalar(-_HUGE, FLOAT32))
    return best, call.emit("Where", found, places, call.scalar(0, INT64)), found
