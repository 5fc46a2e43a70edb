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


# Order, parts, unions

PLACES = np.int64([[0, 1], [1, 0], [1, 3], [2, 2]])
SHAPE = np.int64([3, 4])
UNKNOWN = {"i": (None, None), "v": (None,), "s": (None,)}


def parts(sparse):
    return [sparse.indices, sparse.values, sparse.dense_shape]


def assert_sparse(build, *, places=PLACES, values=None, shape=SHAPE, opsets=(18,), **more):
    """With the rank known and unknown; ``build`` takes a SparseTensor, and ``more``."""
    feeds = {"i": places, "v": random(len(places)) if values is None else values, "s": shape, **more}
    known = {"i": (None, places.shape[1]), "s": (places.shape[1],)}
    model = assert_lowers(
        lambda i, v, s, *rest: build(tf.SparseTensor(i, v, s), *rest), feeds, shapes=known, opsets=opsets
    )
    ranks = [len(output.type.tensor_type.shape.dim) for output in model.graph.output]

    def with_ranks(i, v, s, *rest):
        results = build(tf.SparseTensor(i, v, s), *rest)
        results = results if isinstance(results, list) else [results]
        return [tf.ensure_shape(result, (None,) * rank) for result, rank in zip(results, ranks, strict=True)]

    assert_lowers(with_ranks, feeds, shapes=UNKNOWN, opsets=opsets)


def test_sparse_tensor_is_put_in_order():
    assert_sparse(lambda x: parts(tf.sparse.reorder(x)), places=PLACES[[2, 0, 3, 1]])
    assert_sparse(lambda x: parts(tf.sparse.transpose(x, [1, 0])), values=np.array(["a", "", "c", "d"], object))
    deep = np.int64([[1, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert_sparse(lambda x: parts(tf.sparse.reorder(x)), places=deep, shape=np.int64([2, 2, 2]))


@pytest.mark.parametrize(("start", "size"), [((0, 1), (2, 3)), ((1, 0), (9, 3)), ((2, 0), (1, 2)), ((1, 0), (0, 4))])
def test_sparse_tensor_is_cut(start, size):
    assert_sparse(lambda x: parts(tf.sparse.slice(x, start, size)))


def test_sparse_tensor_is_cut_when_the_cut_is_fed():
    a, b = np.int64([1, 0]), np.int64([2, 3])
    assert_sparse(lambda x, a, b: parts(tf.sparse.slice(x, a, b)), a=a, b=b, values=np.arange(4, dtype=np.int32))


@pytest.mark.parametrize(("count", "axis"), [(2, 1), (3, 1), (3, 0), (2, -1)])
def test_sparse_tensor_is_split(count, axis):
    def build(x):
        return [part for piece in tf.sparse.split(x, count, axis=axis) for part in parts(piece)]

    assert_sparse(build)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparse_tensors_are_put_together(axis):
    assert_sparse(lambda x: parts(tf.sparse.concat(axis, [x, x.with_values(x.values * 2), x])))


OTHER = np.int64([[0, 1], [1, 1], [2, 2]])


@pytest.mark.parametrize("threshold", [0, 0.5, 100])
def test_sparse_tensors_are_added(threshold):
    def build(x, i, v):
        return parts(tf.sparse.add(x, tf.SparseTensor(i, v, x.dense_shape), threshold=threshold))

    assert_sparse(build, j=OTHER, w=np.float32([0.25, -3, 2]), values=np.float32([0.125, 1, -2, 1.5]), opsets=(13, 18))


def test_larger_and_smaller_of_sparse_tensors_are_taken():
    def build(x, i, v):
        y = tf.SparseTensor(i, v, x.dense_shape)
        return [*parts(tf.sparse.maximum(x, y)), tf.sparse.minimum(x, y).values]

    assert_sparse(build, j=OTHER, w=random(3, seed=5))
    assert_sparse(build, j=OTHER, w=np.int32([4, -1, -7]), values=np.int32([3, -2, 0, 5]))


# Algebra


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("a", [False, True])
@pytest.mark.parametrize("b", [False, True])
def test_product_with_a_sparse_tensor_is_the_same(a, b, dtype):
    dense = random(3 if a else 4, 5, dtype=dtype)
    values = random(4, dtype=dtype, seed=2)
    build = lambda x, y: tf.sparse.sparse_dense_matmul(x, y, adjoint_a=a, adjoint_b=b)  # noqa: E731
    assert_sparse(build, y=dense.T.copy() if b else dense, values=values, opsets=(13, 18))


def test_dense_tensor_is_added_to_and_multiplied_with_a_sparse_one():
    def build(x, y, row):
        return [tf.sparse.add(x, y), *parts(x * y), (x * row).values, (x / row).values]

    assert_sparse(build, y=random(3, 4), row=random(4, seed=3), opsets=(13, 18))
    places = np.int64([[0, 1], [2, 3]])
    assert_lowers(
        lambda v, d: raw.SparseDenseCwiseAdd(sp_indices=places, sp_values=v, sp_shape=[3, 4], dense=d),
        {"v": random(2), "d": random(4, seed=1)},
    )


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, [0, 1]])
def test_sparse_tensor_is_reduced(axis, keep):
    def build(x):
        places, values, shape = parts(x)
        return [
            tf.sparse.reduce_sum(x, axis=axis, keepdims=keep),
            tf.compat.v1.sparse_reduce_max(tf.SparseTensor(places, values, shape), axis=axis, keepdims=keep),
        ]

    assert_sparse(build, values=np.float32([-1, -2, 3, -4]))
    assert_sparse(build, values=np.int32([-1, -2, 3, -4]))


def test_sparse_tensor_is_reduced_to_a_sparse_one():
    def build(x):
        sums = tf.sparse.reduce_sum(x, axis=1, output_is_sparse=True)
        return parts(sums)

    feeds = {"i": PLACES, "v": random(4), "s": SHAPE}
    assert_lowers(lambda i, v, s: build(tf.SparseTensor(i, v, s)), feeds, shapes={"i": (None, 2), "s": (2,)})


def test_softmax_of_a_sparse_tensor_is_the_same():
    assert_sparse(lambda x: parts(tf.sparse.softmax(x)), opsets=(13, 18))
    deep = np.int64([[0, 1, 0], [0, 1, 2], [1, 0, 1]])
    assert_sparse(lambda x: parts(tf.sparse.softmax(x)), places=deep, shape=np.int64([2, 2, 3]))
