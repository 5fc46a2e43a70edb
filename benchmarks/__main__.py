"""Run the benchmarks named on the command line, or all of them; print tables, and write them into the docs."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from importlib.metadata import version

from rich.console import Console

from benchmarks import document
from benchmarks.request import Request
from benchmarks.table import Section

NAMES = ("start", "peer", "growth", "check")


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(NAMES)}; all when none is named")
    parser.add_argument("--network", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="of each process; medians are taken")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run of peer was cut short")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/benchmarks.md")
    given = parser.parse_args()
    if unknown := [name for name in given.name if name not in NAMES]:
        parser.error(f"no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    request = Request(given.runs, tuple(given.network), given.resume)
    console = Console()
    for name in given.name or NAMES:
        sections: list[Section] = importlib.import_module(f"benchmarks.{name}").main(request)
        for section in sections:
            console.print(section.as_rich())
        if given.docs:
            document.write(sections, where())


def where() -> str:
    """Packages and machine, in a sentence."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("bnfold", "tensorflow", "onnxruntime", "tf2onnx"))
    return f"{packages}; Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores."


if __name__ == "__main__":
    main()
