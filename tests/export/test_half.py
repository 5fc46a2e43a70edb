"""Half precision: what stays in float32, since float16 would change its meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
IMAGE = {"x": random(2, 5, 6, 3, low=0, high=1)}


def lowers_in_half(build, *feeds, **options):
    """A few roundings to the 11 bits of float16."""
    return assert_lowers(build, *feeds, half=True, rtol=1e-2, atol=5e-3, **options)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.image.adjust_contrast(x * 0.9, 1.5),
        lambda x: tf.image.adjust_saturation(x * 0.9, 0.6),
        lambda x: tf.image.adjust_hue(x * 0.9, 0.2),
    ],
    ids=["contrast", "saturation", "hue"],
)
def test_op_stays_float32_when_its_kernel_takes_no_other(build):
    lowers_in_half(build, IMAGE)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: tf.bitcast(x, tf.int32) & 0x7F800000,
        lambda x: tf.where(tf.bitcast(x * 2.0, tf.int32) < 0, x, 1.0 - x),
        lambda x: tf.bitcast(tf.cast(x, tf.int32) * 0 + 0x40490FDB, tf.float32) + x,
    ],
    ids=["exponent", "sign", "pi"],
)
def test_bits_are_those_of_float32(build):
    lowers_in_half(build, {"x": random(2, 5, 6, 3)})


def test_integers_are_exact_when_they_come_in_as_floats():
    rows = np.arange(5000, dtype=np.int32) * 3
    lowers_in_half(lambda x: tf.gather(rows, tf.cast(x, tf.int32)), {"x": np.float32([4999, 4097, 2051])})


def test_sizes_are_exact_when_they_are_computed_in_floats():
    def build(x):
        half = tf.cast(tf.math.floor(tf.cast(tf.shape(x)[1], tf.float32) * 0.5 + 0.5), tf.int32)
        return tf.range(half * 2), tf.reduce_sum(x * 0.5, 2)

    lowers_in_half(build, {"x": random(1, 4102, 2)}, {"x": random(2, 6153, 2)}, dynamic=True)


def test_sizes_are_float16_where_they_meet_what_is():
    def build(x):
        return x / tf.cast(tf.shape(x)[1], tf.float32)

    lowers_in_half(build, {"x": random(2, 6)}, dynamic=True)
