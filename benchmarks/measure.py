"""Whole processes, their wall time and peak memory; medians over interleaved runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Attributes
    ----------
    seconds : float
        Wall time.
    megabytes : float
        Peak resident memory, in 10^6 bytes.
    cpu : float
        Seconds of all its threads, which other processes do not lengthen.
    said : str
        Its standard output.
    """

    seconds: float
    megabytes: float
    cpu: float
    said: str


def cost(command: Sequence[str]) -> Cost:
    """Run ``command`` once.

    Raises
    ------
    RuntimeError
        When it fails; the message has the end of what it said.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as problems:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=problems)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            problems.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{problems.read().decode(errors='replace')[-2000:]}")
    megabytes = usage.ru_maxrss * 1024 / 1e6  # Linux gives kibibytes
    return Cost(seconds, megabytes, usage.ru_utime + usage.ru_stime, said.decode(errors="replace"))


def compare(commands: Mapping[str, Sequence[str]], *, runs: int = 5) -> dict[str, Cost]:
    """Median cost of each command; the runs take turns, so that a slow minute hits all alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(cost(command))
    return {name: _median(found) for name, found in costs.items()}


def _median(found: Sequence[Cost]) -> Cost:
    return Cost(
        statistics.median(each.seconds for each in found),
        statistics.median(each.megabytes for each in found),
        statistics.median(each.cpu for each in found),
        found[-1].said,
    )


def python(code: str) -> list[str]:
    """A command that runs ``code`` in this interpreter."""
    return [sys.executable, "-c", code]


def bnfold(*arguments: str | Path) -> list[str]:
    """A ``bnfold`` command in this interpreter."""
    return [sys.executable, "-c", "from bnfold.cli import main; main()", *map(str, arguments)]


IMPORT_TENSORFLOW = python("import tensorflow")


def bnfold_after_import(*arguments: str | Path) -> list[str]:
    """The same with TensorFlow imported first: what a stage takes is then its own."""
    code = "from bnfold.graph.tensorflow import tensorflow; tensorflow(); from bnfold.cli import main; main()"
    return [*python(code), *map(str, arguments)]
