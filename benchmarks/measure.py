"""Whole processes, their wall time and peak memory; medians over interleaved runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
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
    """

    seconds: float
    megabytes: float


def cost(command: Sequence[str]) -> Cost:
    """Run ``command`` once.

    Raises
    ------
    RuntimeError
        When it fails; the message has the end of what it said.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{said.decode(errors='replace')[-2000:]}")
    return Cost(seconds, usage.ru_maxrss * 1024 / 1e6)  # Linux gives kibibytes


def compare(commands: Mapping[str, Sequence[str]], *, runs: int = 5) -> dict[str, Cost]:
    """Median cost of each command; the runs take turns, so that a slow minute hits all alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            costs[name].append(cost(command))
    return {
        name: Cost(statistics.median(c.seconds for c in found), statistics.median(c.megabytes for c in found))
        for name, found in costs.items()
    }


def python(code: str) -> list[str]:
    """A command that runs ``code`` in this interpreter."""
    return [sys.executable, "-c", code]


def bnfold(*arguments: str | Path) -> list[str]:
    """A ``bnfold`` command in this interpreter."""
    return [sys.executable, "-c", "from bnfold.cli import main; main()", *map(str, arguments)]


IMPORT_TENSORFLOW = python("import tensorflow")
