"""``bnfold --help``, and ``convert --no-check`` beside a bare ``import tensorflow``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.checkpoints import data_megabytes, trained
from benchmarks.measure import IMPORT_TENSORFLOW, bnfold, compare


def main() -> list[str]:
    """Lines of the result."""
    lines = ["## Start-up, and conversion beside `import tensorflow`", ""]
    lines += [f"`bnfold --help`: {compare({'help': bnfold('--help')})['help'].seconds:.2f} s", ""]
    lines += [
        "| checkpoint | data MB | import tensorflow | convert --no-check | difference | memory above import | × data |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name, source in trained().items():
            found = compare(
                {
                    "import": IMPORT_TENSORFLOW,
                    "convert": bnfold("convert", source, Path(folder) / "x.onnx", "--no-check"),
                }
            )
            bare, ours, size = found["import"], found["convert"], data_megabytes(source)
            more = ours.megabytes - bare.megabytes
            lines.append(
                f"| {name} | {size:.1f} | {bare.seconds:.2f} s, {bare.megabytes:.0f} MB "
                f"| {ours.seconds:.2f} s, {ours.megabytes:.0f} MB | {ours.seconds - bare.seconds:+.2f} s "
                f"| {more:+.0f} MB | {more / size:.1f} |"
            )
    return lines
