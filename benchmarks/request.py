"""What the benchmarks are asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """How to measure.

    Attributes
    ----------
    runs : int
        How often each whole process is run; medians are taken.
    networks : tuple of str
        Names of the networks to measure; none named: all.
    resume : bool
        Take over what an earlier, interrupted run measured.
    """

    runs: int = 3
    networks: tuple[str, ...] = ()
    resume: bool = False
