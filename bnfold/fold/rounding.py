"""The one rounding: what was computed in float64 becomes what the graph stores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np

from bnfold.fold.algebra import Array

BLOCK = 1 << 18
"""Elements of a kernel that are worked on in float64 at a time: 2 MB, whatever the size of the kernel."""


@dataclass(frozen=True, eq=False)
class Rounded:
    """An exact array, rounded once to the type it is stored in.

    Attributes
    ----------
    value : ndarray of the stored type
    error : float
        Largest ``|value - exact| / max(|exact|, smallest normal number)``: at most half a unit in the last place.
    trouble : {"overflows", "underflows"} or None
        Underflow: the largest weight of a channel, a normal number before, falls below the smallest normal number,
        so that the whole channel loses digits.
    """

    value: Array
    error: float
    trouble: str | None


def rounded(kernel: Array, factor: Array, dtype: np.dtype[Any]) -> Rounded:
    """``kernel * factor`` in float64, rounded to ``dtype``, a block at a time.

    Parameters
    ----------
    kernel : ndarray
        Never written to.
    factor : ndarray of float64
        Of the kernel's rank; broadcasts against it.
    """
    if kernel.ndim == 0:
        one = rounded(kernel.reshape(1), factor.reshape(1), dtype)
        return Rounded(one.value.reshape(()), one.error, one.trouble)
    value = np.empty(kernel.shape, dtype)
    info = ml_dtypes.finfo(dtype)
    largest, tiny = float(info.max), float(info.smallest_normal)
    peaks = np.zeros(factor.shape)
    error = 0.0
    for index in _blocks(kernel.shape):
        exact = kernel[index].astype(np.float64) * _within(factor, index)
        size = np.abs(exact)
        _raise_peaks(peaks, size, index)
        with np.errstate(over="ignore"):
            block = exact.astype(dtype)
        value[index] = block
        difference = np.abs(block.astype(np.float64) - exact)
        with np.errstate(invalid="ignore"):
            error = max(error, float((difference / np.maximum(size, tiny)).max(initial=0)))
    if not (peaks <= largest).all():  # so is NaN
        return Rounded(value, error, "overflows")
    small = (peaks > 0) & (peaks < tiny)
    if small.any():
        before = np.zeros(factor.shape)
        for index in _blocks(kernel.shape):
            _raise_peaks(before, np.abs(kernel[index].astype(np.float64)), index)
        if (small & (before >= tiny)).any():
            return Rounded(value, error, "underflows")
    return Rounded(value, error, None)


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Index tuples that cover an array of ``shape`` in parts of about `BLOCK` elements."""
    if math.prod(shape) <= BLOCK:
        yield tuple(slice(None) for _ in shape)
        return
    steps = []
    rest = math.prod(shape)
    for size in shape:
        rest //= size
        steps.append(min(size, max(1, BLOCK // rest)))
    ranges = (range(0, size, step) for size, step in zip(shape, steps, strict=True))
    for starts in product(*ranges):
        yield tuple(slice(start, start + step) for start, step in zip(starts, steps, strict=True))


def _within(factor: Array, index: tuple[slice, ...]) -> Array:
    return factor[_index_of(factor, index)]


def _index_of(factor: Array, index: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(part if size > 1 else slice(None) for part, size in zip(index, factor.shape, strict=True))


def _raise_peaks(peaks: Array, size: Array, index: tuple[slice, ...]) -> None:
    """Note in ``peaks`` the largest of ``size`` along the axes where ``peaks`` has size 1."""
    axes = tuple(axis for axis, extent in enumerate(peaks.shape) if extent == 1)
    part = peaks[_index_of(peaks, index)]
    np.maximum(part, size.max(axis=axes, keepdims=True, initial=0), out=part)
