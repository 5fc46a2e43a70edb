"""Ragged tensors, made dense or sparse, gathered from, and counted up."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

SPLITS = np.int64([0, 2, 2, 5, 6])


@pytest.mark.parametrize("shape", [None, [None, 2], [6, None], [3, 4]])
def test_ragged_tensor_is_made_dense(shape):
    def build(values, splits):
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(-1.0, shape=shape)

    more = {"v": random(4), "s": np.int64([0, 0, 4])}
    assert_lowers(build, {"v": random(6), "s": SPLITS}, *([more] if shape is None else []), dynamic=True)


def test_ragged_tensor_of_tensors_is_made_dense():
    def build(values, splits):
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False).to_tensor(0.5)

    assert_lowers(build, {"v": random(6, 3), "s": SPLITS.astype(np.int32)}, shapes={"v": (None, 3), "s": (None,)})


def test_nested_ragged_tensor_is_made_dense_and_sparse():
    def build(values, inner, outer):
        ragged = tf.RaggedTensor.from_nested_row_splits(values, [outer, inner], validate=False)
        sparse = ragged.to_sparse()
        return ragged.to_tensor(), sparse.indices, sparse.values, sparse.dense_shape

    assert_lowers(build, {"v": random(6), "inner": SPLITS, "outer": np.int64([0, 1, 4])}, dynamic=True)


def test_ragged_tensor_is_made_dense_when_the_row_of_each_value_is_told():
    def build(values, rows):
        return tf.RaggedTensor.from_value_rowids(values, rows, nrows=5, validate=False).to_tensor()

    assert_lowers(build, {"v": random(6), "r": np.int64([0, 0, 2, 2, 2, 4])}, dynamic=True)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_ragged_range_is_the_same(dtype):
    def build(start, limit, delta):
        return [*raw.RaggedRange(starts=start, limits=limit, deltas=delta)]

    feeds = {
        "a": np.array([2, 5, 8, 0], dtype),
        "b": np.array([3, 5, 12, 7], dtype),
        "c": np.array([1, 1, 2, 3], dtype),
    }
    assert_lowers(build, feeds, dynamic=True)
    assert_lowers(build, {**feeds, "a": np.array(9, dtype), "c": np.array(-2, dtype)})


def test_rows_are_gathered():
    def build(values, splits, indices):
        ragged = tf.RaggedTensor.from_row_splits(values, splits, validate=False)
        picked = tf.gather(ragged, indices)
        return picked.values, picked.row_splits

    assert_lowers(build, {"v": random(6), "s": SPLITS, "i": np.int64([2, 0, 2, 1])}, dynamic=True)


# Several levels, tensors as values

OUTER, INNER = np.int64([0, 1, 1, 3]), np.int64([0, 2, 2, 5])


@pytest.mark.parametrize("indices", [np.int32([2, 0, 2]), np.int64([[1, 2], [0, 0]]), np.int32([[[2]]])])
def test_rows_of_several_levels_are_gathered(indices):
    def build(outer, inner, values, indices):
        ragged = tf.RaggedTensor.from_nested_row_splits(values, [outer, inner])
        rows = tf.gather(ragged, indices)
        return [*rows.nested_row_splits, rows.flat_values]

    words = np.array([["a", "b"], ["c", ""], ["d", "ä"], ["e", "f"], ["g", "h"]], object)
    for values in (random(5), random(5, 2), words):
        assert_lowers(build, {"o": OUTER, "s": INNER, "v": values, "i": indices}, opsets=(13, 18))


def test_tensors_as_values_become_places():
    def build(splits, values):
        sparse = tf.RaggedTensor.from_row_splits(values, splits).to_sparse()
        return [sparse.indices, sparse.values, sparse.dense_shape]

    raw_build = lambda splits, values: [  # noqa: E731
        *raw.RaggedTensorToSparse(rt_nested_splits=[splits], rt_dense_values=values)
    ]
    assert_lowers(build, {"s": INNER, "v": random(5)}, dynamic=True)
    assert_lowers(raw_build, {"s": INNER, "v": random(5, 2, 3)}, dynamic=True)


def test_complex_rows_become_a_tensor():
    def build(splits, real, imaginary):
        ragged = tf.RaggedTensor.from_row_splits(tf.complex(real, imaginary), splits)
        results = [ragged.to_tensor(), ragged.to_tensor(1 - 2j, shape=[None, 2])]
        return [part for result in results for part in (tf.math.real(result), tf.math.imag(result))]

    assert_lowers(build, {"s": INNER, "a": random(5), "b": random(5, seed=1)})


@pytest.mark.parametrize("batched", [False, True])
def test_ragged_tensor_is_packed_and_unpacked(batched):
    def build(splits, values):
        packed = raw.RaggedTensorToVariant(rt_nested_splits=[splits], rt_dense_values=values, batched_input=batched)
        (again,), unpacked = raw.RaggedTensorFromVariant(
            encoded_ragged=packed,
            input_ragged_rank=0 if batched else -1,
            output_ragged_rank=1,
            Tvalues=tf.float32,
            Tsplits=tf.int64,
        )
        return [again + 1, unpacked * 2]

    model = assert_lowers(build, {"s": INNER, "v": random(5)}, shapes={"s": (None,), "v": (None,)})
    assert {node.op_type for node in model.graph.node} == {"Add", "Mul"}
