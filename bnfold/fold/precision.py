"""Where a legal move would still cost digits: a shift that is large beside what it leaves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bnfold.fold.algebra import Affine
from bnfold.graph.stages import BatchNorm

LOSS = 128.0
"""How many times farther from 0 than it varies the input of a map may lie, for the map to move forward.

``(x - mean) * scale`` subtracts before anything is rounded. ``kernel' @ x + bias'`` rounds each product first and
subtracts at the end, which loses log2 of this factor in digits: 7 bits of the 24 that float32 has.
"""


def cancellation(map_: Affine, norms: Sequence[BatchNorm]) -> str | None:
    """Why ``map_``, of ``norms`` (none if it is no batch norm), must subtract where it does; None if it need not.

    The moving statistics of a batch norm say where its input lies. Of another map it is assumed that its output is
    about 1, or its input about 1 if it scales up.
    """
    if norms:
        farthest = max(_distance(norm) for norm in norms)
    else:
        farthest = float((np.abs(map_.shift) / np.maximum(np.abs(map_.scale), 1)).max())
    if farthest <= LOSS:
        return None
    return f"its input lies {farthest:.0f} times farther from 0 than it varies, and subtracting later would lose digits"


def _distance(norm: BatchNorm) -> float:
    deviation = np.sqrt(norm.moving_variance.astype(np.float64) + norm.epsilon)
    return float((np.abs(norm.moving_mean) / deviation).max(initial=0))
