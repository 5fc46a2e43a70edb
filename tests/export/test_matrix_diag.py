"""Diagonals, bands and their alignment."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

ALIGNMENTS = ["LEFT_RIGHT", "RIGHT_LEFT", "LEFT_LEFT", "RIGHT_RIGHT"]
BANDS = [(-1, 2), (0, 0), (-2, -1), (1, 3), (2, 2), (-2, 4), (-1, -1)]
ROWS, COLUMNS = 3, 5


def diagonals_of(band, seed=3):
    """A batch of 2 of what MatrixDiagPart would give."""
    count, longest = band[1] - band[0] + 1, min(ROWS + min(band[1], 0), COLUMNS - max(band[0], 0))
    return random(2, *([count] if count > 1 else []), longest, seed=seed)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_band_is_the_same_when_it_is_taken(align):
    def build(x):
        return [tf.linalg.diag_part(x, k=band, padding_value=7, align=align) for band in BANDS]

    assert_lowers(build, {"x": random(2, ROWS, COLUMNS)}, {"x": random(4, ROWS, COLUMNS)}, shapes={"x": (None, 3, 5)})
    assert_lowers(build, {"x": random(2, ROWS, COLUMNS)}, dynamic=True)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_band_is_the_same_when_it_is_set_or_made_a_matrix(align):
    for band in BANDS:

        def build(x, d, band=band):
            return [
                tf.linalg.set_diag(x, d, k=band, align=align),
                tf.linalg.diag(d, k=band, align=align, padding_value=2),
                tf.linalg.diag(d, k=band, align=align, num_rows=ROWS, num_cols=COLUMNS),
            ]

        feeds = {"x": random(2, ROWS, COLUMNS), "d": diagonals_of(band)}
        assert_lowers(build, feeds)


def test_diagonal_is_the_same_in_the_older_ops():
    def build(x, d):
        return [raw.MatrixDiag(diagonal=d), raw.MatrixSetDiag(input=x, diagonal=d), raw.MatrixDiagPart(input=x)]

    assert_lowers(build, {"x": random(2, 3, 5), "d": random(2, 3)}, dynamic=True)

    def second(x, d):
        return [
            raw.MatrixDiagV2(diagonal=d, k=1, num_rows=-1, num_cols=-1, padding_value=0.0),
            raw.MatrixSetDiagV2(input=x, diagonal=d, k=[0]),
            raw.MatrixDiagPartV2(input=x, k=[-1, 1], padding_value=3.0),
        ]

    assert_lowers(second, {"x": random(2, 3, 5), "d": random(2, 3)})


def test_band_is_the_same_when_it_is_computed():
    x, band = random(2, 3, 5), np.int32([-1, 2])
    build = lambda x, k: tf.reshape(tf.linalg.diag_part(x, k=k), [2, 4, 3])  # noqa: E731
    assert_lowers(build, {"x": x, "k": band}, shapes={"k": (2,)})
    assert_lowers(lambda x, k: tf.reshape(tf.linalg.diag_part(x, k=k), [-1]), {"x": x, "k": np.int32(1)})
    feeds = {"x": x, "k": band, "d": random(2, 4, 3)}
    assert_lowers(lambda x, k, d: tf.linalg.set_diag(x, d, k=k), feeds, {**feeds, "k": np.int32([-2, 1])})


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.int16, np.bool_, np.uint8])
def test_diagonal_is_the_same_whatever_the_dtype(dtype):
    x = random(3, 4, dtype=dtype) if dtype != np.bool_ else random(3, 4) > 0
    assert_lowers(lambda x: [tf.linalg.diag(x), tf.linalg.diag_part(x), tf.linalg.band_part(x, 0, 1)], {"x": x})


def test_band_part_is_the_same():
    bounds = [(1, 0), (0, 2), (-1, 1), (1, -1), (-1, -1)]
    assert_lowers(lambda x: [tf.linalg.band_part(x, a, b) for a, b in bounds], {"x": random(2, 4, 5)})
    feeds = {"x": random(2, 4, 5), "a": np.int64(-1), "b": np.int64(1)}
    assert_lowers(lambda x, a, b: tf.linalg.band_part(x, a, b), feeds, {**feeds, "a": np.int64(2)}, dynamic=True)


def test_tensor_diagonal_is_the_same():
    assert_lowers(tensor_diagonals, {"x": random(2, 3)})
    assert_lowers(tensor_diagonals, {"x": random(2, 3)}, dynamic=True)


def tensor_diagonals(x):
    matrix = tf.linalg.tensor_diag(x)
    return matrix, tf.linalg.tensor_diag_part(matrix)


def test_diagonals_are_the_same_when_the_rank_is_not_known():
    def build(values, shape):
        x = tf.reshape(values, shape)
        part = tf.linalg.diag_part(x, k=(-1, 1), align="LEFT_RIGHT")
        back = tf.linalg.diag(part, k=(-1, 1), align="LEFT_RIGHT", num_rows=3, num_cols=4)
        changed = tf.linalg.set_diag(x, tf.linalg.diag_part(x, k=1) * 2, k=1)
        results = [part, back, changed, tf.linalg.band_part(x, 1, 0), tf.linalg.diag_part(x)]
        return [tf.reshape(result, [-1]) for result in results]

    feeds = [{"values": x.ravel(), "shape": np.int32(x.shape)} for x in (random(3, 4), random(2, 3, 4))]
    assert_lowers(build, *feeds, dynamic=True, opsets=(13, 18))


def test_diagonal_of_a_tensor_is_the_same_when_the_rank_is_not_known():
    def build(values, shape):
        x = tf.linalg.tensor_diag(tf.reshape(values, shape))
        return [tf.reshape(y, [-1]) for y in (x, tf.linalg.tensor_diag_part(x * 2))]

    feeds = [{"values": x.ravel(), "shape": np.int32(x.shape)} for x in (random(3), random(2, 3))]
    assert_lowers(build, *feeds, dynamic=True)


@pytest.mark.parametrize("dynamic", [False, True])
def test_diagonals_of_complex_matrices_are_the_same(dynamic):
    def build(a, b):
        x = tf.complex(a, b)
        line = tf.linalg.diag_part(x)
        results = [
            line,
            tf.linalg.diag_part(x, k=(-1, 2), padding_value=tf.constant(2 - 1j, tf.complex64)),
            tf.linalg.diag(line, k=-1),
            tf.linalg.set_diag(x, line * 2),
            tf.linalg.band_part(x, 0, 1),
            tf.linalg.tensor_diag(line),
            tf.linalg.tensor_diag_part(tf.linalg.tensor_diag(line) * 2),
        ]
        return [part for z in results for part in (tf.math.real(z), tf.math.imag(z))]

    assert_lowers(build, {"a": random(2, 3, 4), "b": random(2, 3, 4, seed=1)}, dynamic=dynamic)
