"""Tensors put together and taken apart."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_is_the_same(axis):
    shapes = [[2, 3, 4], [2, 3, 4]]
    shapes[1][axis] = 5
    feeds = {"x": random(*shapes[0]), "y": random(*shapes[1], seed=1)}

    def build(x, y):
        return [tf.concat([x, y, x], axis), raw.Concat(concat_dim=axis, values=[y, x]), tf.concat([x], axis)]

    assert_lowers(build, feeds)
    assert_lowers(build, feeds, dynamic=True)


@pytest.mark.parametrize("kind", ["float32", "complex64", "str"])
def test_tensors_are_put_together_and_taken_apart_when_the_axis_is_computed(kind):
    x = random(4, 6, 2).astype(kind).astype(object if kind == "str" else kind)

    def build(x, axis, sizes):
        results = [tf.concat([x, x[:, :, ::-1]], axis), *tf.split(x, 2, axis), *tf.split(x, sizes, axis, num=2)]
        return [tf.ensure_shape(result, (None,) * 3) for result in results]

    feeds = {"x": x, "axis": np.int32(1), "sizes": np.int32([5, -1])}
    others = [{**feeds, "axis": np.int32(-3), "sizes": np.int32([1, 3])}]
    others.append({**feeds, "axis": np.int32(-1), "sizes": np.int32([1, 1])})
    if kind != "complex64":
        assert_lowers(build, feeds, *others, dynamic=True, opsets=(13, 18))
    else:
        real = lambda x, *rest: [tf.math.real(y) + tf.math.imag(y) for y in build(tf.complex(x, -x), *rest)]  # noqa: E731
        feeds, *others = ({**feed, "x": random(4, 6, 2)} for feed in (feeds, *others))
        assert_lowers(real, feeds, *others, dynamic=True)


def test_tensors_are_put_together_side_by_side():
    feeds = {"x": random(1, 3), "y": random(1, 3, seed=1)}
    assert_lowers(lambda x, y: tf.raw_ops.ParallelConcat(values=[x, y], shape=[2, 3]), feeds)


def test_strings_are_taken_apart():
    x = np.array([["a", "bc", "", "d"], ["e", "f", "g", "ä"]], object)
    assert_lowers(lambda x: [*tf.unstack(x), *tf.unstack(x, axis=1)], {"x": x}, opsets=(13, 18))


@pytest.mark.parametrize("dtype", ["int8", "bool", "float16", "uint64"])
def test_tensors_of_any_dtype_are_put_together_and_taken_apart(dtype):
    x = random(4, 6, low=0, high=2).astype(dtype)
    assert_lowers(lambda x: [tf.concat([x, x], 0), tf.stack([x, x], 1), *tf.split(x, 3, 1), *tf.unstack(x)], {"x": x})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split_is_the_same(axis):
    x = random(6, 6, 6)
    assert_lowers(lambda x: [*tf.split(x, 3, axis), *tf.split(x, 1, axis)], {"x": x}, opsets=(13, 18))
    assert_lowers(lambda x: tf.split(x, 3, axis), {"x": x}, {"x": random(3, 9, 12)}, dynamic=True)
    for sizes in ([1, 2, 3], [4, 0, 2], [1, -1, 2]):
        assert_lowers(lambda x, sizes=sizes: tf.split(x, sizes, axis), {"x": x}, opsets=(13, 18))
        assert_lowers(lambda x, sizes=sizes: tf.split(x, sizes, axis), {"x": x}, dynamic=True)


def test_split_is_the_same_when_sizes_are_computed():
    feeds = {"x": random(6, 4), "sizes": np.int32([1, -1, 2])}
    build = lambda x, sizes: tf.split(x, sizes, 0, num=3)  # noqa: E731
    assert_lowers(build, feeds, {**feeds, "sizes": np.int32([2, 2, 2])}, dynamic=True)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_stack_is_the_same(axis):
    feeds = {"x": random(2, 3), "y": random(2, 3, seed=1)}
    assert_lowers(lambda x, y: [tf.stack([x, y, x], axis), tf.stack([x], axis)], feeds, dynamic=True)
    assert_lowers(lambda x, y: tf.stack([x, y, random(2, 3, seed=2)], axis), feeds)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack_is_the_same(axis):
    x = random(2, 3, 4)
    count = x.shape[axis]
    assert_lowers(lambda x: [2 * part for part in tf.unstack(x, count, axis)], {"x": x})
    assert_lowers(lambda x: tf.unstack(x, count, axis)[1], {"x": x}, dynamic=True)
    assert_lowers(lambda x: tf.unstack(x, 1, axis), {"x": random(1, 1, 1)})


def test_branches_of_convolutions_meet_without_a_transpose():
    def build(x):
        y = tf.nn.conv2d(x, random(1, 1, 4, 6), 1, "SAME")
        a, b = tf.split(y, 2, 3)
        c = tf.nn.conv2d(tf.concat([b, a, x], -1), random(1, 1, 10, 3, seed=1), 1, "SAME")
        return tf.concat([c, tf.zeros_like(c)], 1)

    shapes = {"x": (None, None, None, 4)}
    model = assert_lowers(build, {"x": random(2, 5, 7, 4)}, {"x": random(1, 6, 8, 4)}, shapes=shapes)
    assert op_types(model).count("Transpose") <= 2


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_places_in_a_concatenation_are_the_same(dtype):
    first, second = np.array([2, 3, 4], dtype), np.array([2, 5, 4], dtype)

    def build(axis, a, b):
        places = [tf.raw_ops.ConcatOffset(concat_dim=at, shape=[a, b, a]) for at in (axis, 1, -2)]
        return [*(place for each in places for place in each), *tf.raw_ops.ConcatOffset(concat_dim=1, shape=[a, b])]

    feeds = {"axis": np.array(1, np.int32), "a": first, "b": second}
    assert_lowers(build, feeds)
    assert_lowers(build, feeds, dynamic=True)


def test_what_is_empty_is_split():
    assert_lowers(lambda x: [*tf.split(x, 2, 0), *tf.split(x, 3, -1)], {"x": random(0, 3)}, opsets=(13, 18))
