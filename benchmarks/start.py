"""``bnfold --help``, and ``convert --no-check`` beside a bare ``import tensorflow``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.checkpoints import data_megabytes, trained
from benchmarks.measure import IMPORT_TENSORFLOW, bnfold, compare
from benchmarks.request import Request
from benchmarks.table import Section


def main(request: Request) -> list[Section]:
    """The one section."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "x.onnx"
        help_seconds = compare({"help": bnfold("--help")}, runs=request.runs)["help"].seconds
        for name, source in trained().items():
            if request.networks and name not in request.networks:
                continue
            commands = {"import": IMPORT_TENSORFLOW, "convert": bnfold("convert", source, target, "--no-check")}
            found = compare(commands, runs=request.runs)
            bare, ours, size = found["import"], found["convert"], data_megabytes(source)
            more = ours.megabytes - bare.megabytes
            rows.append(
                [
                    name,
                    f"{size:.1f}",
                    f"{bare.seconds:.2f} s, {bare.megabytes:.0f} MB",
                    f"{ours.seconds:.2f} s, {ours.megabytes:.0f} MB",
                    f"{ours.seconds - bare.seconds:+.2f} s",
                    f"{more:+.0f} MB",
                    f"{more / size:.1f}",
                ]
            )
    columns = ("checkpoint", "data MB", "import tensorflow", "convert --no-check", "difference", "memory", "× data")
    note = f"`bnfold --help` takes {help_seconds:.2f} s. Memory is above that of the import."
    return [Section("start", "Start-up, and conversion beside `import tensorflow`", note, columns, rows)]
