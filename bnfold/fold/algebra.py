"""Constant affine maps and their arithmetic, in numpy alone and in float64.

A batch norm at inference is an affine map ``y = scale * x + shift`` whose two arrays are constant. Here a map on a
tensor of rank r is a pair of arrays of rank r that broadcast against it: an axis has size 1 where the map does not
vary. The channel axis needs no name of its own, and a vector on the last axis is never taken for one on axis 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, eq=False)
class Affine:
    """The map ``y = scale * x + shift`` on a tensor of rank r.

    Attributes
    ----------
    scale, shift : ndarray of float64, rank r
        Each axis has the tensor's size, or 1 where the array is the same along it. Build with `affine`, which
        brings the arrays to that form.
    """

    scale: Array
    shift: Array

    @property
    def rank(self) -> int:
        return self.scale.ndim

    @property
    def varying(self) -> frozenset[int]:
        """The axes along which the map is not constant."""
        return frozenset(axis for axis in range(self.rank) if self.size(axis) > 1)

    @property
    def is_identity(self) -> bool:
        return self.is_shift and self.is_scale

    @property
    def is_scale(self) -> bool:
        """Whether the map only scales: its shift is 0."""
        return not self.shift.any()

    @property
    def is_shift(self) -> bool:
        """Whether the map only shifts: its scale is 1."""
        return bool((self.scale == 1).all())

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())

    def size(self, axis: int) -> int:
        """The size the map has along ``axis``: 1 where it does not vary."""
        return int(max(self.scale.shape[axis], self.shift.shape[axis]))

    def equals(self, other: Affine) -> bool:
        return np.array_equal(self.scale, other.scale) and np.array_equal(self.shift, other.shift)

    def __call__(self, x: Array) -> Array:
        return x * self.scale + self.shift

    def after(self, inner: Affine) -> Affine:
        """The composition ``self(inner(x))``.

        scale = self.scale * inner.scale        shift = self.scale * inner.shift + self.shift
        """
        return affine(self.scale * inner.scale, self.scale * inner.shift + self.shift)

    def past(self, outer: Affine) -> Affine:
        """The map ``m`` with ``outer(self(x)) = m(outer(x))``: self moved behind ``outer``, which stays.

        scale = self.scale        shift = outer.scale * self.shift + outer.shift - self.scale * outer.shift
        """
        return affine(self.scale, outer.scale * self.shift + outer.shift - self.scale * outer.shift)

    def only_scale(self) -> Affine:
        return Affine(self.scale, np.zeros((1,) * self.rank))

    def with_shift(self, shift: Array) -> Affine:
        return affine(self.scale, shift)

    def along(self, axis: int, size: int) -> tuple[Array, Array] | None:
        """Scale and shift as vectors of shape (size,) along ``axis``; None if the map varies along another axis."""
        if self.varying - {axis}:
            return None
        return (np.broadcast_to(self.scale.reshape(-1), size), np.broadcast_to(self.shift.reshape(-1), size))

    def rearranged(self, change: Callable[[Array], Array]) -> Affine:
        """The map whose arrays are ``change`` of this one's."""
        return affine(change(self.scale), change(self.shift))

    def transposed(self, order: Sequence[int]) -> Affine:
        return self.rearranged(lambda a: a.transpose(order))

    def without(self, axes: Iterable[int]) -> Affine:
        """The map on a tensor that lacks ``axes``, along which this one must not vary."""
        return self.rearranged(lambda a: a.squeeze(tuple(axes)))

    def with_axes(self, axes: Sequence[int]) -> Affine:
        """The map on a tensor that has ``axes`` more, counted in the result."""
        return self.rearranged(lambda a: np.expand_dims(a, tuple(axes)))

    def aligned(self, rank: int) -> Affine | None:
        """The map on an operand of ``rank`` that broadcasts against this map's tensor; None if it varies too far."""
        extra = self.rank - rank
        if extra < 0:
            return self.with_axes(range(-extra))
        return None if self.varying & set(range(extra)) else self.without(range(extra))

    def reshaped(self, old: Sequence[int | None], new: Sequence[int | None]) -> Affine | None:
        """The map on a tensor of shape ``old`` once it is reshaped to ``new``; None if it has no such form.

        In row-major order, trailing axes with equal products hold the same elements in the same order. So the
        shapes are matched from the right in such groups; along what is left (it holds the sizes known only at run
        time) the map must not vary.
        """
        if not self.varying:
            return self.rearranged(lambda a: a.reshape((1,) * len(new)))
        groups, rest = _matching_groups(old, new)
        if self.varying & set(range(rest[0])):
            return None
        parts = (_regroup(self.scale, groups, old, new, rest), _regroup(self.shift, groups, old, new, rest))
        return affine(*parts)

    def padded(self, axis: int, before: int, after: int) -> Affine:
        """The map that does nothing to ``before`` and ``after`` more places along ``axis``."""
        width = [(before, after) if a == axis else (0, 0) for a in range(self.rank)]
        return affine(np.pad(self.scale, width, constant_values=1), np.pad(self.shift, width))

    def spread(self, axis: int, size: int) -> Affine:
        """The same map with its arrays written out along ``axis``. Not in compact form: for slicing and padding."""

        def write_out(a: Array) -> Array:
            return np.broadcast_to(a, (*a.shape[:axis], size, *a.shape[axis + 1 :]))

        return Affine(write_out(self.scale), write_out(self.shift))

    def split(self, axis: int, sizes: Sequence[int]) -> list[Affine]:
        """The maps on the parts of a tensor that is cut along ``axis`` into ``sizes``."""
        if self.size(axis) == 1:
            return [self] * len(sizes)
        whole = self.spread(axis, sum(sizes))
        cuts = np.cumsum(sizes)[:-1]
        pairs = zip(np.split(whole.scale, cuts, axis), np.split(whole.shift, cuts, axis), strict=True)
        return [affine(*pair) for pair in pairs]


