"""What `explain` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bnfold.explanation.arithmetic import Channel, Slip
from bnfold.graph import Shape


@dataclass(frozen=True)
class BatchMoments:
    """The batch that training mode is shown on.

    Attributes
    ----------
    label : str
        What it is: ``8 random samples`` …
    count : int
        Values of the channel in it.
    mean, variance : float
        Of the channel, over all of them.
    """

    label: str
    count: int
    mean: float
    variance: float

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Row:
    """One value and what becomes of it.

    Attributes
    ----------
    x : float
    inference : float
        With the moving statistics, in float64.
    training : float
        With the batch's own.
    graph : float
        What TensorFlow computes in the inference graph.
    saved : float or None
        What TensorFlow computes with the op as it was saved, in training mode, on the batch; None where it was
        saved in inference mode or is not a fused op.
    """

    x: float
    inference: float
    training: float
    graph: float
    saved: float | None

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Explanation:
    """The arithmetic of one channel of one batch norm.

    Attributes
    ----------
    layer, form, flag : str
    x, y : str
        The tensor it normalises and the tensor it gives.
    shape : Shape or None
        Of ``x``.
    channel_axis : int
    channel, channels : int
    has_gamma, has_beta : bool
    moving : Channel
    batch : BatchMoments
    rows : tuple of Row
    slips : tuple of Slip
        Other numbers people get for the first row, and how.
    variables : mapping of str to str
    evidence : tuple of str
    notes : tuple of str
        What is unusual about these numbers.
    """

    layer: str
    form: str
    flag: str
    x: str
    y: str
    shape: Shape | None
    channel_axis: int
    channel: int
    channels: int
    has_gamma: bool
    has_beta: bool
    moving: Channel
    batch: BatchMoments
    rows: tuple[Row, ...]
    slips: tuple[Slip, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def training(self) -> Channel:
        """The channel with the batch's own statistics."""
        batch = self.batch
        return Channel(batch.mean, batch.variance, self.moving.epsilon, self.moving.gamma, self.moving.beta)

    def as_json(self) -> dict[str, Any]:
        return {
            "layer": self.layer,
            "form": self.form,
            "flag": self.flag,
            "x": self.x,
            "y": self.y,
            "shape": None if self.shape is None else list(self.shape),
            "channel_axis": self.channel_axis,
            "channel": self.channel,
            "channels": self.channels,
            "gamma": self.moving.gamma if self.has_gamma else None,
            "beta": self.moving.beta if self.has_beta else None,
            "moving_mean": self.moving.mean,
            "moving_variance": self.moving.variance,
            "epsilon": self.moving.epsilon,
            "scale": self.moving.scale,
            "shift": self.moving.shift,
            "batch": self.batch.as_json(),
            "rows": [row.as_json() for row in self.rows],
            "slips": [vars(slip) for slip in self.slips],
            "variables": dict(self.variables),
            "evidence": list(self.evidence),
            "notes": list(self.notes),
        }
