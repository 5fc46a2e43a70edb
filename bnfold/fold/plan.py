"""What the planners return: the moves that would carry a map away, none of them made yet."""

from __future__ import annotations

from dataclasses import dataclass

from bnfold.fold.algebra import Affine
from bnfold.fold.row import Passage


@dataclass(frozen=True)
class Absorb:
    """The linear op ``node`` takes ``map`` into its kernel: behind it, or before it if ``forward``."""

    node: str
    map: Affine
    forward: bool


@dataclass(frozen=True)
class Pass:
    """The map goes through ``node`` by the row ``row``; ``changes_output``: its values are others than before."""

    node: str
    row: str
    passage: Passage
    changes_output: bool = True


@dataclass(frozen=True)
class Merge:
    """``node``, a constant map on the way, goes too: the map carried on is the composition."""

    node: str


@dataclass(frozen=True)
class Compose:
    """``node``, a constant map, stays and becomes ``map``."""

    node: str
    map: Affine


@dataclass(frozen=True)
class Rewrite:
    """The constant that ``node`` reads at ``position`` has ``map`` applied to it."""

    node: str
    position: int
    map: Affine


Move = Absorb | Pass | Merge | Compose | Rewrite
Plan = tuple[Move, ...]

CONSTANT_MAP = "constant map"
"""The row by which two maps become one: (s₂, t₂) ∘ (s₁, t₁) = (s₂·s₁, s₂·t₁ + t₂)."""
