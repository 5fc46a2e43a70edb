"""Shapes as tensors, shapes changed, tensors filled and repeated, dtypes changed, values chosen."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

NUMBERS = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def test_shape_is_the_same_when_it_is_known_or_not():
    def build(x):
        return [tf.shape(x), tf.shape(x, tf.int64), *tf.shape_n([x, x]), tf.size(x), tf.size(x, tf.int64), tf.rank(x)]

    assert_lowers(build, {"x": random(2, 3, 4)})
    assert_lowers(build, {"x": random(2, 3, 4)}, {"x": random(1, 0, 5)}, dynamic=True)


def test_shape_of_an_image_needs_no_transpose():
    def build(x):
        y = tf.nn.conv2d(x, random(1, 1, 4, 6), 1, "SAME")
        return tf.nn.relu(y), tf.shape(y), tf.size(y), tf.rank(y)

    model = assert_lowers(build, {"x": random(2, 5, 7, 4)}, shapes={"x": (None, None, None, 4)})
    assert op_types(model).count("Transpose") == 2


def test_reshape_is_the_same_when_the_shape_is_computed():
    feeds = {"x": random(2, 3, 4), "s": np.int32([4, -1])}
    assert_lowers(lambda x, s: tf.reshape(x, s), feeds, {**feeds, "s": np.int32([-1, 2])}, shapes={"s": (2,)})
    empty = {"x": random(0, 3), "s": np.int64([0, 7])}
    assert_lowers(lambda x, s: tf.reshape(x, s), empty)
    assert_lowers(lambda x: tf.reshape(x, [tf.shape(x)[1], -1]), {"x": random(2, 3)}, {"x": random(4, 2)}, dynamic=True)


def test_squeeze_and_expand_are_the_same():
    x = random(2, 1, 3, 1)
    assert_lowers(lambda x: [tf.squeeze(x), tf.squeeze(x, [1]), tf.squeeze(x, [-1, 1])], {"x": x})
    build = lambda x: [tf.squeeze(x, [1]), *(tf.expand_dims(x, axis) for axis in (0, 1, 4, -1, -5))]  # noqa: E731
    assert_lowers(build, {"x": x}, opsets=(13, 18), dynamic=True)
    assert_lowers(lambda x: tf.reshape(tf.squeeze(x), [3, 2]), {"x": x}, dynamic=True)
    feeds = {"x": random(2, 3), "a": np.int32(-1)}
    build = lambda x, a: tf.reshape(tf.expand_dims(x, a), [3, -1])  # noqa: E731
    assert_lowers(build, feeds, {**feeds, "a": np.int32(1)})


@pytest.mark.parametrize("permutation", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
def test_transpose_is_the_same_when_the_permutation_is_known_or_computed(permutation):
    x = random(2, 3, 4)
    assert_lowers(lambda x: tf.transpose(x, permutation), {"x": x}, dynamic=True)
    assert_lowers(lambda x: raw.ConjugateTranspose(x=x, perm=permutation), {"x": x})
    feeds = {"x": x, "p": np.int32(permutation)}
    assert_lowers(lambda x, p: tf.transpose(x, p), feeds, {**feeds, "p": np.int32([2, 1, 0])}, dynamic=True)


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool"])
def test_filled_and_repeated_tensors_are_the_same(dtype):
    x = random(2, 3, low=0, high=3).astype(dtype)

    def build(x):
        return [raw.ZerosLike(x=x), raw.OnesLike(x=x), tf.broadcast_to(x, [4, 2, 3])]

    assert_lowers(build, {"x": x}, dynamic=True)
    assert_lowers(lambda s, v: tf.fill(s, v), {"s": np.int32([2, 3]), "v": x[0, 0]}, shapes={"s": (2,)})
    feeds = {"x": x, "m": np.int32([2, 3])}
    assert_lowers(lambda x, s: tf.broadcast_to(x, s), {"x": x, "s": np.int64([2, 2, 3])})
    if dtype != "uint16":  # TensorFlow has no kernel
        assert_lowers(lambda x, m: [tf.tile(x, m), tf.tile(x, [1, 1]), tf.tile(x, [2, 1])], feeds)


def test_shapes_are_broadcast():
    feeds = {"a": np.int32([2, 1, 5]), "b": np.int32([3, 1])}
    assert_lowers(lambda a, b: raw.BroadcastArgs(s0=a, s1=b), feeds)
    assert_lowers(lambda a, b: raw.BroadcastArgs(s0=a, s1=b), feeds, {"a": feeds["b"], "b": feeds["a"]}, dynamic=True)


@pytest.mark.parametrize("source", [*NUMBERS, "bool"])
def test_cast_is_the_same(source):
    x = np.array([0, 1, 2, 3, 100], np.float64).astype(source)
    assert_lowers(lambda x: [tf.cast(x, target) for target in (*NUMBERS, "bool", "bfloat16")], {"x": x})


def test_cast_cuts_fractions_off():
    assert_lowers(lambda x: [tf.cast(x, tf.int32), tf.cast(x, tf.bool)], {"x": np.float32([1.9, -1.9, 0.5, -0.0])})


@pytest.mark.parametrize("dtype", [*NUMBERS, "bool"])
def test_select_is_the_same(dtype):
    x = random(2, 3, low=0, high=3, seed=1).astype(dtype)

    def build(c, x):
        return [
            *(raw.Select(condition=c, x=x, y=x[::-1]), raw.Select(condition=c[:, 0], x=x, y=x[::-1])),
            *(raw.Select(condition=c[0, 0], x=x, y=x[::-1]), raw.SelectV2(condition=c[0], t=x, e=x[1, 2])),
        ]

    assert_lowers(build, {"c": random(2, 3) > 0, "x": x}, opsets=(13, 18))
    assert_lowers(build, {"c": random(2, 3) > 0, "x": x}, dynamic=True)


SHAPED = [(3,), (3, 2, 4, 6), ()]
"""Of conditions for values of the second of these shapes."""


@pytest.mark.parametrize("shape", SHAPED)
def test_select_is_the_same_when_only_the_run_tells_its_ranks(shape):
    """A shape of unknown length gives a tensor of unknown rank."""

    def build(c, c_shape, x, x_shape):
        condition, values = tf.reshape(c, c_shape), tf.reshape(x, x_shape)
        known = tf.reshape(c, shape)
        pairs = [(condition, values), (known, values), (condition, tf.reshape(x, SHAPED[1]))]
        return [tf.reshape(raw.Select(condition=p, x=v, y=-v), [-1]) for p, v in pairs]

    def between_convolutions(c, c_shape, x):
        y = tf.nn.conv2d(tf.reshape(x, SHAPED[1]), random(2, 3, 6, 6), 1, "SAME")
        y = raw.Select(condition=tf.reshape(c, c_shape), x=y, y=-y)
        return tf.nn.conv2d(y, random(1, 1, 6, 2), 1, "SAME")

    condition = np.resize([True, False, True, True, False], int(np.prod(shape)))
    feeds = {"c": condition, "c_shape": np.array(shape, np.int32), "x": random(144)}
    unknown = {"c": (None,), "c_shape": (None,), "x_shape": (None,)}
    assert_lowers(build, feeds | {"x_shape": np.array(SHAPED[1], np.int32)}, shapes=unknown, opsets=(13, 18))
    assert_lowers(between_convolutions, feeds, shapes=unknown)


@pytest.mark.parametrize("dtype", [*NUMBERS[1:], "bool"])
def test_places_that_are_not_zero_are_found(dtype):
    x = random(3, 4, low=-1, high=3).astype(dtype) if not dtype.startswith("u") else random(3, 4, low=0).astype(dtype)
    assert_lowers(lambda x: tf.where(x), {"x": x}, dynamic=True)
    assert_lowers(lambda x: tf.where(x[0]), {"x": x})


def test_select_between_convolutions_needs_no_transpose():
    def build(x):
        y = tf.nn.conv2d(x, random(1, 1, 4, 6), 1, "SAME")
        y = raw.Select(condition=y > 0, x=y, y=2 * y)
        y = tf.tile(raw.SelectV2(condition=y > 1, t=y, e=random(6)), [1, 2, 1, 1])
        return tf.nn.conv2d(tf.clip_by_value(y, -1, 1) + tf.zeros_like(y), random(1, 1, 6, 3), 1, "SAME")

    model = assert_lowers(build, {"x": random(2, 5, 7, 4)})
    assert op_types(model).count("Transpose") == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_ranges_of_floats_have_as_many_numbers(dtype):
    """3.5 / 0.7 is 5 in float32, and more in float64."""
    feeds = {"a": dtype(0.5), "b": dtype(4), "c": dtype(0.7)}
    build = lambda a, b, c: [tf.range(a, b, c), tf.range(b, a, -c), tf.range(b)]  # noqa: E731
    assert_lowers(build, feeds, {**feeds, "c": dtype(0.5)}, opsets=(13, 18))


def test_empty_tensors_are_made():
    build = lambda s, x: raw.Empty(shape=s, dtype=tf.float32, init=True) + x  # noqa: E731
    assert_lowers(build, {"s": np.int32([2, 3]), "x": np.float32(2)})


def test_numbers_are_places():
    feeds = {"i": np.int32([7, 2, 11]), "d": np.int32([3, 4])}
    assert_lowers(lambda i, d: [tf.unravel_index(i, d), tf.unravel_index(i[0], d)], feeds, dynamic=True)
    assert_lowers(lambda i: tf.unravel_index(i, tf.constant([3, 2, 2], tf.int64)), {"i": np.int64([7, 2, 11])})


def test_hints_for_tensorflow_are_left_out():
    build = lambda x: raw.GuaranteeConst(input=x) + raw.DebugGradientIdentity(input=x)  # noqa: E731
    assert_lowers(build, {"x": np.float32([1, -2])})


MOVES = {
    "fill": lambda x, i: tf.fill([2, 3], x[0, 1]),
    "tile": lambda x, i: tf.tile(x, [2, 1]),
    "tile, computed": lambda x, i: tf.ensure_shape(tf.tile(x, i), (None, None)),
    "broadcast": lambda x, i: tf.broadcast_to(x, [3, *x.shape]),
    "zeros": lambda x, i: tf.zeros_like(x) + tf.ones_like(x),
    "partition": lambda x, i: tf.dynamic_partition(x, [[0, 1, 1], [1, 0, 0]], 2),
    "stitch": lambda x, i: tf.dynamic_stitch([[0, 2], [1]], [x, x[:1]]),
    "scatter": lambda x, i: tf.scatter_nd([[2], [0]], x, [4, 3]),
    "scatter into": lambda x, i: tf.tensor_scatter_nd_update(x, [[0, 1], [1, 0]], x[0, :2]),
    "scatter add": lambda x, i: tf.tensor_scatter_nd_add(x, [[0], [0]], x),
    "scatter sub": lambda x, i: tf.tensor_scatter_nd_sub(x, [[1], [0]], x),
    "one hot": lambda x, i: tf.one_hot(i, 3, on_value=x[0, 0], off_value=x[1, 1]),
    "transpose, computed": lambda x, i: tf.transpose(x, i - 1),
    "gather": lambda x, i: tf.gather(x, [[2], [0]], batch_dims=1),
}


@pytest.mark.parametrize("move", MOVES)
def test_complex_numbers_are_moved(move):
    def build(real, imaginary, i):
        moved = MOVES[move](tf.complex(real, imaginary), i)
        moved = moved if isinstance(moved, list) else [moved]
        return [part for result in moved for part in (tf.math.real(result), tf.math.imag(result))]

    feeds = {"real": random(2, 3), "imaginary": random(2, 3, seed=1), "i": np.int32([2, 1])}
    assert_lowers(build, feeds, opsets=(13, 18))


def test_positions_of_complex_numbers_are_found():
    feeds = {"x": np.float32([0, 0, 2]), "y": np.float32([0, -1, 0])}
    assert_lowers(lambda x, y: tf.where(tf.complex(x, y)), feeds)


def of_unknown_rank(build, feeds, rank):
    """As `assert_lowers`, on tensors whose rank is not known: reshaped as is fed. The result has ``rank``."""
    names = list(feeds)
    fed = {**feeds, **{f"{name}_shape": np.int32(np.shape(feeds[name])) for name in names}}

    def hidden(*tensors):
        values, sizes = tensors[: len(names)], tensors[len(names) :]
        return tf.ensure_shape(build(*map(tf.reshape, values, sizes)), (None,) * rank)

    assert_lowers(hidden, fed, shapes={f"{name}_shape": (None,) for name in names}, opsets=(13, 18))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot_of_an_unknown_rank_is_the_same(axis):
    feeds = {"x": np.int32([[1, 3], [-1, 0], [2, 2]])}
    of_unknown_rank(lambda x: tf.one_hot(x, 4, 5.0, -1.0, axis=axis), feeds, 3)


def test_entries_of_an_unknown_rank_are_turned_and_reversed():
    feeds = {"x": random(3, 4, 5)}
    of_unknown_rank(lambda x: tf.roll(x, [1, -2], [0, -1]), feeds, 3)
    lengths = {**feeds, "l": np.int32([2, 0, 4])}
    of_unknown_rank(lambda x, i: tf.reverse_sequence(x, i, 1, batch_axis=0), lengths, 3)
    of_unknown_rank(lambda x, i: tf.reverse_sequence(x, i, 2, batch_axis=0), lengths, 3)
    of_unknown_rank(
        lambda x, i: tf.reverse_sequence(x, i, 0, batch_axis=2), {**feeds, "l": np.int32([2, 0, 3, 1, 3])}, 3
    )


def test_parts_of_an_unknown_rank_are_dealt_out_and_put_together():
    feeds = {"x": random(2, 2, 3), "p": np.int32([[0, 2], [1, 0]])}
    of_unknown_rank(lambda x, p: tf.concat(tf.dynamic_partition(x, p, 3), 0), feeds, 2)
    of_unknown_rank(lambda x, p: tf.dynamic_stitch([p], [x]), {**feeds, "p": np.int32([[0, 3], [1, 2]])}, 2)
    of_unknown_rank(lambda x, p: tf.gather(x, p, axis=1, batch_dims=1), {**feeds, "p": np.int32([[0, 1], [1, 1]])}, 3)


def test_numbers_of_an_unknown_rank_are_places():
    of_unknown_rank(lambda i: tf.unravel_index(i, [3, 4]), {"i": np.int32(7)}, 1)
    of_unknown_rank(lambda i: tf.unravel_index(i, [3, 4]), {"i": np.int32([7, 2])}, 2)


def test_axes_of_an_unknown_rank_are_reversed_and_turned_as_is_computed():
    feeds = {"x": random(3, 4, 5), "s": np.int32([3, 4, 5]), "d": np.array([True, False, True]), "a": np.int32(-2)}

    def build(x, shape, flags, axis):
        hidden = tf.reshape(x, shape)
        results = [raw.Reverse(tensor=hidden, dims=flags), tf.roll(hidden, -axis - 3, axis)]
        return [tf.ensure_shape(result, (None,) * 3) for result in results]

    assert_lowers(build, feeds, {**feeds, "a": np.int32(0)}, shapes={"s": (None,), "d": (None,)})


def test_axes_of_an_unknown_rank_are_permuted():
    """The order is computed, most often all axes backwards."""

    def build(x, shape, order):
        x = tf.reshape(x, shape)
        z = tf.complex(x, -x)
        results = [tf.transpose(x), tf.transpose(x, order), tf.math.imag(tf.transpose(z, order, conjugate=True))]
        return [part for result in results for part in (tf.shape(result), tf.reshape(result, [-1]))]

    asked = [([2, 3, 4], [2, 0, 1]), ([6, 4], [1, 0]), ([24], [0]), ([1, 2, 3, 4], [3, 0, -2, 1])]
    feeds = [{"x": random(24), "s": np.int32(shape), "order": np.int32(order)} for shape, order in asked]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18))
    nothing = {"x": random(0), "s": np.int32([2, 0, 3]), "order": np.int32([2, 0, 1])}
    assert_lowers(build, nothing, dynamic=True)


def test_images_are_flattened_when_there_is_none():
    def build(x):
        return tf.reshape(tf.nn.relu(x), tf.stack([tf.shape(x)[0], -1]))

    feeds = [{"x": random(*shape)} for shape in ((2, 3, 4, 5), (0, 3, 4, 5), (1, 6, 1, 2))]
    model = assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18))
    assert op_types(model) == ["Relu", "Flatten"]
