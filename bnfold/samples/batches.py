"""What the network is run on: random samples and edges, in the shapes that people use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Shape
from bnfold.graph.stages import Endpoint
from bnfold.samples.ranges import InputRange

Feeds = dict[str, Array]
"""Arrays by the tensor's name in the inference graph."""

SIZES = (32, 64, 48, 100, 28, 96, 128, 160, 192, 224, 227, 256, 299, 331, 512, 16, 8, 4, 2, 1)
"""Sizes tried for dimensions that the graph leaves open, the cheap ones first; some networks take only a few."""

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 3, 5, 6, 10)
"""Batches tried where the batch is open; batch norms over virtual batches take multiples of those alone."""

RANKS = 16
"""More axes than any tensor has."""

EDGES = ("zeros", "constant", "large", "one hot channel")


@dataclass(frozen=True)
class Batch:
    """One run.

    Attributes
    ----------
    label : str
    labels : tuple of str
        One for each sample.
    feeds : dict of str to ndarray
    edge : bool
        Values that nobody feeds; a sample on which TensorFlow itself gives NaN is left out, not held against
        the file.
    """

    label: str
    labels: tuple[str, ...]
    feeds: Feeds
    edge: bool = False


@dataclass(frozen=True)
class Plan:
    """The shapes to run in.

    Attributes
    ----------
    shapes : tuple of dict of str to shape
        One or two sets of concrete shapes, the batch axis 1 where it is open and the graph takes that.
    open_batch : frozenset of str
        Inputs whose first axis is the batch, and open.
    batch : int
        Samples in one run where the batch is fixed.
    notes : tuple of str
    """

    shapes: tuple[Mapping[str, tuple[int, ...]], ...]
    open_batch: frozenset[str]
    batch: int
    notes: tuple[str, ...] = ()


def plan(shapes: Mapping[str, Shape], runs: Callable[[Mapping[str, tuple[int, ...]]], str | None]) -> Plan:
    """Choose concrete shapes for the open dimensions of ``shapes``.

    Parameters
    ----------
    shapes : mapping of str to Shape
        By input, in the reference's layout; the file's fixed sizes already merged in.
    runs : callable
        Whether the reference runs in concrete shapes: None, or why not.

    Raises
    ------
    VerificationError
        When the reference runs in none of the shapes tried.
    """
    open_batch = frozenset(name for name, shape in shapes.items() if shape and shape[0] is None)
    has_open = any(size is None for shape in shapes.values() for size in shape[1:])
    batch, size, chosen = _first_that_runs(shapes, runs, BATCHES if open_batch else BATCHES[:1], has_open)
    notes = []
    if batch > 1:
        open_batch = frozenset()
        notes.append(f"TensorFlow's graph takes batches of {batch}, not of 1")
    elif open_batch and (refusal := runs(_with_batch(chosen, open_batch, 2))) is not None:
        open_batch = frozenset()
        notes.append(f"TensorFlow's graph runs with batch 1 alone: {refusal}")
    found = [chosen]
    if has_open:
        found += _second_size(shapes, batch, size, runs)
        if len(found) == 1:
            notes.append(f"of the sizes tried the graph takes only {size} in its open dimensions")
    fixed = {shape[0] for shape in shapes.values() if len(shape) > 1}
    (whole,) = fixed if len(fixed) == 1 else (None,)
    return Plan(tuple(found), open_batch, whole or batch, tuple(notes))


def _first_that_runs(
    shapes: Mapping[str, Shape],
    runs: Callable[[Mapping[str, tuple[int, ...]]], str | None],
    batches: Sequence[int],
    has_open: bool,
) -> tuple[int, int, dict[str, tuple[int, ...]]]:
    """The first batch and size that the reference runs in."""
    reason = ""
    for batch in batches:
        for size in SIZES if has_open else SIZES[:1]:
            chosen = _filled(shapes, batch, dict.fromkeys(range(RANKS), size))
            if (refusal := runs(chosen)) is None:
                return batch, size, chosen
            reason = reason or refusal
    raise VerificationError(
        f"TensorFlow runs the graph in none of the shapes tried: {reason}",
        hint="give the input's shape (--input NAME=SHAPE) or samples of your own (--data)",
    )


def _second_size(
    shapes: Mapping[str, Shape], batch: int, size: int, runs: Callable[[Mapping[str, tuple[int, ...]]], str | None]
) -> list[dict[str, tuple[int, ...]]]:
    """Another set of sizes: height and width unequal if the graph can, else a larger square."""
    axes = range(RANKS)
    attempts: tuple[dict[int, int], ...] = (
        {axis: size + 16 * axis for axis in axes},
        {axis: size + 32 * axis for axis in axes},
        dict.fromkeys(axes, size + 32),
        dict.fromkeys(axes, size * 2),
    )
    for sizes in attempts:
        candidate = _filled(shapes, batch, sizes)
        if runs(candidate) is None:
            return [candidate]
    return []


