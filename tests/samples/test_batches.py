"""Shapes: the ones people use, and the ones that a graph takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from bnfold.errors import VerificationError
from bnfold.graph import DType
from bnfold.graph.stages import Endpoint
from bnfold.samples.batches import EDGES, plan, random_batches
from bnfold.samples.ranges import InputRange

Concrete = Mapping[str, tuple[int, ...]]


def test_two_sizes_are_chosen_where_they_are_open() -> None:
    chosen = plan({"x": (None, None, None, 3)}, lambda shapes: None)
    assert chosen.shapes == ({"x": (1, 32, 32, 3)}, {"x": (1, 48, 64, 3)})
    assert chosen.open_batch == {"x"}


def test_sizes_are_those_that_the_graph_takes() -> None:
    def runs(shapes: Concrete) -> str | None:
        return None if shapes["x"][1] == shapes["x"][2] and shapes["x"][1] % 224 == 0 else "too small"

    chosen = plan({"x": (None, None, None, 3)}, runs)
    assert [shapes["x"] for shapes in chosen.shapes] == [(1, 224, 224, 3), (1, 448, 448, 3)]


@pytest.mark.parametrize(("multiple", "batch"), [(1, 1), (4, 4), (3, 3)])
def test_batch_is_one_that_the_graph_takes(multiple: int, batch: int) -> None:
    chosen = plan({"x": (None, 5)}, lambda shapes: None if shapes["x"][0] % multiple == 0 else "not a multiple")
    assert chosen.shapes[0]["x"] == (batch, 5)
    assert chosen.batch == batch
    assert bool(chosen.open_batch) is (multiple == 1)


def test_graph_that_runs_in_no_shape_is_refused_with_tensorflows_word() -> None:
    with pytest.raises(VerificationError, match="shapes tried: no such shape") as caught:
        plan({"x": (None, None)}, lambda shapes: "no such shape")
    assert "--input NAME=SHAPE" in str(caught.value.hint)


def _batches(shape: tuple[int | None, ...], samples: int) -> list[np.ndarray]:
    end = Endpoint("x:0", "x:0", DType.named("float32"), shape)
    chosen = plan({"x:0": shape}, lambda shapes: None)
    ranges = {"x:0": InputRange("uniform", 0.0, 255.0, "")}
    return [batch.feeds["x:0"] for batch in random_batches([end], ranges, chosen, samples=samples, seed=1)]


def test_one_sample_runs_alone_and_the_edges_together() -> None:
    first, second, edges = _batches((None, 4, 3), 8)
    assert (first.shape, second.shape, edges.shape) == ((1, 4, 3), (7, 4, 3), (len(EDGES), 4, 3))
    assert not edges[0].any()
    assert (edges[1] == 255).all()
    assert (edges[2] == 2550).all()
    assert (edges[3, :, :2] == 0).all()
    assert (edges[3, :, 2] == 255).all()


@pytest.mark.parametrize(("batch", "runs", "edge_runs"), [(1, 8, 4), (3, 3, 2), (16, 1, 1)])
def test_fixed_batches_are_full(batch: int, runs: int, edge_runs: int) -> None:
    found = _batches((batch, 4), 8)
    assert [array.shape for array in found] == [(batch, 4)] * (runs + edge_runs)
    zeros = [array for array in found[runs:] if not array[0].any()]
    assert zeros  # the first edge is there, whatever the batch
