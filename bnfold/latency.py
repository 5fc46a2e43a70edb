"""What folding saves: onnxruntime's time for the unfolded and the folded model, side by side."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold import calls
from bnfold.artifact import OnnxFile
from bnfold.options import ExportOptions

if TYPE_CHECKING:
    from bnfold.conversion import Conversion
    from bnfold.graph.stages import InferenceGraph

ROUNDS = 15
"""Runs of each model, in turn, so that both see the same machine; their median counts."""


@dataclass(frozen=True)
class Latency:
    """Median milliseconds of one run with batch 1.

    Attributes
    ----------
    before, after : float
        Unfolded and folded.
    nodes_before, nodes_after : int
        Of the ONNX files.
    shapes : mapping of str to list of int
        By input.
    """

    before: float
    after: float
    nodes_before: int
    nodes_after: int
    shapes: dict[str, list[int]]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "unit": "ms"}


def measure_latency(conversion: Conversion) -> Latency | None:
    """Run both models as users will, onnxruntime's optimisations on; None where there is nothing to compare.

    Only for a conversion to ONNX whose outputs were compared on random samples of batch 1: their shapes are used.
    """
    from bnfold.graph.stages import Folding
    from bnfold.verify import OnnxModel

    check = conversion.report.check
    if check is None or not check.batches or not isinstance(conversion.artifact, OnnxFile):
        return None
    shapes = check.batches[0].shapes
    unfolded = calls.export(Folding(conversion.reference, ()), None, ExportOptions())
    models = [OnnxModel(artifact.comparable) for artifact in (unfolded, conversion.artifact)]
    feeds = _feeds(conversion.reference, shapes)
    runners = [model.session("on") for model in models]
    fetches = [value.name for value in models[0].outputs]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for runner, taken in zip(runners, times, strict=True):
            start = time.perf_counter()
            runner.run(fetches, feeds)
            taken.append(time.perf_counter() - start)
    before, after = (1000 * statistics.median(taken) for taken in times)
    counts = [len(model.proto.graph.node) for model in models]
    return Latency(before, after, counts[0], counts[1], {name: list(shape) for name, shape in shapes.items()})


def _feeds(reference: InferenceGraph, shapes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        end.name: (rng.uniform(0, 1, shapes[end.name]) if end.dtype.is_floating else np.zeros(shapes[end.name])).astype(
            end.dtype.numpy
        )
        for end in reference.inputs
    }
