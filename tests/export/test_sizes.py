"""Sizes that are unknown but the same."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, inference_graph, op_types, random
from hypothesis import given
from hypothesis import strategies as st

from bnfold.export.size import Size
from bnfold.export.sizes import Sizes
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

SYMBOLS = {"n": 7, "h": 5, "w": 3}


@st.composite
def sizes(draw):
    """A polynomial, and its value at `SYMBOLS`."""
    total, value = Size.of(0), 0
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(-4, 4))
        names = draw(st.lists(st.sampled_from(sorted(SYMBOLS)), max_size=2))
        total = total + Size.product([Size.of(number), *map(Size.symbol, names)])
        value += number * int(np.prod([SYMBOLS[name] for name in names]))
    return total, value


def evaluated(size):
    return sum(number * int(np.prod([SYMBOLS[name] for name in names])) for names, number in size.terms)


@given(sizes(), sizes())
def test_arithmetic_on_sizes_is_arithmetic_on_their_values(first, second):
    (a, x), (b, y) = first, second
    assert evaluated(a + b) == x + y
    assert evaluated(a - b) == x - y
    assert evaluated(a * b) == x * y


@given(sizes(), st.sampled_from(sorted(SYMBOLS)), st.integers(1, 5))
def test_quotient_times_divisor_is_the_dividend(first, name, number):
    size, _ = first
    divisor = Size.symbol(name) * number
    assert (size * divisor).divided(divisor) == size


def test_quotient_is_none_when_it_is_no_polynomial():
    assert (Size.symbol("n") + 1).divided(Size.symbol("n")) is None
    assert (Size.symbol("n") * 3).divided(Size.of(2)) is None


KERNEL = random(3, 3, 4, 4, seed=1)


def traced(build, x, shape):
    inference = inference_graph(build, {"x": x}, shapes={"x": shape})
    return Sizes(inference.graph).shape(inference.outputs[0].tensor)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.nn.relu(x) + x * 2.0,
        lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME"),
        lambda x: tf.nn.max_pool(x, 3, 1, "SAME"),
        lambda x: tf.transpose(tf.transpose(x, [0, 3, 1, 2]), [0, 2, 3, 1]),
        lambda x: tf.squeeze(tf.expand_dims(x, 1), [1]),
        lambda x: tf.reshape(tf.reshape(x, [tf.shape(x)[0], -1, 4]), tf.shape(x)),
        lambda x: tf.fill(tf.shape(x), 1.0),
        lambda x: tf.nn.conv2d(x, KERNEL, 1, "SAME", data_format="NHWC") + tf.reduce_mean(x, [1, 2], keepdims=True),
    ],
)
def test_sizes_are_followed(build):
    found = traced(build, random(2, 5, 6, 4), (None, None, None, 4))
    assert found == (Size.symbol("x:0[0]"), Size.symbol("x:0[1]"), Size.symbol("x:0[2]"), Size.of(4))


def test_sizes_are_not_taken_for_the_same_when_the_op_changes_them():
    n, h, w, _ = traced(lambda x: tf.nn.max_pool(x, 2, 2, "SAME"), random(2, 6, 6, 4), (None, None, None, 4))
    assert n == Size.symbol("x:0[0]")
    assert {h, w}.isdisjoint({Size.symbol("x:0[1]"), Size.symbol("x:0[2]")})


def test_flattening_needs_no_shape_op():
    def build(x):
        y = tf.nn.relu(x)
        return tf.reshape(y, [tf.shape(y)[0], -1]) * 2.0

    model = assert_lowers(build, {"x": random(2, 3, 4)}, {"x": random(5, 3, 4)}, shapes={"x": (None, 3, 4)})
    assert op_types(model) == ["Relu", "Reshape", "Mul"]


def test_splitting_channels_needs_no_shape_op_when_all_sizes_are_unknown():
    def build(x):
        n, h, w = (tf.shape(x)[i] for i in range(3))
        y = tf.reshape(tf.nn.relu(x), [n, h, w, 2, 3])
        return tf.reshape(tf.transpose(y, [0, 1, 2, 4, 3]), [n, h, w, 6])

    feeds = {"x": random(2, 3, 4, 6)}, {"x": random(1, 5, 2, 6)}
    model = assert_lowers(build, *feeds, shapes={"x": (None, None, None, 6)})
    assert op_types(model) == ["Relu", "Reshape", "Transpose", "Reshape"]


def test_flattening_an_image_needs_no_shape_op_when_all_sizes_are_unknown():
    def build(x):
        n = tf.shape(x)[0]
        return tf.reshape(tf.nn.relu(x), [n, tf.shape(x)[1] * tf.shape(x)[2], 6])

    feeds = {"x": random(2, 3, 4, 6)}, {"x": random(1, 5, 2, 6)}
    model = assert_lowers(build, *feeds, shapes={"x": (None, None, None, 6)})
    assert op_types(model) == ["Relu", "Reshape"]


def test_resized_images_keep_the_names_of_their_sizes():
    def build(x):
        return tf.compat.v1.image.resize_bilinear(tf.nn.relu(x), tf.shape(x)[1:3])

    model = assert_lowers(build, {"x": random(2, 3, 4, 6)}, shapes={"x": (None, None, None, 6)})
    given, made = (value.type.tensor_type.shape.dim for value in (model.graph.input[0], model.graph.output[0]))
    assert [dim.dim_param or dim.dim_value for dim in made] == [dim.dim_param or dim.dim_value for dim in given]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.reshape(x, tf.reduce_prod(_square_of_sizes(x), axis=1)),
        lambda x: tf.reshape(x, tf.reduce_prod(_square_of_sizes(x), axis=0)),
        lambda x: tf.reshape(x, tf.reshape(tf.transpose(_square_of_sizes(x)), [-1])),
        lambda x: tf.reshape(x, tf.reshape(tf.concat([tf.shape(x)[:, None] // 2, [[2]] * 3], 1), [-1])),
        lambda x: tf.reshape(x, tf.reduce_prod(tf.shape(x), axis=[])),
        lambda x: tf.fill([tf.cast(tf.cast(tf.shape(x)[1], tf.bool), tf.int32), 2], x[0, 0, 0]),
        lambda x: tf.fill([tf.cast(tf.cast(tf.shape(x)[1] * 100, tf.uint8), tf.int32)], x[0, 0, 0]),
    ],
)
def test_sizes_in_a_matrix_are_not_taken_for_a_vector(build):
    """Nor are those that a bool or a byte does not hold."""
    assert_lowers(build, {"x": random(2, 4, 6)}, {"x": random(4, 2, 8)}, dynamic=True)


def _square_of_sizes(x):
    return tf.reshape(tf.concat([tf.shape(x), [1]], 0), [2, 2])


def test_matrices_of_integers_are_added_although_onnx_takes_them_for_sizes():
    feeds = {"x": np.arange(8, dtype=np.int32), "y": np.arange(3, dtype=np.int32)}
    assert_lowers(lambda x, y: x[:, None] + y[None, :], feeds)
    assert_lowers(lambda x: tf.fill([tf.cast(tf.shape(x)[0] * 100, tf.uint8), 2], x[0]), {"x": random(4)})
