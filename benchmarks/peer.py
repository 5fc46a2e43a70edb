"""bnfold beside tf2onnx on the same frozen inference graphs: whole processes and files, taking turns.

What is measured of a network is kept in ``benchmarks/results``, so that a run that was cut short can go on.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph

from benchmarks.checkpoints import ROOT
from benchmarks.measure import IMPORT_TENSORFLOW, bnfold, compare
from benchmarks.networks import Network, networks
from benchmarks.request import Request
from benchmarks.table import Cell, Section

RESULTS = ROOT / "benchmarks" / "results"

RESNET_SIZE = 90.0
"""MB from which the goals for large networks hold: ResNet-50 has 102."""

TIME, NET_TIME, SMALL_NET_TIME, MEMORY, LATENCY = 1 / 3, 1 / 8, 1 / 3, 1 / 6, 1.0
"""The goals: ours / tf2onnx's at most; the first, second and fourth are for large networks."""

SHORTEST = 0.05
"""Seconds below which a difference of two processes says nothing."""

LATENCY_NOISE = 0.02
"""Two sessions of one and the same file differ by as much."""


@dataclass(frozen=True)
class Side:
    """What one tool took, and what it wrote.

    Attributes
    ----------
    seconds, megabytes : float
        Of the whole process.
    nodes, transposes : int
        In the file, those of bodies included.
    milliseconds : float
        Of one run in onnxruntime, default optimisation, batch 1.
    """

    seconds: float
    megabytes: float
    nodes: int
    transposes: int
    milliseconds: float


@dataclass(frozen=True)
class Result:
    """One network, measured on both sides.

    Attributes
    ----------
    name : str
    megabytes : float
        Of the frozen graph.
    import_seconds : float
        Of a bare ``import tensorflow``.
    ours, theirs : Side
    """

    name: str
    megabytes: float
    import_seconds: float
    ours: Side
    theirs: Side

    @property
    def is_large(self) -> bool:
        return self.megabytes >= RESNET_SIZE


def main(request: Request) -> list[Section]:
    """What a conversion costs, and what it gives."""
    results = list(_results(request))
    return [_costs(results), _files(results)]


def _costs(results: list[Result]) -> Section:
    rows: list[list[str | Cell]] = []
    for result in results:
        a, b, bare = result.ours, result.theirs, result.import_seconds
        large = result.is_large
        net = max(a.seconds - bare, 0.0) / max(b.seconds - bare, SHORTEST)
        rows.append(
            [
                result.name,
                f"{result.megabytes:.0f}",
                f"{a.seconds:.1f} s, {a.megabytes:.0f} MB",
                f"{b.seconds:.1f} s, {b.megabytes:.0f} MB",
                _ratio(a.seconds / b.seconds, TIME if large else None),
                _ratio(net, NET_TIME if large else SMALL_NET_TIME),
                _ratio(a.megabytes / b.megabytes, MEMORY if large else None),
            ]
        )
    return Section(
        "peer-cost",
        "Cost of a conversion, beside tf2onnx",
        "Whole processes on the same graph, medians; *net* is with `import tensorflow` subtracted on both sides. "
        f"Ratios are ours / theirs. Goals from {RESNET_SIZE:.0f} MB on: time 1/3, net time 1/8, memory 1/6; below: net "
        "time 1/3. ✗ marks what misses its goal.",
        ("network", "MB", "bnfold", "tf2onnx", "time", "net time", "memory"),
        rows,
    )


def _files(results: list[Result]) -> Section:
    rows: list[list[str | Cell]] = []
    for result in results:
        a, b = result.ours, result.theirs
        rows.append(
            [
                result.name,
                Cell(str(a.nodes), a.nodes <= b.nodes),
                str(b.nodes),
                Cell(str(a.transposes), a.transposes <= b.transposes),
                str(b.transposes),
                f"{a.milliseconds:.2f}",
                "does not load" if math.isnan(b.milliseconds) else f"{b.milliseconds:.2f}",
                "" if math.isnan(b.milliseconds) else _ratio(a.milliseconds / b.milliseconds, LATENCY + LATENCY_NOISE),
            ]
        )
    return Section(
        "peer-files",
        "The files, beside tf2onnx's",
        "Latency: onnxruntime, default optimisation, batch 1, median of runs that take turns. Goals: no more nodes, no "
        f"more transposes, no more latency (within {100 * LATENCY_NOISE:.0f} % of noise).",
        ("network", "nodes", "tf2onnx", "transposes", "tf2onnx", "latency ms", "tf2onnx", "ratio"),
        rows,
    )


