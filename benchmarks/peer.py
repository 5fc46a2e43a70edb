"""bnfold beside tf2onnx (and onnxsim) on the same frozen inference graphs, whole processes, taking turns."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.measure import IMPORT_TENSORFLOW, bnfold, compare
from benchmarks.networks import Network, networks

MAPS = ("BatchNormalization", "Mul", "Add", "Sub", "Div")
"""What batch norms leave behind in an ONNX file."""


def main(names: list[str] | None = None) -> list[str]:
    """Lines of the result."""
    cost_rows, file_rows = [], []
    with tempfile.TemporaryDirectory() as place:
        for network in networks(Path(place), names):
            ours, theirs = Path(place) / "ours.onnx", Path(place) / "theirs.onnx"
            cost_rows.append(_costs(network, ours, theirs))
            file_rows.append(_files(network, ours, theirs))
            network.path.unlink()
    return [
        "## Cost of a conversion, beside tf2onnx on the same graph",
        "",
        "Whole processes; `net` is with `import tensorflow` subtracted on both sides. Ratios are ours / theirs.",
        "",
        "| network | MB | ours | tf2onnx | time | net time | memory |",
        "|---|---|---|---|---|---|---|",
        *cost_rows,
        "",
        "## The files",
        "",
        "`maps` counts BatchNormalization, Mul, Add, Sub and Div nodes; theirs after onnxsim. Latency: onnxruntime, "
        "default optimisation, batch 1, median of interleaved runs.",
        "",
        "| network | nodes | theirs | maps | theirs | transposes | theirs | latency ms | theirs | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *file_rows,
    ]


def _tf2onnx(network: Network, target: Path) -> list[str]:
    command = [sys.executable, "-m", "tf2onnx.convert", "--graphdef", str(network.path), "--output", str(target)]
    return [*command, "--inputs", ",".join(network.inputs), "--outputs", ",".join(network.outputs), "--opset", "18"]


def _bnfold(network: Network, target: Path) -> list[str]:
    options = [option for name in network.inputs for option in ("--input", name)]
    options += [option for name in network.outputs for option in ("--output", name)]
    return bnfold("convert", network.path, target, "--no-check", *options)


def _costs(network: Network, ours: Path, theirs: Path) -> str:
    commands = {"import": IMPORT_TENSORFLOW, "ours": _bnfold(network, ours), "theirs": _tf2onnx(network, theirs)}
    found = compare(commands, runs=3)
    bare, a, b = found["import"], found["ours"], found["theirs"]
    net = (a.seconds - bare.seconds) / (b.seconds - bare.seconds)
    return (
        f"| {network.name} | {network.megabytes:.0f} | {a.seconds:.1f} s, {a.megabytes:.0f} MB "
        f"| {b.seconds:.1f} s, {b.megabytes:.0f} MB | {a.seconds / b.seconds:.2f} | {net:.2f} "
        f"| {a.megabytes / b.megabytes:.2f} |"
    )


def _files(network: Network, ours: Path, theirs: Path) -> str:
    import onnxsim

    simplified, _ = onnxsim.simplify(onnx.load(theirs))
    simple = theirs.with_name("simple.onnx")
    onnx.save(simplified, simple)
    counts = [Counter(node.op_type for node in onnx.load(path).graph.node) for path in (ours, theirs, simple)]
    ours_ms, theirs_ms = latencies([ours, simple], network)
    maps = [sum(count[op] for op in MAPS) for count in counts]
    return (
        f"| {network.name} | {counts[0].total()} | {counts[1].total()} | {maps[0]} | {maps[2]} "
        f"| {counts[0]['Transpose']} | {counts[1]['Transpose']} | {ours_ms:.2f} | {theirs_ms:.2f} "
        f"| {ours_ms / theirs_ms:.2f} |"
    )


def latencies(files: list[Path], network: Network, *, runs: int = 30) -> list[float]:
    """Median milliseconds of each file on the same input; the runs take turns."""
    random = np.random.default_rng(0)
    shapes = [[size or 1 if axis == 0 else size or 64 for axis, size in enumerate(s)] for s in network.inputs.values()]
    values = [random.random(shape, np.float32) for shape in shapes]
    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in files]
    times: list[list[float]] = [[] for _ in files]
    for run in range(runs + 3):
        for session, found in zip(sessions, times, strict=True):
            feeds: dict[str, Any] = {i.name: v for i, v in zip(session.get_inputs(), values, strict=True)}
            start = time.perf_counter()
            session.run(None, feeds)
            if run >= 3:
                found.append(time.perf_counter() - start)
    return [1e3 * statistics.median(found) for found in times]
