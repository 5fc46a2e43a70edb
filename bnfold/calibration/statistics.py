"""The statistics of batch norms over a data set, each computed with those before it already in place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bnfold.calibration.moments import Moments
from bnfold.errors import InferenceError, VerificationError
from bnfold.graph import Array, Graph, Node, constant, node_name
from bnfold.graph.stages import BatchNorm, InferenceGraph
from bnfold.samples import Batch, Data, choose_samples, data_label
from bnfold.samples.session import Reference

Progress = Callable[[int, int], None]
"""Called after each run with the number of runs done and of all."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a batch norm's statistics were and are.

    Attributes
    ----------
    name : str
    mean, variance : ndarray of shape (channels,)
        Computed, in float64.
    old_mean, old_variance : ndarray of shape (channels,)
    count : int
        Values of one channel that were averaged.
    variables : mapping of str to str
        ``moving_mean`` and ``moving_variance`` → variable.
    """

    name: str
    mean: Array = field(repr=False)
    variance: Array = field(repr=False)
    old_mean: Array = field(repr=False)
    old_variance: Array = field(repr=False)
    count: int
    variables: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        def bounds(values: Array) -> dict[str, float]:
            return {"min": float(values.min()), "max": float(values.max())}

        return {
            "name": self.name,
            "count": self.count,
            "moving_mean": {"before": bounds(self.old_mean), "after": bounds(self.mean)},
            "moving_variance": {"before": bounds(self.old_variance), "after": bounds(self.variance)},
        }


@dataclass(frozen=True)
class Calibration:
    """What `calibrate_statistics` returns.

    Attributes
    ----------
    statistics : tuple of Statistics
        In the order in which the layers were calibrated.
    untouched : tuple of str
        Batch norms that kept their statistics.
    samples : int
    data : str
        The name of the data.
    passes : int
        How often the data was run.
    """

    statistics: tuple[Statistics, ...]
    untouched: tuple[str, ...]
    samples: int
    data: str
    passes: int

    def as_json(self) -> dict[str, Any]:
        return {
            "layers": [found.as_json() for found in self.statistics],
            "untouched": list(self.untouched),
            "samples": self.samples,
            "data": self.data,
            "passes": self.passes,
        }


def needs_calibration(norm: BatchNorm, absent: Iterable[str] = ()) -> bool:
    """Whether the statistics of ``norm`` are a fresh layer's, or its variables are among the ``absent``."""
    fresh = not norm.moving_mean.any() and bool((norm.moving_variance == 1).all())
    return fresh or bool(set(norm.variables.values()) & set(absent))


def calibrate_statistics(
    reference: InferenceGraph,
    names: Sequence[str],
    data: Data,
    *,
    progress: Progress | None = None,
) -> Calibration:
    """Compute the moving statistics of batch norms from data.

    The mean and variance of what reaches a batch norm, over every sample and place, are its statistics; what reaches
    the next one depends on them. So the layers are taken in order, all that do not depend on one another in one
    pass over the data, in inference mode, with what was computed already in place. The result is the fixed point
    that moving averages only approach: it depends neither on a decay nor on the order or size of batches.

    Parameters
    ----------
    reference : InferenceGraph
        With any statistics for the layers to calibrate.
    names : sequence of str
        Batch norms to calibrate; the others keep theirs.
    data : path, ndarray, mapping, or iterable of these
        See `bnfold.samples.data.batches_of`.
    progress : callable, optional

    Raises
    ------
    InferenceError
        When a layer's channels or variables are not known.
    VerificationError
        When there is no data, it does not fit, or a layer's input is not finite on it.
    """
    chosen = [norm for norm in reference.batch_norms if norm.name in set(names)]
    levels = _levels(reference.graph, chosen)
    batches = _batches(reference, data)
    total = len(levels) * len(batches)
    graph, moved = reference.graph, dict[str, str]()
    found: list[Statistics] = []
    for number, level in enumerate(levels):
        tell = _Tell(progress, number * len(batches), total)
        moments = _moments(reference, graph, level, batches, moved, tell)
        graph = graph.copy()
        for norm in level:
            statistics = _statistics(norm, moments[norm.name])
            moved[norm.y] = _put(graph, norm, statistics, moved)
            found.append(statistics)
    return Calibration(
        tuple(found),
        tuple(norm.name for norm in reference.batch_norms if norm not in chosen),
        sum(len(batch.labels) for batch in batches),
        data_label(data),
        len(levels),
    )


