"""Sparse tensors, and a little algebra."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


def test_sparse_tensor_is_made_dense():
    def build(indices, values):
        return raw.SparseToDense(sparse_indices=indices, output_shape=[4, 5], sparse_values=values, default_value=2.0)

    assert_lowers(build, {"i": np.int32([[0, 1], [2, 3]]), "v": random(2)}, shapes={"i": (None, 2)})

    def vector(indices, shape):
        return raw.SparseToDense(sparse_indices=indices, output_shape=shape, sparse_values=1, default_value=0)

    assert_lowers(vector, {"i": np.int64([1, 3]), "s": np.int64([5])}, shapes={"i": (None,)})


def test_sparse_tensor_is_reshaped():
    def build(indices, shape):
        return [*raw.SparseReshape(input_indices=indices, input_shape=shape, new_shape=[2, -1, 3])]

    feeds = {"i": np.int64([[0, 1], [2, 3], [3, 5]]), "s": np.int64([4, 6])}
    assert_lowers(build, feeds, {**feeds, "s": np.int64([5, 6])}, shapes={"i": (None, 2), "s": (2,)})


def test_empty_rows_of_a_sparse_tensor_are_filled():
    def build(indices, values, shape):
        return [*raw.SparseFillEmptyRows(indices=indices, values=values, dense_shape=shape, default_value=-1.0)]

    feeds = {"i": np.int64([[0, 1], [2, 3], [2, 4], [4, 0]]), "v": random(4), "s": np.int64([6, 5])}
    full = {**feeds, "i": np.int64([[1, 0], [0, 2], [1, 1], [0, 4]]), "s": np.int64([2, 5])}
    assert_lowers(build, feeds, shapes={"i": (None, 2), "s": (2,)})
    assert_lowers(build, {**full, "i": np.sort(full["i"], axis=0)}, shapes={"i": (None, 2), "s": (2,)})


def test_lookup_of_sparse_ids_is_the_same():
    table, weights = random(7, 3), np.float32([0.5, 2, 1, 3])

    def build(ids):
        places = np.int64([[0, 0], [0, 1], [2, 0], [3, 1]])
        sparse = tf.SparseTensor(places, ids, np.int64([4, 2]))
        return [
            tf.compat.v1.nn.embedding_lookup_sparse(table, sparse, None, combiner="mean"),
            tf.compat.v1.nn.embedding_lookup_sparse(table, sparse, sparse.with_values(weights), combiner="sum"),
        ]

    assert_lowers(build, {"ids": np.int64([5, 0, 0, 6])}, {"ids": np.int64([1, 2, 3, 4])})


def test_determinant_is_the_same():
    assert_lowers(lambda x: tf.linalg.det(x), {"x": random(2, 3, 4, 4)}, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_cross_product_is_the_same(dtype):
    feeds = {"x": random(2, 3, dtype=dtype), "y": random(2, 3, dtype=dtype, seed=1)}
    assert_lowers(lambda x, y: tf.linalg.cross(x, y), feeds)
