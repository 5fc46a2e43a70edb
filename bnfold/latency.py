"""What folding saves: onnxruntime's time for the unfolded and the folded model, side by side."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfold import calls
from bnfold.artifact import OnnxFile
from bnfold.errors import VerificationError
from bnfold.graph import Array

if TYPE_CHECKING:
    from bnfold.conversion import Conversion
    from bnfold.graph.stages import InferenceGraph
    from bnfold.verify import CheckReport

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

    Only for a conversion to ONNX whose outputs were compared: in the shapes of its first batch, usually one sample.
    What cannot be run twice in memory, or not on zeros and fractions, is not measured.
    """
    check = conversion.report.check
    if check is None or not check.batches or not isinstance(conversion.artifact, OnnxFile):
        return None
    try:
        return _measured(conversion, conversion.artifact, check)
    except VerificationError:
        return None


def _measured(conversion: Conversion, folded: OnnxFile, check: CheckReport) -> Latency:
    from bnfold.graph.stages import Folding
    from bnfold.verify import OnnxModel

    shapes = check.batches[0].shapes
    unfolded = calls.export(Folding(conversion.reference, ()), None, conversion.made)
    models = [OnnxModel(artifact.comparable) for artifact in (unfolded, folded)]
    feeds = _feeds(conversion.reference, check)
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


def _feeds(reference: InferenceGraph, check: CheckReport) -> dict[str, Array]:
    """Fractions, zeros and the text of a zero, by the file's names and in its layouts."""
    rng = np.random.default_rng(0)
    shapes, inputs = check.batches[0].shapes, {found.name: found for found in check.inputs}
    feeds = {}
    for end in reference.inputs:
        found, shape = inputs[end.name], shapes[end.name]
        if end.dtype.is_floating:
            array = rng.uniform(0, 1, shape).astype(end.dtype.numpy)
        else:
            array = np.full(shape, "0" if end.dtype.name == "string" else 0, end.dtype.numpy)
        feeds[found.onnx_name] = array if found.permutation is None else array.transpose(found.permutation)
    return feeds
