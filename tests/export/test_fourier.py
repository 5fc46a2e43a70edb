"""Fourier transforms, as products and as ONNX' DFT."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

RTOL = 1e-5
"""Sums of some ten to thirty float32 products of both signs."""


def parts(z):
    return [tf.math.real(z), tf.math.imag(z)]


@pytest.mark.parametrize("name", ["fft", "fft2d", "fft3d", "ifft", "ifft2d", "ifft3d"])
def test_complex_transform_is_the_same(name):
    def build(a, b):
        return parts(getattr(tf.signal, name)(tf.complex(a, b)))

    feeds = {"a": random(2, 4, 5), "b": random(2, 4, 5, seed=1)}
    assert_lowers(build, feeds, opsets=(13, 18), rtol=RTOL)
    assert_lowers(
        build, feeds, {k: v[:, :3] for k, v in feeds.items()}, dynamic=True, opsets=(18, 20), rtol=RTOL, atol=RTOL
    )
    assert_lowers(build, {k: v.astype(np.float64) for k, v in feeds.items()})


LENGTHS = {"RFFT": ([5], [4], [3]), "RFFT2D": ([4, 5], [3, 4]), "RFFT3D": ([2, 4, 5], [1, 3, 4])}


@pytest.mark.parametrize("op", LENGTHS)
def test_real_transform_is_the_same(op):
    for length in LENGTHS[op]:

        def build(x, length=length):
            return parts(getattr(raw, op)(input=x, fft_length=length))

        assert_lowers(build, {"x": random(2, 4, 5)}, opsets=(13, 18), rtol=RTOL)
        assert_lowers(build, {"x": random(2, 4, 5)}, dynamic=True, rtol=RTOL)

    def computed(x, length):
        return parts(getattr(raw, op)(input=x, fft_length=length))

    feeds = {"x": random(2, 4, 5), "length": np.int32(LENGTHS[op][-1])}
    assert_lowers(computed, feeds, opsets=(18, 20), rtol=RTOL, atol=RTOL)


@pytest.mark.parametrize("op", LENGTHS)
def test_inverse_of_the_real_transform_is_the_same(op):
    for length in LENGTHS[op]:

        def build(a, b, length=length):
            return getattr(raw, f"I{op}")(input=tf.complex(a, b), fft_length=length)

        feeds = {"a": random(2, 4, 5), "b": random(2, 4, 5, seed=1)}
        assert_lowers(build, feeds, opsets=(13, 18), rtol=RTOL)


def test_transform_that_pads_and_its_inverse_give_the_input_back():
    def build(x):
        return tf.signal.irfft(tf.signal.rfft(x, [8]), [8]), tf.abs(tf.signal.rfft2d(x))

    assert_lowers(build, {"x": random(3, 6)}, rtol=RTOL)


def test_large_transform_is_a_dft():
    model = assert_lowers(lambda x: tf.abs(tf.signal.rfft(x)), {"x": random(2, 1024)}, rtol=RTOL, atol=RTOL)
    assert "DFT" in op_types(model)


def test_transform_is_refused_when_its_size_is_unknown_and_the_opset_is_old():
    with pytest.raises(ExportError, match="since opset 17"):
        assert_lowers(lambda x: tf.abs(tf.signal.rfft(x)), {"x": random(2, 6)}, dynamic=True, opsets=(16,))


def test_transform_of_one_axis_is_the_same_when_the_rank_is_not_known():
    def build(values, shape):
        x = tf.reshape(values, shape)
        half = tf.raw_ops.RFFT(input=x, fft_length=[8])
        both = tf.signal.ifft(tf.signal.fft(tf.complex(x, x * 2)))
        return [tf.reshape(part, [-1]) for z in (half, both) for part in (tf.math.real(z), tf.math.imag(z))]

    feeds = [{"values": x.ravel(), "shape": np.int32(x.shape)} for x in (random(3, 8), random(2, 3, 8), random(10))]
    assert_lowers(build, *feeds, dynamic=True, opsets=(17, 20), rtol=1e-5, atol=1e-5)


def test_half_transform_is_a_product_before_there_is_an_op():
    def build(values, shape):
        half = tf.raw_ops.RFFT(input=tf.reshape(values, shape), fft_length=[6])
        return [tf.reshape(part, [-1]) for part in (tf.math.real(half), tf.math.imag(half))]

    feeds = [{"values": x.ravel(), "shape": np.int32(x.shape)} for x in (random(3, 8), random(2, 3, 8))]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13,), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transforms_are_the_same_when_the_rank_is_not_known(axes, opset):
    name = f"{axes}d" if axes > 1 else ""
    lengths = np.int32([2, 4, 6][3 - axes :])

    def build(x, shape):
        x = tf.reshape(x, shape)
        there = getattr(tf.signal, f"fft{name}")(tf.cast(x, tf.complex64))
        half = getattr(tf.signal, f"rfft{name}")(x, lengths)
        back = getattr(tf.signal, f"ifft{name}")(there)
        whole = [getattr(tf.signal, f"irfft{name}")(half * (1 + 2j), lengths + odd) for odd in (0, -1)]
        results = [tf.math.real(half), tf.math.imag(there), tf.math.real(back), *whole]
        return [part for result in results for part in (tf.shape(result), tf.reshape(result, [-1]))]

    feeds = [{"x": random(48), "s": np.int32(shape)} for shape in ([2, 4, 6], [1, 2, 4, 6])]
    assert_lowers(build, *feeds, dynamic=True, opsets=(opset,), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_cosine_transforms_are_the_same_when_sizes_are_not_known(kind):
    def build(x):
        return tf.signal.dct(x, type=kind), tf.signal.idct(x, type=kind)

    feeds = [{"x": random(2, size)} for size in (8, 5)]
    assert_lowers(build, *feeds, dynamic=True, rtol=1e-5, atol=1e-6)


def test_half_transform_back_is_the_same_when_its_length_is_computed():
    def build(a, b, length):
        z = tf.complex(a, b)
        return tf.signal.irfft(z), tf.signal.irfft(z, length), tf.signal.irfft2d(z)

    feeds = [{"a": random(4, 5), "b": random(4, 5, seed=1), "length": np.int32([n])} for n in (8, 7, 2, 1)]
    assert_lowers(build, *feeds, dynamic=True, rtol=1e-5, atol=1e-6)
