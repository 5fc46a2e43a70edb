"""Ops that TensorFlow no longer writes itself, and those that hand their input on."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

X = random(2, 4, 6, 5)
STATISTICS = {
    "scale": random(5, seed=1),
    "offset": random(5, seed=2),
    "mean": random(5, seed=3),
    "variance": np.abs(random(5, seed=4)) + 0.1,
}
OPS = {
    "SpaceToBatch": lambda x: raw.SpaceToBatch(input=x, paddings=[[1, 1], [0, 0]], block_size=2),
    "BatchToSpace": lambda x: raw.BatchToSpace(input=tf.tile(x, [2, 1, 1, 1]), crops=[[1, 0], [0, 1]], block_size=2),
    "BiasAddV1": lambda x: raw.BiasAddV1(value=x, bias=STATISTICS["offset"]),
    "FusedBatchNorm": lambda x: raw.FusedBatchNorm(x=x, **STATISTICS, is_training=False).y,
    "FusedBatchNormV2": lambda x: raw.FusedBatchNormV2(x=x, **STATISTICS, is_training=False).y,
    "Gather": lambda x: raw.Gather(params=x, indices=[[1, 0], [0, 0]]),
    "BatchMatMul": lambda x: raw.BatchMatMul(x=x, y=x, adj_y=True),
    "L2Loss": lambda x: raw.L2Loss(t=x),
    "Rank": lambda x: raw.Rank(input=x),
    "CheckNumerics": lambda x: raw.CheckNumerics(tensor=x, message="no"),
    "PreventGradient": lambda x: raw.PreventGradient(input=x),
    "StopGradient": tf.stop_gradient,
    "Snapshot": lambda x: raw.Snapshot(input=x),
    "PlaceholderWithDefault": lambda x: x + raw.PlaceholderWithDefault(input=[2.0] * 5, shape=[5]),
}


@pytest.mark.parametrize("op", OPS)
def test_op_is_the_same(op):
    """Sums of up to 240 products, and a batch norm written as one product and one sum."""
    assert_lowers(OPS[op], {"x": X}, rtol=1e-5, atol=1e-6)
    assert_lowers(OPS[op], {"x": X}, shapes={"x": (None, None, None, 5)}, rtol=1e-5, atol=1e-6)
