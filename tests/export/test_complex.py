"""Complex numbers, which ONNX lacks: two floats on a last axis."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

FLOATS = [np.float32, np.float64]


def parts_of(build):
    """``build`` of complex x and y, its complex results as their parts."""

    def parts(a, b, c, d):
        results = build(tf.complex(a, b), tf.complex(c, d))
        return [part for z in results for part in ([tf.math.real(z), tf.math.imag(z)] if z.dtype.is_complex else [z])]

    return parts


def feeds(dtype):
    shapes = {"a": (3, 4), "b": (3, 4), "c": (4,), "d": (4,)}
    return {name: random(*shape, dtype=dtype, seed=seed) for seed, (name, shape) in enumerate(shapes.items())}


@pytest.mark.parametrize("dtype", FLOATS)
def test_complex_arithmetic_is_the_same(dtype):
    def build(x, y):
        return [x + y, x - y, x * y, x / y, -x, tf.square(x), tf.math.squared_difference(x, y), tf.add_n([x, x * y])]

    assert_lowers(parts_of(build), feeds(dtype), rtol=1e-5 if dtype == np.float32 else None)


@pytest.mark.parametrize("dtype", FLOATS)
def test_complex_functions_are_the_same(dtype):
    assert_lowers(parts_of(lambda x, y: [tf.abs(x), tf.math.angle(x), tf.math.conj(x * y)]), feeds(dtype), rtol=1e-5)


def test_complex_division_is_zero_first_when_the_divisor_is_zero():
    x = {"a": np.float32([[1, 2]]), "b": np.float32([[3, 4]]), "c": np.float32([0, 2]), "d": np.float32([0, 0])}
    assert_lowers(parts_of(lambda x, y: [tf.math.divide_no_nan(x, y), tf.math.multiply_no_nan(x, y)]), x)


@pytest.mark.parametrize("dtype", FLOATS)
def test_complex_tensors_are_padded_with_zeros(dtype):
    def build(a, b, p):
        return [tf.math.imag(tf.pad(tf.complex(a, b), p)), tf.math.real(tf.pad(tf.complex(a, b), [[0, 1], [2, 0]]))]

    feed = {"a": random(3, 4, dtype=dtype), "b": random(3, 4, dtype=dtype, seed=1), "p": np.int32([[1, 0], [0, 2]])}
    assert_lowers(build, feed, opsets=(13, 18))
    assert_lowers(build, feed, shapes={"a": (None, None), "b": (None, None)})


def test_complex_tensors_change_shape_as_others_do():
    def build(x, y):
        return [
            *(tf.reshape(x, [2, -1]), tf.transpose(x), x[1:, ::2], tf.concat([x, x], 1), tf.expand_dims(x, -1)),
            *(tf.squeeze(y[:, None], -1), tf.stack([x, x], 1), tf.reduce_sum(x, 0), tf.reduce_mean(x, -1)),
            *(tf.gather(x, [2, 0]), tf.where(tf.abs(x) > 2, x, y), tf.constant([1 + 2j, 3j], tf.complex64), tf.size(x)),
            *(tf.shape(x), tf.cast(x, tf.float32), tf.cast(tf.abs(x), tf.complex64), tf.split(x, 2, 1)[1]),
        ]

    assert_lowers(parts_of(build), feeds(np.float32))
    assert_lowers(parts_of(lambda x, y: [tf.shape(x), x + y]), feeds(np.float32), dynamic=True)


def test_complex_is_broadcast_when_parts_differ_in_shape():
    assert_lowers(
        lambda a, c: tf.math.imag(tf.complex(a, c)), {"a": random(3, 4), "c": random(4, seed=2)}, dynamic=True
    )


FUNCTIONS = ["Exp", "Log", "Sqrt", "Rsqrt", "Reciprocal", "Inv", "Sigmoid", "Tanh", "Sign", "Expm1", "Log1p"]
FUNCTIONS += ["Sin", "Cos", "Tan", "Sinh", "Cosh", "Asin", "Acos", "Atan", "Asinh", "Acosh", "Atanh"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", FUNCTIONS)
def test_function_of_a_complex_number_is_the_same(op, dtype):
    """In all four quadrants; TensorFlow's own are off by some units in the last place."""
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    parts = {"a": random(40, dtype=dtype), "b": random(40, dtype=dtype, seed=1)}

    def build(a, b):
        z = getattr(tf.raw_ops, op)(x=tf.complex(a, b)) if op != "Sign" else tf.sign(tf.complex(a, b))
        return tf.math.real(z), tf.math.imag(z)

    assert_lowers(build, parts, rtol=tolerance, atol=tolerance, dynamic=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers_and_running_products_of_complex_numbers_are_the_same(dtype):
    tolerance = {"rtol": 2e-5, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-10}

    def build(x, y):
        results = [tf.pow(x, y)]
        return results + [
            tf.math.cumprod(x, axis, e, r) for axis in (0, 1) for e in (False, True) for r in (False, True)
        ]

    assert_lowers(parts_of(build), feeds(dtype), **tolerance)


def test_products_of_complex_matrices_are_the_same():
    def build(x, y):
        squares = [tf.matmul(x, x, transpose_b=True), tf.matmul(x, x, transpose_a=True)]
        return [*squares, tf.raw_ops.MatMul(a=x, b=tf.reshape(y, [4, 1]))]

    assert_lowers(parts_of(build), feeds(np.float32), rtol=1e-5)


def test_sizes_and_sums_of_complex_tensors_are_the_same_when_the_rank_is_not_known():
    def build(a, b, shape):
        z = tf.reshape(tf.complex(a, b), shape)
        total, last = tf.reduce_sum(z), tf.reshape(tf.reduce_sum(z, -1), [-1])
        parts = [part for each in (total, last) for part in (tf.math.real(each), tf.math.imag(each))]
        return [tf.size(z), tf.rank(z), tf.shape(z), *(tf.reshape(part, [-1]) for part in parts)]

    values = {"a": random(24), "b": random(24, seed=1)}
    assert_lowers(build, *({**values, "shape": np.int32(shape)} for shape in ([24], [2, 12], [2, 3, 4])), dynamic=True)


_OF_UNKNOWN_RANK = {
    "gather": lambda z: [tf.gather(z, [1, 0], axis=-1), tf.gather(z, [1, 0], axis=-2)],
    "squeeze": lambda z: [tf.squeeze(z[..., :1], [-1]), tf.squeeze(z[..., 1:2, :], [-2])],
    "expand": lambda z: [tf.expand_dims(z, -1), tf.expand_dims(z, -2), tf.expand_dims(z, 0)],
    "expand computed": lambda z: [tf.expand_dims(z, tf.size(tf.zeros_like(z)) * 0 - 1)],
    "reverse": lambda z: [tf.reverse(z, [-1]), tf.reverse(z, [0, -2])],
    "reverse computed": lambda z: [tf.reverse(z, [tf.size(tf.zeros_like(z)) * 0 - 1])],
    "split": lambda z: [*tf.split(z, 2, axis=-1), *tf.split(z, [1, 2], axis=-2), *tf.split(z, [1, -1], axis=-1)],
    "unstack": lambda z: [*tf.unstack(z, 4, axis=-1), *tf.unstack(z, 3, axis=-2)],
    "stack": lambda z: [tf.stack([z, 2 * z], axis=-1), tf.stack([z, 2 * z], axis=-2)],
    "concat": lambda z: [tf.concat([z, 2 * z], axis=-1)],
    "slice": lambda z: [z[..., :2], z[..., 1:, ::-2], z[1, ..., 2], z[0:1, ..., 1:3], z[1:, ::-1]],
    "new axes": lambda z: [z[..., tf.newaxis], z[..., tf.newaxis, 1:3], z[tf.newaxis, ..., 0]],
}


@pytest.mark.parametrize("known", ["nothing", "the rank", "the shape"])
@pytest.mark.parametrize("name", _OF_UNKNOWN_RANK)
def test_axes_of_complex_tensors_are_counted_from_the_end(name, known):
    """Where the rank is not known they are counted in what is stored, which has an axis more."""
    shape = {"nothing": (None,), "the rank": (3,), "the shape": ()}[known]
    feeds = {"a": random(2, 3, 4), "b": random(2, 3, 4, seed=1), "shape": np.int32([2, 3, 4])}
    ranks = [len(result.shape) for result in _OF_UNKNOWN_RANK[name](tf.complex(feeds["a"], feeds["b"]))]

    def build(a, b, shape):
        z = tf.complex(a, b) if known == "the shape" else tf.reshape(tf.complex(a, b), shape)
        results = [tf.ensure_shape(z, (None,) * rank) for z, rank in zip(_OF_UNKNOWN_RANK[name](z), ranks, strict=True)]
        return [part for z in results for part in (tf.math.real(z), tf.math.imag(z))]

    assert_lowers(build, feeds, shapes={"shape": shape or (3,)})


def test_shape_of_a_transposed_complex_tensor_is_the_same():
    """Where the transpose is none, and only the sizes are read in another order."""

    def build(a, b):
        z = tf.transpose(tf.complex(a, b), [2, 1, 0])
        return tf.shape(z), tf.math.real(tf.reshape(z, [tf.shape(z)[2], -1]))

    assert_lowers(build, {"a": random(2, 3, 4), "b": random(2, 3, 4, seed=1)}, dynamic=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_of_complex_numbers_are_the_same_far_out(dtype):
    """Where sums cancel, and exponentials and squares overflow: each part is right by itself."""
    z = np.array([1e4 + 1j, -1e4 + 1j, -100 - 3j, 100 + 2j, -3 + 2j, 0.5j, -2 - 3j, 1 - 9e3j], np.complex128)
    names = ["sqrt", "rsqrt", "tanh", "asinh", "acosh", "asin", "acos", "tan"]

    def build(a, b):
        results = [getattr(tf.math, name)(tf.complex(a, b)) for name in names]
        return [part for z in results for part in (tf.math.real(z), tf.math.imag(z))]

    assert_lowers(build, {"a": z.real.astype(dtype), "b": z.imag.astype(dtype)}, rtol=2e-5, atol=1e-7)
    ends = {"a": np.array([-100, -90.5, 100, -1000], dtype), "b": np.array([1, -2, 3, 4], dtype)}
    assert_lowers(lambda a, b: tf.math.real(tf.sigmoid(tf.complex(a, b))), ends)


@pytest.mark.parametrize("dtype", FLOATS)
def test_quotients_and_sizes_of_complex_numbers_neither_overflow_nor_vanish(dtype):
    large = np.array([1e20, 1e-25, 3e15], dtype) if dtype == np.float32 else np.array([1e170, 1e-190, 3e15], dtype)

    def build(a, b):
        z = tf.complex(a, b)
        quotient = z * (2 + 1j) / z
        return tf.abs(z) / a, tf.math.real(quotient), tf.math.imag(quotient)

    assert_lowers(build, {"a": large, "b": large / -3}, atol=0)
