"""How an op stands to the layout of its values: facts that the table states and `layout` acts on.

TensorFlow stores images as NHWC, ONNX' convolutions want NCHW. A value may be *stored* with its axes permuted
(a `Permutation`: stored axis ``i`` is TensorFlow's axis ``p[i]``); None is TensorFlow's own order.
"""

from __future__ import annotations

from dataclasses import dataclass

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Placement:
    """Base of the three kinds."""


@dataclass(frozen=True)
class AsTensorFlow(Placement):
    """Inputs and outputs are stored as TensorFlow has them."""


@dataclass(frozen=True)
class Spatial(Placement):
    """Wants channels first: ``data`` inputs and all outputs of their rank, unless ``data_format`` says they are.

    The lowering then sees N, C, then the spatial axes, always.
    """

    data: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Follows(Placement):
    """Works in whatever layout its neighbours have; its lowering goes through `Call.axis` and `Call.per_axis`.

    Attributes
    ----------
    data : tuple of int or None
        The inputs that share the layout of the outputs; None: all of them. Inputs of lower rank broadcast.
    constant : tuple of int
        Inputs (axes, paddings, sizes) that must be constants for the op to follow; read with `Call.value`.
    """

    data: tuple[int, ...] | None = None
    constant: tuple[int, ...] = ()


AS_TENSORFLOW = AsTensorFlow()
SPATIAL = Spatial()
FOLLOWS = Follows()


def channels_first(rank: int) -> Permutation:
    """The permutation N, C, spatial… of a channels-last value."""
    return (0, rank - 1, *range(1, rank - 1))


def inverse(permutation: Permutation) -> Permutation:
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


def is_identity(permutation: Permutation | None) -> bool:
    return permutation is None or permutation == tuple(range(len(permutation)))
