"""The samples for a graph: the user's, or random ones in shapes and ranges that the graph takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Shape
from bnfold.graph.stages import InferenceGraph
from bnfold.samples.batches import Batch, Feeds, element_type, plan, random_batches
from bnfold.samples.data import Data, batches_of
from bnfold.samples.ranges import InputRange, input_range


@dataclass(frozen=True)
class Chosen:
    """Samples, and what was decided to get them.

    Attributes
    ----------
    batches : iterable of Batch
        Read once.
    notes : tuple of str
        The range of each input and why; shapes that the graph does not take.
    """

    batches: Iterable[Batch]
    notes: tuple[str, ...] = ()


def choose_samples(
    reference: InferenceGraph,
    run: Callable[[Feeds], Sequence[Array]],
    *,
    shapes: Mapping[str, Shape] | None = None,
    samples: int = 8,
    seed: int = 0,
    data: Data | None = None,
) -> Chosen:
    """The samples to run ``reference`` on.

    Parameters
    ----------
    reference : InferenceGraph
    run : callable
        The graph's outputs for feeds by tensor; raises VerificationError where it does not run.
    shapes : mapping of str to Shape, optional
        By input tensor, in place of the endpoints' own.
    samples, seed : int
        Of the random samples.
    data : optional
        The user's own samples; see `bnfold.samples.data.batches_of`.

    Raises
    ------
    VerificationError
        When an input's rank is unknown, or the graph runs in none of the shapes tried.
    """
    endpoints = reference.inputs
    shapes = {e.tensor: _known(e.name, e.shape) for e in endpoints} if shapes is None else shapes
    ranges = {endpoint.tensor: input_range(reference, endpoint) for endpoint in endpoints}
    if data is not None:
        return Chosen(batches_of(data, endpoints, shapes, ranges))
    rng = np.random.default_rng(seed)
    nan = False

    def refusal(concrete: Mapping[str, tuple[int, ...]]) -> str | None:
        nonlocal nan
        feeds = {e.tensor: ranges[e.tensor].draw(concrete[e.tensor], rng, element_type(e)) for e in endpoints}
        try:
            values = run(feeds)
        except VerificationError as error:
            return error.message
        nan = nan or any(value.dtype.kind == "f" and bool(np.isnan(value).any()) for value in values)
        return "an output is empty" if any(value.size == 0 for value in values) else None

    chosen = plan(shapes, refusal)
    if nan:  # a logarithm or a root that takes no negative numbers
        reason = "normal samples make TensorFlow itself give NaN"
        fractions = InputRange("uniform", 0.0, 1.0, reason)
        ranges |= {name: fractions for name, found in ranges.items() if found.kind == "normal"}
    notes = [*chosen.notes, *(f"{e.name}: {ranges[e.tensor]} ({ranges[e.tensor].reason})" for e in endpoints)]
    return Chosen(random_batches(endpoints, ranges, chosen, samples=samples, seed=seed), tuple(notes))


def _known(name: str, shape: Shape | None) -> Shape:
    if shape is None:
        raise VerificationError(f"input {name} has no known rank", hint="give its shape (--input NAME=SHAPE)")
    return shape
