"""Slices: every mask, known and computed bounds, and the layouts around them."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

new = None
SLICES = {
    "one": np.s_[1],
    "last": np.s_[-1],
    "from": np.s_[:, 1:],
    "backward": np.s_[..., ::-1],
    "new": np.s_[:, new, ..., -1],
    "mixed": np.s_[1, new, ::-2, 1:3],
    "ellipsis between": np.s_[-1:, ..., -1, new],
    "scalar": np.s_[0, 1, 2],
    "backward part": np.s_[:, ::2, 3:0:-2],
    "backward to the start": np.s_[:, 1::-1, -1:-9:-3],
    "out of bounds": np.s_[-9:9, 1:99, 2:],
    "empty": np.s_[1:1, :, 3:1],
    "new alone": np.s_[new, ..., new],
    "new and shrink": np.s_[new, 1, new, ..., 2],
    "whole": np.s_[:, :, :],
    "ellipsis alone": np.s_[...],
    "ellipsis of nothing": np.s_[1, ..., 2, 1:],
}


@pytest.mark.parametrize("name", SLICES)
def test_strided_slice_is_the_same(name):
    item = tuple(SLICES[name]) if isinstance(SLICES[name], tuple) else SLICES[name]
    assert_lowers(lambda x: x[item], {"x": random(3, 4, 5)}, opsets=(13, 18))
    assert_lowers(lambda x: x[item], {"x": random(3, 4, 5)}, {"x": random(2, 3, 6)}, dynamic=True)


MASKS = [(0, 0, 0), (1, 2, 0), (2, 1, 0), (7, 7, 0), (0, 0, 2), (1, 4, 2), (4, 1, 1), (0, 0, 7)]


@pytest.mark.parametrize("masks", MASKS)
def test_strided_slice_is_the_same_when_bounds_are_computed(masks):
    begin, end, shrink = masks

    def build(x, b, e):
        strides = [1, -1, 2]
        return tf.strided_slice(x, b, e, strides, begin_mask=begin, end_mask=end, shrink_axis_mask=shrink)

    feeds = {"x": random(3, 4, 5), "b": np.int32([1, -1, 0]), "e": np.int32([3, 0, 4])}
    more = {**feeds, "b": np.int32([-1, 2, 1]), "e": np.int32([9, -9, -1])}
    if shrink & 2:
        build_forward = lambda x, b, e: tf.strided_slice(  # noqa: E731
            x, b, e, [1, 1, 2], begin_mask=begin, end_mask=end, shrink_axis_mask=shrink
        )
        assert_lowers(build_forward, feeds, more)
        return
    assert_lowers(build, feeds, more)


def test_strided_slice_is_the_same_when_strides_are_computed():
    def build(x, b, e, s):
        return tf.strided_slice(x, b, e, s, begin_mask=1, end_mask=2)

    feeds = {"x": random(5, 6), "b": np.int64([0, -1]), "e": np.int64([4, 0]), "s": np.int64([2, -1])}
    assert_lowers(build, feeds, {**feeds, "b": np.int64([0, 0]), "e": np.int64([-9, 0]), "s": np.int64([-1, 2])})


def test_strided_slice_is_the_same_when_new_axes_and_ellipsis_come_with_computed_bounds():
    def build(x, i, j):
        return [x[i, tf.newaxis, ..., j:], x[..., i, tf.newaxis], x[tf.newaxis, i:j, ..., -1], x[i], x[:, i]]

    feeds = {"x": random(3, 4, 5), "i": np.int32(1), "j": np.int32(2)}
    assert_lowers(build, feeds, {**feeds, "i": np.int32(-1), "j": np.int32(-2)}, dynamic=True)


def test_strided_slice_is_the_same_when_the_rank_is_not_known():
    def build(x, shape):
        y = tf.reshape(x, shape)
        return tf.reshape(y[1:, ::2], [-1]), tf.reshape(y[..., 1:], [-1])

    feeds = {"x": random(24), "shape": np.int32([2, 3, 4])}
    assert_lowers(build, feeds, {**feeds, "shape": np.int32([6, 4])}, shapes={"shape": (None,)})


@pytest.mark.parametrize("dtype", ["float64", "int8", "int64", "uint16", "bool"])
def test_slice_is_the_same(dtype):
    x = random(3, 4, 5, low=-1, high=1).astype(dtype)
    assert_lowers(lambda x: [tf.slice(x, [0, 1, 0], [-1, 2, 5]), tf.slice(x, [2, 0, 1], [0, 4, -1])], {"x": x})
    feeds = {"x": x, "b": np.int32([0, 1, 2]), "s": np.int32([2, -1, 3])}
    assert_lowers(lambda x, b, s: tf.slice(x, b, s), feeds, {**feeds, "s": np.int32([-1, 0, -1])}, dynamic=True)


def test_one_position_is_a_gather():
    assert op_types(assert_lowers(lambda x: x[:, -1], {"x": random(3, 4, 5)})) == ["Gather"]


def test_slices_between_convolutions_need_no_transpose():
    kernel = random(1, 1, 4, 4)

    def build(x):
        y = tf.nn.conv2d(x, kernel, 1, "SAME")
        y = tf.slice(y, [0, 1, 0, 1], [-1, -1, 4, 3])
        z = tf.nn.conv2d(y[:, ::2, 1:, :], random(1, 1, 3, 2), 1, "SAME")
        return z[..., ::-1]

    model = assert_lowers(
        build, {"x": random(2, 6, 7, 4)}, {"x": random(3, 8, 5, 4)}, shapes={"x": (None, None, None, 4)}
    )
    assert op_types(model).count("Transpose") <= 2


def test_slice_is_the_same_when_the_length_of_its_begin_is_not_known():
    feeds = {"x": random(5, 6), "b": np.int32([4, 0]), "e": np.int32([0, 5]), "s": np.int32([-2, 2])}
    forward = {**feeds, "b": np.int32([1, -3]), "e": np.int32([4, -1]), "s": np.int32([1, 1])}
    fewer = {**feeds, "b": np.int32([1]), "e": np.int32([9]), "s": np.int32([3])}

    def build(x, b, e, s):
        results = [tf.strided_slice(x, b, e, s), tf.strided_slice(x, b, e, s, begin_mask=1, end_mask=2)]
        return [tf.ensure_shape(result, (None, None)) for result in results]

    assert_lowers(build, feeds, forward, fewer, dynamic=True, opsets=(13, 18))
    shrunk = {"x": feeds["x"], "b": feeds["b"]}
    with pytest.raises(ExportError, match="changes the rank"):
        assert_lowers(lambda x, b: tf.strided_slice(x, b, b + 1, shrink_axis_mask=1), shrunk, dynamic=True)


def test_new_axes_after_an_ellipsis_are_the_same_when_the_rank_is_not_known():
    """They are counted from the end."""

    def build(x, shape):
        x = tf.reshape(x, shape)
        results = [(x[..., tf.newaxis], 4), (x[1, ..., tf.newaxis, ::2], 3), (x[..., 0, tf.newaxis, :], 3)]
        results += [(x[..., tf.newaxis, 1], 3), (x[tf.newaxis, ..., tf.newaxis, 1:], 5)]
        return [tf.ensure_shape(result, (None,) * rank) for result, rank in results]

    feeds = {"x": random(3, 4, 5), "s": np.int32([3, 4, 5])}
    assert_lowers(build, feeds, shapes={"s": (None,)}, opsets=(13, 18))


@pytest.mark.parametrize("shape", [(3, 4), (None, None), None])
def test_backward_slice_is_empty_when_it_starts_before_the_first_entry(shape):
    assert_lowers(
        lambda x, begin, end: [
            x[-10::-1],
            x[-4:-9:-1, -4::-1],
            tf.strided_slice(x, begin, end, [-1, 1]),
            tf.strided_slice(x, begin, [0, 0], end, begin_mask=2, end_mask=3),
        ],
        {"x": random(3, 4), "begin": np.int32([-4, -9]), "end": np.int32([-7, 3])},
        {"x": random(3, 4), "begin": np.int32([-3, -2]), "end": np.int32([-9, -1])},
        shapes={"x": shape} if shape is not None else {"x": (None, None)},
    )
