"""Errors channel by channel: a single weight that is off shows in one channel, and drowns in the whole tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.graph import Array, Graph
from bnfold.verify.tolerance import FACTOR, FLOOR, UNIT_ROUNDOFF

CHANNEL_FACTOR = 4 * FACTOR
"""Four times what an output may have: the largest of the errors of thousands of channels is compared, and a false alarm
would send people to the wrong layer. Right files have been seen at half of it."""

SILENT = 0.1
"""A channel that is quieter than this share of the usual one is judged by that share: its terms cancel."""


def channel_axis(graph: Graph, tensor: str) -> int | None:
    """The axis that holds the channels of ``tensor``, as far as the graph tells; None for vectors and scalars."""
    shape = graph.shape_of(tensor)
    if shape is None or len(shape) < 2:
        return None
    first = any(str(node.attrs.get("data_format", "")).startswith("NC") for node in graph)
    return 1 if first and len(shape) > 2 else len(shape) - 1


@dataclass
class Noise:
    """TensorFlow's own rounding through the network so far.

    Attributes
    ----------
    level : float
        The largest so far of the median channel's error against float64, relative to the channel's scale.
    """

    level: float = 0.0

    @property
    def allowed(self) -> float:
        """What the error of a usual channel may be, relative to its scale."""
        return CHANNEL_FACTOR * self.level + FLOOR * UNIT_ROUNDOFF["float32"]

    def judge(
        self, truth: Array, expected: Array, found: Array, axis: int | None, kernel_error: float = 0.0
    ) -> tuple[float, int]:
        """Compare the errors of ``found`` and of ``expected`` against ``truth``, in each channel.

        ::

            excess = max over channels of  error_onnx / (16 · max(error_tf, level · scale) + 8·u · scale + kernel_error)

        Returns
        -------
        excess : float
            1 is the limit.
        channel : int
            Where it is largest.
        """
        exact = np.where(np.isfinite(expected), truth, expected)
        own, theirs = _by_channel(exact, expected, axis), _by_channel(exact, found, axis)
        scale = _largest(np.where(np.isfinite(exact), exact, 0.0), axis)
        scale = np.maximum(scale, SILENT * np.median(scale))
        if not scale.any():
            return (np.inf if theirs.any() else 0.0), int(theirs.argmax())
        scale = np.maximum(scale, np.finfo(np.float32).tiny)
        self.level = max(self.level, float(np.median(own / scale)))
        limit = (
            CHANNEL_FACTOR * np.maximum(own, self.level * scale)
            + FLOOR * UNIT_ROUNDOFF["float32"] * scale
            + kernel_error
        )
        excess = theirs / limit
        worst = int(excess.argmax())
        return float(excess[worst]), worst


def _by_channel(a: Array, b: Array, axis: int | None) -> Array:
    with np.errstate(invalid="ignore"):
        gap = np.where(a == b, 0.0, np.abs(a - b.astype(a.dtype)))
    gap[np.isnan(gap)] = np.inf
    return _largest(gap, axis)


def _largest(values: Array, axis: int | None) -> Array:
    size: Array = np.abs(values)
    rows = size.reshape(1, -1) if axis is None else np.moveaxis(size, axis, 0).reshape(size.shape[axis], -1)
    largest: Array = rows.max(axis=1, initial=0.0)
    return largest
