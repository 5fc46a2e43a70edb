"""Following axes through a change of shape: arithmetic on shapes and permutations alone."""

from __future__ import annotations

from collections.abc import Iterator

from bnfold.graph import Shape

Group = tuple[list[int], list[int]]
"""Axes before and axes after that hold the same elements in the same order."""


def without_axes(permutation: tuple[int, ...], dropped: set[int]) -> tuple[int, ...] | None:
    """The order in which the axes that remain are stored, numbered anew; None is their natural order.

    >>> without_axes((0, 3, 1, 2), {1})
    (0, 2, 1)
    """
    stored = [axis for axis in permutation if axis not in dropped]
    order = sorted(stored)
    left = tuple(order.index(axis) for axis in stored)
    return None if left == tuple(range(len(left))) else left


def carried(before: Shape | None, after: Shape | None, permutation: tuple[int, ...]) -> tuple[int, ...] | None:
    """How the result of a reshape is stored if it is a reshape of the *stored* input, or None if it cannot be.

    Each group of axes that are merged or split must lie together and in order in what is stored; axes of
    size 1 may lie anywhere.

    >>> carried((2, 4, 6, 8), (2, 4, 6, 2, 4), (0, 3, 1, 2))    # channels split into groups
    (0, 3, 4, 1, 2)
    >>> carried((2, 1, 1, 8), (2, 8), (0, 3, 1, 2))
    (0, 1)
    >>> carried((2, 4, 6, 8), (2, 192), (0, 3, 1, 2)) is None   # flattening mixes channels and pixels
    True
    """
    groups = split_into_groups(before, after)
    if groups is None or before is None or len(permutation) != len(before):
        return None
    stored = [axis for axis in permutation if before[axis] != 1]
    order: list[tuple[int, list[int]]] = []
    for inside, outside in groups:
        wide = [axis for axis in inside if before[axis] != 1]
        if not wide:
            position = permutation.index(inside[0]) if inside else 0
            order.append((10 * position, outside))
            continue
        first = stored.index(wide[0])
        if stored[first : first + len(wide)] != wide:
            return None
        order.append((10 * permutation.index(wide[0]) + 1, outside))
    return tuple(axis for _, outside in sorted(order, key=lambda entry: entry[0]) for axis in outside)


def split_into_groups(before: Shape | None, after: Shape | None) -> list[Group] | None:
    """The finest groups of axes of equal product; None where sizes that are not known leave it open.

    One unknown size on each side is the same size if all the rest have equal products.
    """
    if before is None or after is None or 0 in before or 0 in after:
        return None
    if (before.count(None), after.count(None)) not in ((0, 0), (1, 1)):
        return None
    if _product(before) != _product(after):
        return None
    return list(_groups(before, after))


def _product(shape: Shape) -> int:
    product = 1
    for size in shape:
        product *= 1 if size is None else size
    return product


_UNKNOWN = 2**61 - 1  # a prime no real size has: the unknown size, the same on both sides


def _groups(before: Shape, after: Shape) -> Iterator[Group]:
    left = [_UNKNOWN if size is None else size for size in before]
    right = [_UNKNOWN if size is None else size for size in after]
    i = j = 0
    while i < len(left) or j < len(right):
        inside: list[int] = []
        outside: list[int] = []
        here = there = 1
        while not (inside or outside) or here != there:
            if (here <= there and i < len(left)) or j >= len(right):
                here *= left[i]
                inside.append(i)
                i += 1
            else:
                there *= right[j]
                outside.append(j)
                j += 1
        while i < len(left) and left[i] == 1 and (j >= len(right) or right[j] != 1):
            inside.append(i)
            i += 1
        while j < len(right) and right[j] == 1 and (i >= len(left) or left[i] != 1):
            outside.append(j)
            j += 1
        yield inside, outside
