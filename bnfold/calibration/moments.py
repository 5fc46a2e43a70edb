"""Mean and variance of a stream, exactly, whatever its length and however it comes in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bnfold.graph import Array


@dataclass
class Moments:
    """Running population moments of each channel, in float64.

    Parts are merged by Chan, Golub and LeVeque's update, which never subtracts squares of large numbers::

        n = a + b        mean = mean_a + (mean_b − mean_a) · b/n
        m2 = m2_a + m2_b + (mean_b − mean_a)² · a·b/n        variance = m2 / n

    Attributes
    ----------
    count : int
        Values of one channel so far.
    mean : ndarray of shape (channels,)
    m2 : ndarray of shape (channels,)
        Sum of squared deviations from the mean.
    """

    count: int = 0
    mean: Array | None = None
    m2: Array | None = None

    def add(self, x: Array, channel_axis: int) -> None:
        """Include ``x``, its channels along ``channel_axis``."""
        wide = np.moveaxis(x, channel_axis, -1).reshape(-1, x.shape[channel_axis]).astype(np.float64)
        count = wide.shape[0]
        if not count:
            return
        mean = wide.mean(axis=0)
        m2 = np.square(wide - mean).sum(axis=0)
        if self.mean is None or self.m2 is None:
            self.count, self.mean, self.m2 = count, mean, m2
            return
        total = self.count + count
        gap = mean - self.mean
        self.mean = self.mean + gap * (count / total)
        self.m2 = self.m2 + m2 + np.square(gap) * (self.count * count / total)
        self.count = total

    @property
    def variance(self) -> Array:
        """Of the population: divided by the count.

        Raises
        ------
        ValueError
            When nothing was added.
        """
        if self.m2 is None:
            raise ValueError("no values, no variance")
        return self.m2 / self.count