def _filled(shapes: Mapping[str, Shape], batch: int, sizes: Mapping[int, int]) -> dict[str, tuple[int, ...]]:
    filled = {}
    for name, shape in shapes.items():
        rest = [sizes[axis] if size is None else size for axis, size in enumerate(shape) if axis > 0]
        filled[name] = (batch if shape[0] is None else shape[0], *rest) if shape else ()
    return filled


def _with_batch(
    shapes: Mapping[str, tuple[int, ...]], open_batch: frozenset[str], batch: int
) -> dict[str, tuple[int, ...]]:
    return {name: (batch, *shape[1:]) if name in open_batch else shape for name, shape in shapes.items()}


def random_batches(
    inputs: Sequence[Endpoint], ranges: Mapping[str, InputRange], chosen: Plan, *, samples: int, seed: int
) -> Iterator[Batch]:
    """``samples`` random samples, then the edges.

    Where the batch is open, the first sample runs alone and the others together; a second set of sizes takes a
    quarter of them. Where it is fixed, each run is one full batch, and the last one may exceed ``samples``.
    """
    rng = np.random.default_rng(seed)
    first = 0
    for count, shapes in _runs(chosen, samples):
        concrete = _with_batch(shapes, chosen.open_batch, count)
        feeds = {e.tensor: _draw(e, ranges[e.tensor], concrete[e.tensor], rng) for e in inputs}
        size = count if chosen.open_batch else chosen.batch
        yield Batch("random", tuple(f"random {i}" for i in range(first, first + size)), feeds)
        first += size
    yield from _edge_batches(inputs, ranges, chosen)


def _runs(chosen: Plan, samples: int) -> Iterator[tuple[int, Mapping[str, tuple[int, ...]]]]:
    """How many samples to run at once, and in which shapes."""
    left = samples
    first, *others = chosen.shapes
    if not chosen.open_batch:
        for index in range(-(-samples // chosen.batch)):
            yield 1, chosen.shapes[index % len(chosen.shapes)]
        return
    yield 1, first
    left -= 1
    for shapes in others:
        if count := min(left, max(samples // 4, 1)):
            yield count, shapes
            left -= count
    if left:
        yield left, first


def _edge_batches(inputs: Sequence[Endpoint], ranges: Mapping[str, InputRange], chosen: Plan) -> Iterator[Batch]:
    """Every edge once, as many in one run as its batch holds; a larger fixed batch repeats them."""
    count = len(EDGES) if chosen.open_batch else chosen.batch
    shapes = _with_batch(chosen.shapes[0], chosen.open_batch, count)
    for start in range(0, len(EDGES), count):
        kinds = tuple(EDGES[(start + i) % len(EDGES)] for i in range(count))
        feeds = {}
        for endpoint in inputs:
            shape, values = shapes[endpoint.tensor], ranges[endpoint.tensor]
            if shape and shape[0] == count:
                feeds[endpoint.tensor] = np.stack([_edge(endpoint, values, shape[1:], kind) for kind in kinds])
            else:
                feeds[endpoint.tensor] = _edge(endpoint, values, shape, kinds[0])
        yield Batch("edges", kinds, feeds, edge=True)


def _draw(endpoint: Endpoint, chosen: InputRange, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    return chosen.draw(shape, rng, element_type(endpoint))


def _edge(endpoint: Endpoint, chosen: InputRange, shape: tuple[int, ...], kind: str) -> Array:
    if chosen.kind == "text":
        return _text_edge(chosen.words, shape, kind)
    whole = chosen.kind in ("integer", "bool")
    top = chosen.high - 1 if whole else chosen.high
    values = np.full(shape, float(np.clip(0.0, chosen.low, top) if whole else 0.0))
    if kind == "constant":
        values[...] = top
    elif kind == "large":
        values[...] = top if whole else 10 * max(abs(chosen.low), abs(chosen.high))
    elif kind == "one hot channel" and values.ndim:
        values[..., -1] = top
    return values.astype(element_type(endpoint))


def _text_edge(words: Sequence[str], shape: tuple[int, ...], kind: str) -> Array:
    values = np.full(shape, words[0], object)
    if kind == "constant":
        values[...] = words[-1]
    elif kind == "large":
        values[...] = max(words, key=len)
    elif values.ndim:
        values[..., -1:] = words[-1] if kind == "one hot channel" else words[0]
    return values


def element_type(endpoint: Endpoint) -> np.dtype:
    """The numpy dtype of an input's samples; handles are refused, they cannot be drawn."""
    if endpoint.dtype.numpy is None:
        raise VerificationError(
            f"no samples can be drawn for input {endpoint.name} of type {endpoint.dtype}",
            hint="give samples of your own (--data)",
        )
    return endpoint.dtype.numpy
