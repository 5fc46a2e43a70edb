"""What the default check costs, beside the time of running the model itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import bnfold
from benchmarks.checkpoints import trained
from benchmarks.request import Request
from benchmarks.table import Section
from bnfold.artifact import OnnxFile
from bnfold.samples import choose_samples
from bnfold.samples.session import Reference
from bnfold.verify import OnnxModel, verify

ROUNDS = 7


def main(request: Request) -> list[Section]:
    """The one section."""
    rows = [_row(name, source) for name, source in trained().items() if request.networks in ((), (name,))]
    return [
        Section(
            "check",
            "The default check",
            "Eight samples and four edges: TensorFlow runs 15 samples in all, onnxruntime 12 twice. *Model time* is "
            "that many times one sample by itself, on each side.",
            ("checkpoint", "one sample, TensorFlow", "one sample, onnxruntime", "model time", "check", "ratio"),
            rows,
        )
    ]


def _row(name: str, source: Path) -> list[str]:
    conversion = bnfold.convert(source, check=False)
    assert isinstance(conversion.artifact, OnnxFile)
    session = Reference(conversion.reference)
    chosen = choose_samples(conversion.reference, session.run, samples=1)
    feeds = next(iter(chosen.batches)).feeds
    runner = OnnxModel(conversion.model).session("off")
    fetches = [end.name for end in conversion.reference.outputs]
    named = {end.name: feeds[end.tensor] for end in conversion.reference.inputs}
    tensorflow = _median(lambda: session.run(feeds))
    onnx = _median(lambda: runner.run(fetches, named))
    session.close()
    whole = _median(lambda: verify(conversion.reference, conversion.model))
    model = 15 * tensorflow + 24 * onnx
    return [
        name,
        f"{1e3 * tensorflow:.1f} ms",
        f"{1e3 * onnx:.1f} ms",
        f"{model:.2f} s",
        f"{whole:.2f} s",
        f"{whole / model:.2f}",
    ]


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
