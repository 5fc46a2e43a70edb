"""Run the benchmarks named on the command line, or all of them, and print Markdown."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib.metadata import version

NAMES = ("start", "peer", "growth", "check")


def main() -> None:
    names = sys.argv[1:] or NAMES
    if unknown := [name for name in names if name not in NAMES]:
        sys.exit(f"error: no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    packages = ", ".join(f"{package} {version(package)}" for package in ("bnfold", "tensorflow", "onnxruntime"))
    print(f"Python {platform.python_version()}, {packages}, {platform.machine()}\n")
    for name in names:
        for line in importlib.import_module(f"benchmarks.{name}").main():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
