"""Entries picked and put by their positions."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

OPSETS = (13, 16, 18)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_gather_is_the_same(axis):
    for indices in (np.int32(1), np.int64([1, 0, 1]), np.int32([[1, 0], [0, 1]])):
        feeds = {"x": random(2, 3, 4), "i": indices}
        assert_lowers(lambda x, i: tf.gather(x, i, axis=axis), feeds, opsets=(13, 18))
        assert_lowers(lambda x, i: tf.gather(x, i, axis=axis), feeds, dynamic=True)


@pytest.mark.parametrize(
    ("axis", "batch", "shape"), [(1, 1, (2, 3)), (2, 1, (2, 3)), (2, 2, (2, 3, 2)), (3, 1, (2, 3, 2))]
)
def test_gather_is_the_same_when_batches_go_together(axis, batch, shape):
    indices = np.random.default_rng(0).integers(0, 3, shape).astype(np.int32)
    feeds = {"x": random(2, 3, 4, 5), "i": indices}
    assert_lowers(lambda x, i: tf.gather(x, i, axis=axis, batch_dims=batch), feeds)
    assert_lowers(lambda x, i: tf.gather(x, i, axis=axis, batch_dims=batch), feeds, dynamic=True)


@pytest.mark.parametrize("indices", [[[1], [0]], [[1, 2], [0, 0]], [[[1, 2, 3]], [[0, 1, 0]]]])
def test_gather_nd_is_the_same(indices):
    indices = np.array(indices, np.int32)
    feeds = {"x": random(2, 3, 4), "i": indices}
    assert_lowers(
        lambda x, i: tf.gather_nd(x, i),
        feeds,
        shapes={"x": (None, None, 4), "i": (None,) * (indices.ndim - 1) + indices.shape[-1:]},
    )


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "bool", "float16", "float64"])
def test_gather_is_the_same_whatever_the_dtype(dtype):
    x = random(4, 3, low=0, high=2).astype(dtype)
    assert_lowers(lambda x, i: [tf.gather(x, i), tf.gather_nd(x, i[:, None])], {"x": x, "i": np.int32([3, 0])})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_scatter_adds_up_what_falls_in_one_place(dtype):
    feeds = {"i": np.int32([[0], [2], [0]]), "u": random(3, 4, dtype=dtype)}
    assert_lowers(lambda i, u: tf.scatter_nd(i, u, [5, 4]), feeds, shapes={"i": (None, 1)}, opsets=OPSETS)
    shapes = {"i": (None, 1), "u": (None, None), "s": (2,)}
    assert_lowers(
        lambda i, u, s: tf.scatter_nd(i, u, s), {**feeds, "s": np.int32([5, 4])}, shapes=shapes, opsets=OPSETS
    )


@pytest.mark.parametrize("op", ["Add", "Sub", "Max", "Min", "Update"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_tensor_scatter_is_the_same(op, dtype):
    def build(x, i, u):
        return getattr(raw, f"TensorScatter{op}")(tensor=x, indices=i, updates=u)

    count = 2 if op == "Update" else 3  # which of two updates of one place wins is left open
    x, updates = random(5, 4, seed=4, dtype=dtype), random(3, 4, dtype=dtype)
    deep = {"x": x, "i": np.int32([[0, 1], [2, 3], [0, 1]])[:count], "u": updates[:count, 0]}
    assert_lowers(build, deep, shapes={"i": (None, 2)}, opsets=OPSETS)
    assert_lowers(build, {"x": x, "i": np.int32([[0], [2], [0]])[:count], "u": updates[:count]}, opsets=OPSETS)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.int64, np.bool_, np.int16])
def test_one_hot_is_the_same(dtype):
    indices = np.array([[0, 2, -1], [4, 5, 1]], np.int32)
    for axis in (-1, 0, 1):
        build = lambda i: tf.one_hot(i, 5, np.array(1, dtype), np.array(0, dtype), axis=axis)  # noqa: E731, B023
        assert_lowers(build, {"i": indices}, dynamic=True)
    feeds = {"i": indices.astype(np.int64), "d": np.int32(4), "on": np.array(3, dtype), "off": np.array(1, dtype)}
    assert_lowers(lambda i, d, on, off: tf.one_hot(i, d, on, off), feeds, {**feeds, "d": np.int32(1)})


@pytest.mark.parametrize("kind", ["float32", "str"])
def test_gather_is_the_same_when_the_axis_is_computed(kind):
    x = random(3, 4, 5).astype(kind).astype(object if kind == "str" else kind)
    build = lambda x, i, axis: tf.ensure_shape(tf.gather(x, i, axis=axis), (None,) * 4)  # noqa: E731
    feeds = {"x": x, "i": np.int32([[2, 0], [1, 1]]), "axis": np.int32(1)}
    assert_lowers(build, feeds, {**feeds, "axis": np.int32(-1)}, {**feeds, "axis": np.int32(0)}, dynamic=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_whole_rows_of_strings_are_gathered(axis):
    """onnxruntime 1.31's Gather gives the first string of each and leaves the others empty."""
    x = np.array([f"{i}ä" for i in range(24)], object).reshape(2, 3, 4)
    build = lambda x, i: [tf.gather(x, i, axis=axis), tf.gather(x, 1, axis=axis), x[:, 1], x[1]]  # noqa: E731
    assert_lowers(build, {"x": x, "i": np.int32([[1, 0]])}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_narrow_positions_are_gathered(dtype):
    feeds = {"x": random(3, 2), "i": np.array([2, 0], dtype)}
    if dtype == "int16":
        assert_lowers(lambda x, i: tf.raw_ops.GatherV2(params=x, indices=i, axis=0), feeds)
    else:
        assert_lowers(lambda x, i: tf.gather(x, tf.cast(i, tf.int32)), feeds)


def test_one_entry_of_each_row_is_gathered_when_all_axes_of_the_positions_are_of_the_batch():
    feeds = {"x": random(2, 3), "i": np.int32([2, 0])}
    assert_lowers(lambda x, i: tf.gather(x, i, axis=1, batch_dims=1), feeds, dynamic=True)


@pytest.mark.parametrize("op", ["ScatterNd", "TensorScatterUpdate", "TensorScatterAdd"])
def test_scatter_is_refused_when_it_leaves_out_indices_that_there_are_not(op):
    def build(x):
        given = {"indices": [[1], [9]], "updates": x[:2], "bad_indices_policy": "IGNORE"}
        return getattr(tf.raw_ops, op)(**given, **({"shape": [4]} if op == "ScatterNd" else {"tensor": x}))

    with pytest.raises(ExportError, match="leaves out indices"):
        assert_lowers(build, {"x": random(4)})