def _ratio(value: float, goal: float | None) -> Cell:
    return Cell(f"{value:.2f}", None if goal is None else value <= goal)


# Measuring


def _results(request: Request) -> Iterator[Result]:
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name, made in networks(Path(place), request.networks):
            kept = RESULTS / f"peer-{name}.json"
            if request.resume and kept.is_file():
                yield _read(kept)
                continue
            network = made()
            result = _measured(network, Path(place), request.runs)
            network.path.unlink()
            kept.write_text(json.dumps(asdict(result)))
            print(f"measured {name}", file=sys.stderr, flush=True)
            yield result


def _read(path: Path) -> Result:
    values = json.loads(path.read_text())
    return Result(**{**values, "ours": Side(**values["ours"]), "theirs": Side(**values["theirs"])})


def _measured(network: Network, place: Path, runs: int) -> Result:
    paths = ours, theirs = place / "ours.onnx", place / "theirs.onnx"
    commands = {"import": IMPORT_TENSORFLOW, "ours": _bnfold(network, ours), "theirs": _tf2onnx(network, theirs)}
    found = compare(commands, runs=runs)
    times = latencies(list(paths), network)
    sides = [
        Side(cost.seconds, cost.megabytes, *_counts(path), milliseconds)
        for cost, path, milliseconds in zip((found["ours"], found["theirs"]), paths, times, strict=True)
    ]
    return Result(network.name, network.megabytes, found["import"].seconds, *sides)


def _tf2onnx(network: Network, target: Path) -> list[str]:
    command = [sys.executable, "-m", "tf2onnx.convert", "--graphdef", str(network.path), "--output", str(target)]
    return [*command, "--inputs", ",".join(network.inputs), "--outputs", ",".join(network.outputs), "--opset", "18"]


def _bnfold(network: Network, target: Path) -> list[str]:
    options = [option for name in network.inputs for option in ("--input", name)]
    options += [option for name in network.outputs for option in ("--output", name)]
    return bnfold("convert", network.path, target, "--no-check", *options)


def _counts(path: Path) -> tuple[int, int]:
    """Nodes and Transposes of the file, bodies included."""
    counts: Counter[str] = Counter()
    graphs = [onnx.load(path, load_external_data=False).graph]
    while graphs:
        for node in graphs.pop().node:
            counts[node.op_type] += 1
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return counts.total(), counts["Transpose"]


def latencies(files: list[Path], network: Network, *, seconds: float = 12.0) -> list[float]:
    """Median milliseconds of each file on the same input, NaN when onnxruntime does not take it.

    The runs take turns, for about ``seconds`` in all; sessions are made twice, the second time in the other order,
    for where their weights lie matters to both by some percent.
    """
    random = np.random.default_rng(0)
    shapes = [[size or (64 if axis else 1) for axis, size in enumerate(shape)] for shape in network.inputs.values()]
    values = dict(zip(network.inputs, (random.random(shape, np.float32) for shape in shapes), strict=True))
    times: dict[Path, list[float]] = {path: [] for path in files}
    for order in (files, files[::-1]):
        _run_in_turns({path: session for path in order if (session := _session(path))}, values, seconds / 2, times)
    return [1e3 * statistics.median(times[path]) if times[path] else math.nan for path in files]


def _session(path: Path) -> onnxruntime.InferenceSession | None:
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except InvalidGraph as error:
        print(f"{path.name} does not load: {error}", file=sys.stderr)
        return None


def _run_in_turns(
    sessions: dict[Path, onnxruntime.InferenceSession],
    values: dict[str, Any],
    seconds: float,
    times: dict[Path, list[float]],
) -> None:
    feeds = {path: {each.name: values[each.name] for each in s.get_inputs()} for path, s in sessions.items()}
    warm = time.perf_counter() + seconds / 6
    end = warm + seconds
    runs = 0
    while (start := time.perf_counter()) < end or runs < 10:
        for path, session in sessions.items():
            begin = time.perf_counter()
            session.run(None, feeds[path])
            if start >= warm:
                times[path].append(time.perf_counter() - begin)
        runs += start >= warm
