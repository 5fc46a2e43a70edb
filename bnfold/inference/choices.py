"""What was chosen as an input or output, why, and what else it could have been."""

from __future__ import annotations

from dataclasses import dataclass

RUNNERS = 6
"""How many alternatives are worth telling."""


@dataclass(frozen=True)
class Choice:
    """A tensor chosen as input or output, and why."""

    tensor: str
    reason: str


@dataclass(frozen=True)
class Choices:
    """What was chosen, best first, and what else could have been."""

    chosen: tuple[Choice, ...]
    alternatives: tuple[str, ...] = ()
