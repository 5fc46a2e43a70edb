"""Sets in rows: intersections, unions, differences, sizes."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

OPERATIONS = {
    "intersection": tf.sets.intersection,
    "union": tf.sets.union,
    "difference": tf.sets.difference,
    "other difference": lambda a, b: tf.sets.difference(a, b, aminusb=False),
}
A, B = np.array([[1, 7, 3], [4, 5, 4]]), np.array([[2, 9, 7, 7], [4, 4, 0, 9]])
PLACES, VALUES = np.int64([[0, 0], [0, 2], [1, 1]]), np.int64([3, 9, 5])


def parts(result):
    return [result.indices, result.values, result.dense_shape]


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "int16"])
def test_sets_of_numbers_are_the_same(operation, dtype):
    feeds = {"a": A.astype(dtype), "b": B.astype(dtype)}
    more = {"a": feeds["a"][:, :1], "b": feeds["b"][:, :2]}
    nothing = {"a": feeds["a"][:, :0], "b": feeds["b"]}
    build = lambda a, b: parts(operation(a, b))  # noqa: E731
    assert_lowers(build, feeds, more, nothing, dynamic=True, opsets=(13, 18))


def test_sets_of_strings_and_of_several_axes_are_the_same(operation):
    words = np.array([["b", "", "ä", "b"], ["c", "a", "", "z"]], object)
    assert_lowers(lambda a, b: parts(operation(a, b)), {"a": words, "b": words[:, ::-1][:, :2]})
    rng = np.random.default_rng(3)
    deep = {"a": rng.integers(-3, 3, (2, 3, 4)), "b": rng.integers(-3, 3, (2, 3, 5))}
    assert_lowers(lambda a, b: parts(operation(a, b)), deep, dynamic=True)


def test_sets_of_sparse_tensors_are_the_same(operation):
    def with_dense(a, i, v):
        return parts(operation(a, tf.SparseTensor(i, v, [2, 3])))

    def both(j, w, i, v):
        return parts(operation(tf.SparseTensor(j, w, [2, 4]), tf.SparseTensor(i, v, [2, 3])))

    assert_lowers(with_dense, {"a": A, "i": PLACES, "v": VALUES}, dynamic=True)
    other = {"j": np.int64([[0, 0], [0, 3], [1, 0]]), "w": np.int64([1, 3, 5])}
    assert_lowers(both, {**other, "i": PLACES, "v": VALUES}, dynamic=True)


def test_sizes_of_sets_are_the_same():
    build = lambda i, v: tf.sets.size(tf.SparseTensor(i, v, [3, 3]))  # noqa: E731
    same = np.int64([4, 4, 4])
    assert_lowers(build, {"i": PLACES, "v": VALUES}, {"i": PLACES, "v": same}, shapes={"i": (None, 2), "v": (None,)})
