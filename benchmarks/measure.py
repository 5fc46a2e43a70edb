"""Whole processes, their wall time and peak memory; medians over interleaved runs."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
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


_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss, usage.ru_utime + usage.ru_stime]))
"""
"""Runs a command from a small process: Linux counts the memory of the process that started it as its own."""


def cost(command: Sequence[str]) -> Cost:
    """Run ``command`` once.

    Raises
    ------
    RuntimeError
        When it fails; the message has the end of what it said.
    """
    with tempfile.NamedTemporaryFile() as said:
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, said.name, *command]
        process = subprocess.run(launcher, capture_output=True, text=True, errors="replace", check=True)
        code, seconds, kibibytes, cpu = json.loads(process.stdout)
        if code:
            raise RuntimeError(f"{' '.join(command)} failed:\n{process.stderr[-2000:]}")
        return Cost(seconds, kibibytes * 1024 / 1e6, cpu, said.read().decode(errors="replace"))


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
