"""Batch norm by hand, in float64: one channel at a time, each step with its name."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bnfold.graph import Array


@dataclass(frozen=True)
class Channel:
    """What a batch norm knows of one channel.

    ::

        y = (x − mean) / √(variance + epsilon) · gamma + beta  =  x · scale + shift

        scale = gamma / √(variance + epsilon)        shift = beta − mean · scale

    Attributes
    ----------
    mean, variance : float
        The moving statistics in inference, the batch's own in training.
    epsilon : float
    gamma, beta : float
        1 and 0 where the layer has none.
    """

    mean: float
    variance: float
    epsilon: float
    gamma: float = 1.0
    beta: float = 0.0

    @property
    def scale(self) -> float:
        spread = self.variance + self.epsilon
        return self.gamma / math.sqrt(spread) if spread > 0 else math.nan

    @property
    def shift(self) -> float:
        return self.beta - self.mean * self.scale

    def __call__(self, x: float) -> float:
        """``y`` for ``x``; not ``x·scale + shift``, which cancels where the mean is large."""
        return (x - self.mean) * self.scale + self.beta


def batch_moments(x: Array, channel_axis: int) -> tuple[Array, Array]:
    """Mean and variance of each channel over all other axes, as training computes them, in float64.

    Parameters
    ----------
    x : ndarray
    channel_axis : int
        May count from the end.

    Returns
    -------
    mean, variance : ndarray of shape (channels,)
        The variance is the population's, divided by the count, not by one less.
    """
    wide = x.astype(np.float64)
    axes = tuple(axis for axis in range(x.ndim) if axis != channel_axis % x.ndim)
    return wide.mean(axes), wide.var(axes)


def moved(moving: float, batch: float, decay: float) -> float:
    """A moving statistic after one update.

    ``moving · decay + batch · (1 − decay)``: with decay 0 it is the last batch's own, with decay 1 it never moves.
    """
    return moving * decay + batch * (1 - decay)


@dataclass(frozen=True)
class Slip:
    """A way to get another number.

    Attributes
    ----------
    name : str
    value : float
    """

    name: str
    value: float


def slips(x: float, moving: Channel, batch: Channel | None = None) -> tuple[Slip, ...]:
    """What the usual slips make of ``x``, to compare a number seen elsewhere with; those that change nothing left out.

    Parameters
    ----------
    x : float
    moving : Channel
        With moving statistics.
    batch : Channel, optional
        With the batch's own.
    """
    spread = moving.variance + moving.epsilon
    root = math.sqrt(spread) if spread > 0 else math.nan
    candidates = [
        (
            "the factor 1/√(variance + epsilon) applied twice, or its root forgotten",
            (x - moving.mean) * moving.scale / root + moving.beta,
        ),
        ("epsilon added to the root, not under it", _epsilon_outside(x, moving)),
        ("no epsilon", replace(moving, epsilon=0.0)(x)),
        ("epsilon 1e-5 (other frameworks' default)", replace(moving, epsilon=1e-5)(x)),
        ("mean and variance swapped", replace(moving, mean=moving.variance, variance=moving.mean)(x)),
        ("gamma and beta swapped", replace(moving, gamma=moving.beta, beta=moving.gamma)(x)),
        ("no gamma", replace(moving, gamma=1.0)(x)),
        ("no beta", replace(moving, beta=0.0)(x)),
        ("statistics never updated (mean 0, variance 1)", replace(moving, mean=0.0, variance=1.0)(x)),
    ]
    if batch is not None:
        candidates.append(("training mode: the batch's own mean and variance", batch(x)))
    right = moving(x)
    found: dict[float, str] = {}
    for name, value in candidates:
        if math.isfinite(value) and not math.isclose(value, right, rel_tol=1e-9, abs_tol=1e-12):
            found.setdefault(value, name)
    return tuple(Slip(name, value) for value, name in found.items())


def _epsilon_outside(x: float, moving: Channel) -> float:
    if moving.variance < 0:
        return math.nan
    return (x - moving.mean) / (math.sqrt(moving.variance) + moving.epsilon) * moving.gamma + moving.beta
