"""Graphs of every kind of interface: what is fed, in which shapes, and that the comparison is never empty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from bnfold.errors import VerificationError
from bnfold.export import export
from bnfold.verify import verify

KERNEL = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
TABLE = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A graph over its placeholders, and the shapes that its first input is to be run in."""

    build: Callable[..., Any]
    inputs: dict[str, tuple[str, Any]]
    shapes: set[tuple[int, ...]]
    notes: tuple[str, ...] = field(default=())


def _f32(*shape: int | None) -> tuple[str, Any]:
    return "float32", shape


CASES = {
    "no input": Case(lambda tf: tf.constant([1.0, 2.0]), {}, set()),
    "a scalar": Case(lambda tf, x: x * 2.0, {"x": _f32()}, {()}),
    "a vector": Case(lambda tf, x: tf.tanh(x), {"x": _f32(None)}, {(1,), (7,), (4,)}),
    "a scalar output": Case(lambda tf, x: tf.reduce_mean(x), {"x": _f32(None, 4)}, {(1, 4), (7, 4), (4, 4)}),
    "integers": Case(lambda tf, x: x + 3, {"x": ("int32", (None, 4))}, {(1, 4), (7, 4), (4, 4)}),
    "bools": Case(lambda tf, x: tf.cast(x, tf.float32), {"x": ("bool", (None, 4))}, {(1, 4), (7, 4), (4, 4)}),
    "bytes": Case(
        lambda tf, x: tf.cast(x, tf.float32) / 255.0, {"x": ("uint8", (None, 4))}, {(1, 4), (7, 4), (4, 4)}, ("bytes",)
    ),
    "words": Case(
        lambda tf, x: tf.reduce_mean(tf.gather(TABLE, x), 1), {"x": ("int64", (None, None))},
        {(1, 32), (2, 48), (5, 32), (4, 32)}, ("looks up 50 rows",),
    ),
    "a root": Case(
        lambda tf, x: tf.sqrt(x), {"x": _f32(None, 4)}, {(1, 4), (7, 4), (4, 4)}, ("uniform in [0, 1)", "NaN")
    ),
    "batch 1 alone": Case(lambda tf, x: tf.reshape(x, [1, 2, 2]), {"x": _f32(None, 4)}, {(1, 4)}, ("batch 1 alone",)),
    "batch 3": Case(lambda tf, x: tf.nn.relu(x), {"x": _f32(3, 4)}, {(3, 4)}),
    "two inputs": Case(
        lambda tf, x, z: tf.concat([x, z], 1), {"x": _f32(None, 4), "z": _f32(None, 3)}, {(1, 4), (7, 4), (4, 4)}
    ),
    "two batches": Case(
        lambda tf, x, z: tf.matmul(x, z), {"x": _f32(None, 4), "z": _f32(4, None)}, {(1, 4), (2, 4), (5, 4), (4, 4)}
    ),
    "a class": Case(lambda tf, x: tf.argmax(tf.matmul(x, KERNEL), 1), {"x": _f32(None, 4)}, {(1, 4), (7, 4), (4, 4)}),
    "float64": Case(lambda tf, x: tf.tanh(x), {"x": ("float64", (None, 4))}, {(1, 4), (7, 4), (4, 4)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_graph_is_compared_whatever_its_interface(nets: Any, name: str) -> None:
    tf, case = nets.tf, CASES[name]
    with tf.Graph().as_default() as built:
        values = [tf.compat.v1.placeholder(dtype, shape, name=key) for key, (dtype, shape) in case.inputs.items()]
        tf.identity(case.build(tf, *values), name="y")
    reference = nets.inference_graph(built, [f"{key}:0" for key in case.inputs], ["y:0"])
    report = verify(reference, export(reference))
    assert report.equal, report.reasons
    assert report.samples >= 8 + 4
    assert {batch.shapes["x:0"] for batch in report.batches if batch.shapes} == case.shapes
    notes = " ".join(report.notes)
    assert all(words in notes for words in case.notes)


def test_data_dependent_shapes_are_compared(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        tf.identity(tf.boolean_mask(x, tf.reduce_sum(x, 1) > 0), name="y")
    reference = nets.inference_graph(built, ["x:0"], ["y:0"])
    report = verify(reference, export(reference))
    assert report.equal
    assert len(report.outputs[0].shapes) > 1


def test_check_is_refused_when_no_samples_can_be_drawn(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        tf.identity(tf.compat.v1.placeholder("float32", None, name="x"), name="y")
    reference = nets.inference_graph(built, ["x:0"], ["y:0"])
    with pytest.raises(VerificationError, match="no known rank") as caught:
        verify(reference, export(reference))
    assert caught.value.hint is not None
