"""Suppression that ONNX has no op for, as a Loop: of boxes that lower scores, and of overlaps that are given.

Each iteration takes the best score that is left and lowers those of its neighbours:

    score = score · exp(-similarity² / (2 · sigma))    with a sigma: no similarity is too large
    score is gone where similarity > threshold         without

TensorFlow lowers the score of a box only when it is at the head of its queue. Since no score ever rises, that gives the
same boxes in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnfold.export.call import Call
from bnfold.export.reals import Reals, input_reals
from bnfold.export.scope import Scope
from bnfold.graph import TensorType
from bnfold.graph.dtypes import BOOL, FLOAT32, INT32, INT64

Similarities = Callable[[Call, str], Reals]
"""How similar everything is to the one at the index (a value of the body), as a vector."""


@dataclass(frozen=True)
class Rule:
    """When and how scores are lowered.

    Attributes
    ----------
    threshold : Reals
        What is more similar than that goes, unless it is lowered.
    least : Reals
        Only scores above it count.
    sigma : Reals
        0 where nothing is lowered.
    """

    threshold: Reals
    least: Reals
    sigma: Reals


def greedily(call: Call, scores: str, similarities: Similarities, rule: Rule, limit: str) -> tuple[str, str]:
    """The indices of what is taken, at most ``limit`` (a scalar), best first, and their scores when they were."""
    above = call.cast((Reals(call, scores) > rule.least).name, INT32)
    start = call.emit("Greater", call.reduce("ReduceSum", above, None), call.scalar(0, INT32))
    body = call.body("body")
    body.add_input(f"{body.onnx.name}/iteration", TensorType(INT64, ()))
    body.add_input(f"{body.onnx.name}/condition", TensorType(BOOL, ()))
    left = body.add_input(f"{body.onnx.name}/scores", TensorType(FLOAT32, (None,)))
    _iterate(Call(body, call.node, {}), body, left, similarities, rule)
    _, taken, taken_scores = call.emit_many("Loop", limit, start, scores, body=body.onnx, outputs=3)
    return taken, taken_scores


def _iterate(inner: Call, body: Scope, scores: str, similarities: Similarities, rule: Rule) -> None:
    best = inner.emit("ArgMax", scores, axis=0, keepdims=0)
    before, similarity = Reals(inner, scores), similarities(inner, best)
    soft = rule.sigma > 0.0
    factor = soft.where(-0.5 / soft.where(rule.sigma, 1.0), 0.0)
    weight = (similarity * similarity * factor).same(np.exp, "Exp")
    count = inner.reshape(inner.emit("Shape", scores), [])
    position = inner.emit("Range", inner.scalar(0, INT64), count, inner.scalar(1, INT64))
    hard = soft.same(np.logical_not, "Not")
    gone = ((similarity > rule.threshold) & hard) | Reals(inner, inner.emit("Equal", position, best))
    gone = gone | before.equals(-np.inf)  # which times 0 is no number
    after = gone.where(-np.inf, before * weight)
    most = Reals(inner, inner.reduce("ReduceMax", after.name, None))
    body.add_output((most > rule.least).name, TensorType(BOOL, ()))
    body.add_output(after.name, TensorType(FLOAT32, (None,)))
    body.add_output(best, TensorType(INT64, ()))
    body.add_output(inner.emit("Gather", scores, best), TensorType(FLOAT32, ()))


def overlaps_of_boxes(call: Call) -> Similarities:
    """Intersection over union of the boxes that are input 0: two opposite corners each, in any order."""
    boxes = input_reals(call, 0, FLOAT32)
    corners = [Reals(call, call.emit("Gather", boxes.name, call.scalar(i, INT64), axis=1)) for i in range(4)]
    low, high = (
        [getattr(corners[axis], side)(corners[axis + 2]) for axis in (0, 1)] for side in ("at_most", "at_least")
    )
    area = (high[0] - low[0]) * (high[1] - low[1])

    def similarities(inner: Call, index: str) -> Reals:
        def own(values: Reals) -> Reals:
            return Reals(inner, inner.emit("Gather", values.name, index))

        def outside(values: Reals) -> Reals:
            return Reals(inner, values.name)

        sides = [
            (outside(high[axis]).at_most(own(high[axis])) - outside(low[axis]).at_least(own(low[axis]))).at_least(0.0)
            for axis in (0, 1)
        ]
        common = sides[0] * sides[1]
        some = (outside(area) > 0.0) & (own(area) > 0.0)
        union = outside(area) + own(area) - common
        return some.where(common / some.where(union, 1.0), 0.0)

    return similarities


def given_overlaps(call: Call) -> Similarities:
    """Input 0 has them: row ``i`` how similar ``i`` is to each."""
    overlaps = call.input(0)
    return lambda inner, index: Reals(inner, inner.emit("Gather", overlaps, index, axis=1))
