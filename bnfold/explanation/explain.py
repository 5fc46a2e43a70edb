"""`explain`: one batch norm, one channel, real numbers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bnfold.errors import InferenceError
from bnfold.explanation.arithmetic import Channel, batch_moments, slips
from bnfold.explanation.result import BatchMoments, Explanation, Row
from bnfold.graph import Array, Graph, constant
from bnfold.graph.evaluate import run
from bnfold.graph.stages import BatchNorm, InferenceGraph, SourceModel
from bnfold.samples import Data, choose_samples, data_label
from bnfold.samples.session import Reference

FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def explain(
    reference: InferenceGraph,
    layer: str,
    *,
    source: SourceModel | None = None,
    channel: int = 0,
    values: Sequence[float] = (),
    data: Data | None = None,
    samples: int = 8,
    seed: int = 0,
) -> Explanation:
    """Work out one channel of one batch norm, in inference and in training mode side by side.

    Parameters
    ----------
    reference : InferenceGraph
    layer : str
        The batch norm's name, or a part of it that only one has.
    source : SourceModel, optional
        Shows what the op as it was saved computes.
    channel : int
    values : sequence of float
        Values of ``x`` to follow; the batch's smallest, middle and largest when empty.
    data : optional
        Samples that give the batch of training mode; see `bnfold.samples.data.batches_of`. Random ones otherwise.
    samples, seed : int
        Of the random samples.

    Raises
    ------
    InferenceError
        When no batch norm, or more than one, has the name; when the channel does not exist.
    VerificationError
        When the graph cannot be run up to the layer.
    """
    norm = find_layer(reference, layer)
    if not 0 <= channel < norm.moving_mean.size:
        raise InferenceError(
            f"{norm.name} has channels 0 to {norm.moving_mean.size - 1}, not {channel}",
            hint="--channel counts from 0",
        )
    x, label = _values_before(reference, norm, data, samples, seed)
    axis = x.ndim - 1 if norm.channel_axis is None else norm.channel_axis
    mean, variance = batch_moments(x, axis)
    moving = _channel(norm, channel)
    batch = BatchMoments(label, x.size // mean.size, float(mean[channel]), float(variance[channel]))
    training = replace(moving, mean=batch.mean, variance=batch.variance)
    chosen = [float(np.float32(value)) for value in values] or _typical(np.take(x, channel, axis))
    graph = _graph_values(reference, norm, x, axis, channel, chosen)
    saved = _saved_values(source, norm, x, axis, channel, chosen)
    rows = tuple(
        Row(value, moving(value), training(value), computed, kept)
        for value, computed, kept in zip(chosen, graph, saved, strict=True)
    )
    return Explanation(
        layer=norm.name,
        form=norm.form,
        flag=norm.flag,
        x=norm.x,
        y=norm.y,
        shape=reference.graph.shape_of(norm.x),
        channel_axis=axis,
        channel=channel,
        channels=int(norm.moving_mean.size),
        has_gamma=_has(norm, "gamma", norm.gamma, 1.0),
        has_beta=_has(norm, "beta", norm.beta, 0.0),
        moving=moving,
        batch=batch,
        rows=rows,
        slips=slips(chosen[0], moving, training),
        variables=norm.variables,
        evidence=norm.evidence,
        notes=tuple(_notes(moving, training)),
    )


def find_layer(reference: InferenceGraph, name: str) -> BatchNorm:
    """The batch norm called ``name``, or the only one whose name has ``name`` in it.

    Raises
    ------
    InferenceError
    """
    norms = reference.batch_norms
    exact = [norm for norm in norms if norm.name == name or name in norm.nodes]
    found = exact or [norm for norm in norms if name in norm.name]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(norm.name for norm in found[:8])
        raise InferenceError(f"{len(found)} batch norms have {name!r} in their name", hint=f"one of {listed}")
    names = [norm.name for norm in norms]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are: {', '.join(names[:8]) or 'none'}"
    raise InferenceError(f"no batch norm is called {name}", hint=hint)


def _has(norm: BatchNorm, role: str, values: Array | None, neutral: float) -> bool:
    """Whether the layer has a gamma or beta of its own: a fused op is given constants where it has none."""
    return values is not None and (role in norm.variables or bool((values != neutral).any()))


def _channel(norm: BatchNorm, channel: int) -> Channel:
    def at(values: Array | None, default: float) -> float:
        return default if values is None else float(values.reshape(-1)[channel])

    return Channel(
        mean=at(norm.moving_mean, 0.0),
        variance=at(norm.moving_variance, 1.0),
        epsilon=float(norm.epsilon),
        gamma=at(norm.gamma, 1.0),
        beta=at(norm.beta, 0.0),
    )


def _values_before(
    reference: InferenceGraph, norm: BatchNorm, data: Data | None, samples: int, seed: int
) -> tuple[Array, str]:
    """The tensor that ``norm`` normalises, over all samples, and what to call them."""
    session = Reference(reference)
    try:
        chosen = choose_samples(reference, session.run, samples=samples, seed=seed, data=data)
        parts = [session.run(batch.feeds, [norm.x])[0] for batch in chosen.batches if not batch.edge]
    finally:
        session.close()
    shape = parts[0].shape[1:]
    fitting = [part for part in parts if part.shape[1:] == shape]
    together = np.concatenate(fitting)
    count = together.shape[0]
    return together, f"{count} random samples" if data is None else f"{count} samples of {data_label(data)}"


def _typical(values: Array) -> list[float]:
    ordered = np.sort(values, axis=None)
    picked = dict.fromkeys(float(ordered[i]) for i in (0, ordered.size // 2, ordered.size - 1))
    return list(picked)


def _with_values(x: Array, axis: int, channel: int, values: Sequence[float]) -> Array:
    """The batch ``x`` with ``values`` in the first places of the channel, repeated if need be."""
    moved = np.moveaxis(x, axis, 0).copy()
    flat = moved[channel].reshape(-1)
    count = min(len(values), flat.size)
    flat[:count] = values[:count]
    moved[channel] = flat.reshape(moved[channel].shape)
    return np.moveaxis(moved, 0, axis)


def _graph_values(
    reference: InferenceGraph, norm: BatchNorm, x: Array, axis: int, channel: int, values: Sequence[float]
) -> list[float]:
    """What TensorFlow makes of ``values`` at the layer: they are fed straight to it, one run each."""
    session = Reference(reference)
    try:
        fed = x[:1]
        found = []
        for value in values:
            (y,) = session.run({norm.x: _with_values(fed, axis, channel, [value])}, [norm.y])
            found.append(float(np.moveaxis(y, axis, 0)[channel].reshape(-1)[0]))
        return found
    finally:
        session.close()


def _saved_values(
    source: SourceModel | None, norm: BatchNorm, x: Array, axis: int, channel: int, values: Sequence[float]
) -> list[float | None]:
    """What the op as it was saved, with ``is_training=True``, makes of the batch ``x``: ``y`` where ``x`` is a value.

    A value that the batch does not hold has none: putting it in would change the batch's statistics.
    """
    nodes = [] if source is None else [node for name in norm.nodes if (node := source.graph.get(name)) is not None]
    op = next((node for node in nodes if node.op in FUSED and node.attrs.get("is_training")), None)
    if op is None:
        return [None] * len(values)
    ones = np.ones(norm.moving_mean.size, np.float32)
    gamma, beta = (ones if norm.gamma is None else norm.gamma), (0 * ones if norm.beta is None else norm.beta)
    inputs = {"gamma": gamma, "beta": beta, "mean": ones[:0], "variance": ones[:0]}
    graph = Graph([constant("x", x), *(constant(name, array) for name, array in inputs.items())])
    graph.add(replace(op, name="y", inputs=("x:0", *(f"{name}:0" for name in inputs)), controls=()))
    (y,) = run(graph, ["y:0"])
    before, after = (np.moveaxis(array, axis, 0)[channel].reshape(-1) for array in (x, y))
    places = [np.flatnonzero(before == np.float32(value)) for value in values]
    return [float(after[place[0]]) if place.size else None for place in places]


def _notes(moving: Channel, training: Channel) -> list[str]:
    notes = []
    if moving.mean == 0.0 and moving.variance == 1.0:
        notes.append(
            "the moving statistics are those of a fresh layer (mean 0, variance 1): they were never updated, so this "
            "channel is scaled by 1/√(1 + epsilon) and not normalised"
        )
    elif moving.variance < moving.epsilon:
        notes.append(
            f"the moving variance is {moving.epsilon / max(moving.variance, 1e-300):.3g} times smaller than epsilon: "
            "epsilon, not the data, sets the scale"
        )
    spread = np.sqrt(max(training.variance, 0.0) + training.epsilon)
    if abs(moving.mean - training.mean) > 3 * spread:
        notes.append("the batch's mean lies more than three deviations from the moving mean")
    return notes