@dataclass(frozen=True)
class _Tell:
    """Reports the progress of one pass as progress of the whole."""

    progress: Progress | None
    before: int
    total: int

    def __call__(self, done: int) -> None:
        if self.progress is not None:
            self.progress(self.before + done, self.total)


def _batches(reference: InferenceGraph, data: Data) -> list[Batch]:
    """The data, kept: every level of layers runs it again."""
    return list(choose_samples(reference, lambda feeds: [], data=data).batches)


def _levels(graph: Graph, norms: Sequence[BatchNorm]) -> list[list[BatchNorm]]:
    """``norms`` in groups, each of which depends on the groups before it alone."""
    levels: list[list[BatchNorm]] = []
    depth: dict[str, int] = {}
    ordered = sorted(norms, key=lambda norm: len(graph.ancestors([norm.x])))
    for norm in ordered:
        before = graph.ancestors([norm.x])
        after = [depth[other.name] for other in ordered if other.name in depth and node_name(other.y) in before]
        depth[norm.name] = level = max(after, default=-1) + 1
        if level == len(levels):
            levels.append([])
        levels[level].append(norm)
    return levels


def _moments(
    reference: InferenceGraph,
    graph: Graph,
    level: Sequence[BatchNorm],
    batches: Sequence[Batch],
    moved: Mapping[str, str],
    report: Callable[[int], None],
) -> dict[str, Moments]:
    """The moments of what reaches each layer of ``level``."""
    moments = {norm.name: Moments() for norm in level}
    tensors = [moved.get(norm.x, norm.x) for norm in level]
    session = Reference(reference, graph.pruned(tensors))
    try:
        for done, batch in enumerate(batches, start=1):
            used = {name: array for name, array in batch.feeds.items() if node_name(name) in session}
            for norm, x in zip(level, session.run(used, tensors), strict=True):
                moments[norm.name].add(x, _axis(norm, x))
            report(done)
    finally:
        session.close()
    return moments


def _axis(norm: BatchNorm, x: Array) -> int:
    axis = x.ndim - 1 if norm.channel_axis is None else norm.channel_axis
    if x.shape[axis] != norm.moving_mean.size:
        raise InferenceError(
            f"batch norm {norm.name} has {norm.moving_mean.size} channels, its input {x.shape}",
            hint="the graph and the checkpoint may be of two models",
            node=norm.name,
        )
    return axis


def _statistics(norm: BatchNorm, moments: Moments) -> Statistics:
    if moments.mean is None or not (np.isfinite(moments.mean).all() and np.isfinite(moments.variance).all()):
        raise VerificationError(
            f"what reaches batch norm {norm.name} is not finite on this data",
            hint="look at the samples, and at the weights before that layer",
        )
    return Statistics(
        norm.name, moments.mean, moments.variance, norm.moving_mean, norm.moving_variance, moments.count, norm.variables
    )


def _put(graph: Graph, norm: BatchNorm, statistics: Statistics, moved: Mapping[str, str]) -> str:
    """Make the readers of ``norm`` read it with its new ``statistics``, in place; return the tensor they read."""
    gamma = 1.0 if norm.gamma is None else norm.gamma.reshape(-1).astype(np.float64)
    beta = 0.0 if norm.beta is None else norm.beta.reshape(-1).astype(np.float64)
    scale = gamma / np.sqrt(statistics.variance + norm.epsilon)
    found = graph.types[norm.x]
    rank = None if found.shape is None else len(found.shape)
    axis = None if rank is None or norm.channel_axis is None else norm.channel_axis
    spread = [1] * (rank - axis - 1) if rank is not None and axis is not None else []

    def vector(name: str, values: Array) -> Node:
        array = np.broadcast_to(values, statistics.mean.shape).astype(found.dtype.numpy)
        return graph.add(constant(graph.fresh_name(f"{norm.name}/calibrated/{name}"), array.reshape(-1, *spread)))

    tensor = moved.get(norm.x, norm.x)
    steps = (("Sub", "mean", statistics.mean), ("Mul", "scale", scale), ("AddV2", "beta", np.asarray(beta)))
    for op, name, values in steps:
        operand = vector(name, values)
        stem = graph.fresh_name(f"{norm.name}/calibrated/{op}")
        tensor = graph.add(Node(stem, op, (tensor, operand.output), {"T": found.dtype})).output
    graph.redirect(norm.y, tensor)
    return tensor
