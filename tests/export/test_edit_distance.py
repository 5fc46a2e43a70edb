"""Edit distances of sparse sequences."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()


def sparse(seed, *, dtype=np.int64, shape=(3, 4, 7), letters=3):
    """Sequences of 0 to 7 of few letters, with gaps."""
    generator = np.random.default_rng(seed)
    indices = np.argwhere(generator.random(shape) < generator.random((*shape[:-1], 1)))
    values = generator.integers(0, letters, len(indices))
    values = np.array([b"abc"[v : v + 1] for v in values], object) if dtype is object else values.astype(dtype)
    return indices.astype(np.int64), values, np.array(shape, np.int64)


def feeds(*seeds, **options):
    names = ("hypothesis", "truth")
    parts = ("indices", "values", "shape")
    both = zip(names, seeds, strict=True)
    return {f"{n}_{p}": a for n, seed in both for p, a in zip(parts, sparse(seed, **options), strict=True)}


def distance(normalize):
    names = [f"{name}_{part}" for name in ("hypothesis", "truth") for part in ("indices", "values", "shape")]
    return lambda *inputs: tf.raw_ops.EditDistance(**dict(zip(names, inputs, strict=True)), normalize=normalize)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, object])
def test_edit_distance_is_the_same(dtype, normalize):
    values = feeds(1, 2, dtype=dtype)
    shapes = {name: (None, *value.shape[1:]) if "shape" not in name else value.shape for name, value in values.items()}
    shapes = {name: shape if "shape" not in name else (3,) for name, shape in shapes.items()}

    def build(*inputs):
        return tf.ensure_shape(distance(normalize)(*inputs), [None, None])

    assert_lowers(build, values, feeds(3, 4, dtype=dtype), feeds(5, 6, dtype=dtype), shapes=shapes, opsets=(13, 18))


def test_edit_distance_is_the_same_when_the_sequences_are_of_another_length():
    first, second = sparse(7, shape=(2, 5)), sparse(8, shape=(4, 3))
    names = [f"{name}_{part}" for name in ("hypothesis", "truth") for part in ("indices", "values", "shape")]

    def build(*inputs):
        return tf.ensure_shape(distance(True)(*inputs), [None])

    assert_lowers(build, dict(zip(names, (*first, *second), strict=True)))
