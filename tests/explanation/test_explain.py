"""`explain` on graphs: the formula beside what TensorFlow computes, in both modes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnfold.errors import InferenceError
from bnfold.explanation import Explanation, explain
from bnfold.graph.stages import BatchNorm, SourceModel

X = -0.03182551
MEAN, VARIANCE, BETA = np.float32([-0.0013569, 0.5]), np.float32([4.48082483e-06, 2.0]), np.float32([0.04061257, -1.0])
BATCH = np.random.default_rng(4).normal(0.02, 0.3, (6, 3, 4, 2)).astype(np.float32)
BATCH[0, 0, 0, 0] = X


def _norm(x: Any, tf: Any, training: bool) -> Any:
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=np.ones(2, np.float32), offset=BETA, mean=[] if training else MEAN,
        variance=[] if training else VARIANCE, epsilon=0.001, is_training=training, name="conv/BatchNorm",
    ).y  # fmt: skip


def _graphs(nets: Any) -> tuple[Any, SourceModel]:
    """A layer saved with ``is_training=True``, and its inference graph."""
    tf = nets.tf
    built = {}
    for training in (False, True):
        with tf.Graph().as_default() as built[training]:
            x = tf.compat.v1.placeholder(tf.float32, (None, 3, 4, 2), name="x")
            tf.nn.relu(_norm(x, tf, training), name="y")
    norm = BatchNorm(
        "conv/BatchNorm", "FusedBatchNormV3", "is_training=True", "x:0", "conv/BatchNorm:0", ("conv/BatchNorm",), 3,
        None, BETA, MEAN, VARIANCE, 0.001, {"beta": "conv/BatchNorm/beta"}, ("update op",),
    )  # fmt: skip
    saved = nets.from_graph_def(built[True].as_graph_def())
    source = SourceModel(Path("model.ckpt"), "checkpoint", "model.ckpt", saved, {})
    return replace(nets.inference_graph(built[False], ["x:0"], ["y:0"]), batch_norms=(norm,)), source


@pytest.fixture(scope="module")
def explained(nets: Any) -> Explanation:
    reference, source = _graphs(nets)
    return explain(reference, "conv/BatchNorm", source=source, values=[X, 0.25], data=BATCH)


def test_inference_is_the_published_value_whatever_the_saved_graph_gives(explained: Explanation) -> None:
    row = explained.rows[0]
    assert row.inference == pytest.approx(-0.920738, abs=2e-6)
    assert row.graph == pytest.approx(row.inference, rel=1e-6)
    assert row.saved is not None
    assert row.saved == pytest.approx(row.training, rel=1e-5)
    assert abs(row.saved - row.inference) > 0.5


def test_training_mode_uses_the_batchs_own_moments(explained: Explanation) -> None:
    values = BATCH[..., 0].astype(np.float64)
    assert explained.batch.count == values.size
    assert explained.batch.mean == pytest.approx(values.mean(), rel=1e-9)
    assert explained.batch.variance == pytest.approx(values.var(), rel=1e-9)
    assert explained.batch.label == "6 samples of given"
    expected = (0.25 - values.mean()) / np.sqrt(values.var() + 0.001) + BETA[0]
    assert explained.rows[1].training == pytest.approx(expected, rel=1e-6)
    assert explained.rows[1].saved is None  # 0.25 is not in the batch


def test_explanation_says_what_is_unusual(explained: Explanation) -> None:
    assert "times smaller than epsilon" in explained.notes[0]
    assert explained.variables == {"beta": "conv/BatchNorm/beta"}
    assert not explained.has_gamma
    assert json.loads(json.dumps(explained.as_json()))["gamma"] is None


def test_values_are_the_batchs_extremes_when_none_are_given(nets: Any) -> None:
    reference, _ = _graphs(nets)
    found = explain(reference, "BatchNorm", channel=1, samples=4)
    xs = [row.x for row in found.rows]
    assert xs == sorted(xs)
    assert len(xs) == 3
    assert all(row.graph == pytest.approx(row.inference, rel=1e-5, abs=1e-6) for row in found.rows)
    assert found.batch.label == "4 random samples"


def test_explanation_is_of_the_channel_when_it_comes_first(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        scale, shift = np.float32([1, 2, 3, 4]), np.float32([0, 1, -1, 2])
        tf.add(tf.multiply(x, scale, name="mul"), shift, name="y")
    norm = BatchNorm(
        "bn", "unfused", "inference", "x:0", "y:0", ("mul", "y"), None, scale, shift, 0 * scale, scale**0, 0.0
    )
    reference = replace(nets.inference_graph(built, ["x:0"], ["y:0"]), batch_norms=(norm,))
    found = explain(reference, "bn", channel=2, values=[0.5])
    assert found.rows[0].inference == found.rows[0].graph == 0.5 * 3 - 1


@pytest.mark.parametrize(
    ("layer", "channel", "message"),
    [("conv/BatchNrom", 0, "no batch norm is called"), ("conv/BatchNorm", 2, "has channels 0 to 1, not 2")],
)
def test_explain_is_refused_when_there_is_no_such_layer_or_channel(
    nets: Any, layer: str, channel: int, message: str
) -> None:
    reference, _ = _graphs(nets)
    with pytest.raises(InferenceError, match=message) as caught:
        explain(reference, layer, channel=channel)
    if "called" in message:
        assert caught.value.hint == "did you mean conv/BatchNorm?"
