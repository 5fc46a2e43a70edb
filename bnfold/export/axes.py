"""Constant axes, as TensorFlow names them and as they are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bnfold.graph import Array

if TYPE_CHECKING:
    from bnfold.export.call import Call


def known_axes(call: Call, axes: Array, index: int = 0) -> list[int]:
    """The constant ``axes`` of input ``index`` as TensorFlow's axes, counted from 0, each once, ascending."""
    rank = call.rank(index)
    for axis in axes.reshape(-1):
        call.axis(axis, index)  # refuses one that does not exist
    return sorted({int(axis) % max(rank, 1) for axis in axes.reshape(-1)})


def stored_axes(call: Call, axes: Iterable[int], index: int = 0) -> list[int]:
    """Where ``axes`` of input ``index`` are stored, ascending."""
    return sorted(call.axis(axis, index) for axis in axes)