def affine(scale: Any, shift: Any) -> Affine:
    """The `Affine` of two arrays of equal rank, in float64, with size 1 along each axis where it does not vary."""
    scale, shift = np.asarray(scale, np.float64), np.asarray(shift, np.float64)
    if scale.ndim != shift.ndim:
        raise ValueError(f"scale has rank {scale.ndim}, shift {shift.ndim}")
    return Affine(_compact(scale), _compact(shift))


def identity(rank: int) -> Affine:
    return Affine(np.ones((1,) * rank), np.zeros((1,) * rank))


def joined(parts: Sequence[Affine], axis: int, sizes: Sequence[int]) -> Affine:
    """The map on a concatenation along ``axis`` whose parts, of ``sizes``, have the maps ``parts``."""
    whole = [part.spread(axis, size) for part, size in zip(parts, sizes, strict=True)]
    return affine(
        _concatenate([part.scale for part in whole], axis), _concatenate([part.shift for part in whole], axis)
    )


def batch_norm(gamma: Array, beta: Array, mean: Array, variance: Array, epsilon: float) -> tuple[Array, Array]:
    """Scale and shift, each of shape (channels,), of a batch norm at inference.

        scale = gamma / sqrt(variance + epsilon)        shift = beta - mean * scale

    S. Ioffe and C. Szegedy, "Batch Normalization", 2015, algorithm 2, line 11. A variance below -epsilon gives NaN.
    """
    gamma, beta, mean, variance = (np.asarray(a, np.float64) for a in (gamma, beta, mean, variance))
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale


# Shapes


def _compact(array: Array) -> Array:
    for axis in range(array.ndim):
        if array.shape[axis] > 1:
            first = array[(slice(None),) * axis + (slice(0, 1),)]
            if (array == first).all():
                array = first
    return array


def _concatenate(arrays: Sequence[Array], axis: int) -> Array:
    """``arrays`` side by side along ``axis``; along the others each is written out to the largest size."""
    sizes = np.max([a.shape for a in arrays], axis=0)
    full = [np.broadcast_to(a, [*sizes[:axis], a.shape[axis], *sizes[axis + 1 :]]) for a in arrays]
    return np.concatenate(full, axis)


Group = tuple[slice, slice]


def _matching_groups(old: Sequence[int | None], new: Sequence[int | None]) -> tuple[list[Group], tuple[int, int]]:
    """Trailing groups of axes of ``old`` and ``new`` with equal products, and how many axes are left in each."""
    groups: list[Group] = []
    i, j = len(old), len(new)
    while True:
        start_i, start_j = i - 1, j - 1
        if start_i < 0 or start_j < 0:
            return groups, (i, j)
        left, right = old[start_i], new[start_j]
        while left is not None and right is not None and left != right:
            if left < right:
                start_i -= 1
                step = old[start_i] if start_i >= 0 else None
                left = None if step is None else left * step
            else:
                start_j -= 1
                step = new[start_j] if start_j >= 0 else None
                right = None if step is None else right * step
        if left is None or right is None:
            return groups, (i, j)
        groups.append((slice(start_i, i), slice(start_j, j)))
        i, j = start_i, start_j


def _regroup(
    array: Array, groups: Sequence[Group], old: Sequence[int | None], new: Sequence[int | None], rest: tuple[int, int]
) -> Array:
    """``array``, which broadcasts against shape ``old``, rearranged to broadcast against ``new``."""
    full: list[int] = list(array.shape)
    wanted: list[int] = [1] * len(new)
    for axes_old, axes_new in groups:
        if math.prod(array.shape[axes_old]) > 1:
            full[axes_old] = [size for size in old[axes_old] if size is not None]
            wanted[axes_new] = [size for size in new[axes_new] if size is not None]
    return np.broadcast_to(array, full).reshape(wanted)
