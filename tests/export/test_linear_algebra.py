"""Inverses, determinants, solutions and decompositions: sizes, stacks, adjoints, pivots, unknown ranks."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, op_types, random

from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops

DTYPES = [np.float32, np.float64]
EXACT = {np.float32: 3e-5, np.float64: 1e-10, np.complex64: 3e-5, np.complex128: 1e-10}
"""TensorFlow eliminates in float32, onnxruntime in float64: what they differ by is TensorFlow's rounding."""
PIVOTS = np.array([[0, 2, 1, 5], [1, 0, 3, 2], [4, 1, 0, 1], [2, 2, 2, 0]])
"""No step can take the next diagonal entry as its pivot."""


def matrices(size, *stack, dtype=np.float32, seed=0):
    values = random(*stack, size, size, dtype=np.float64, seed=seed) + 2 * np.eye(size)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * random(*stack, size, size, dtype=np.float64, seed=seed + 1)
    return values.astype(dtype)


def positive(size, *stack, dtype=np.float32):
    factor = random(*stack, size, size, dtype=np.float64)
    return (factor @ factor.swapaxes(-1, -2) + np.eye(size)).astype(dtype)


def of_complex(build):
    """``build`` of complex matrices, which no runtime can be fed, put together of their parts, and taken apart."""

    def parts(*reals):
        results = build(*(tf.complex(a, b) for a, b in zip(reals[::2], reals[1::2], strict=True)))
        return [part for z in results for part in (tf.math.real(z), tf.math.imag(z))]

    return parts


def as_fed(build, feeds):
    """``build`` and ``feeds``, with the parts of complex feeds in their place."""
    if not any(np.iscomplexobj(value) for value in feeds.values()):
        return build, feeds
    parts = {f"{name}_{part}": getattr(value, part) for name, value in feeds.items() for part in ("real", "imag")}
    return of_complex(build), parts


@pytest.mark.parametrize("dtype", [*DTYPES, np.complex64, np.complex128])
def test_inverse_and_solution_are_the_same(dtype):
    tolerance = {"rtol": EXACT[dtype], "atol": EXACT[dtype]}

    def build(a, b):
        return [
            *(raw.MatrixInverse(input=a, adjoint=adjoint) for adjoint in (False, True)),
            *(raw.MatrixSolve(matrix=a, rhs=b, adjoint=adjoint) for adjoint in (False, True)),
        ]

    for size in (1, 2, 5):
        right = matrices(size, 3, dtype=dtype, seed=4)[..., :2]
        assert_lowers(*as_fed(build, {"a": matrices(size, 3, dtype=dtype), "b": right}), **tolerance)
    feeds = [{"a": matrices(n, dtype=dtype), "b": matrices(n, dtype=dtype, seed=4)} for n in (3, 6)]
    more = as_fed(build, feeds[1])[1]
    assert_lowers(*as_fed(build, feeds[0]), more, dynamic=True, opsets=(13, 18), **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_pivot_is_looked_for(dtype):
    def build(a):
        return [raw.MatrixInverse(input=a), raw.MatrixDeterminant(input=a), *raw.LogMatrixDeterminant(input=a)]

    feeds = [{"a": PIVOTS[order].astype(dtype)} for order in ([0, 1, 2, 3], [2, 1, 0, 3])]
    assert_lowers(build, *feeds, rtol=EXACT[dtype], atol=EXACT[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_determinant_is_the_same(dtype):
    def build(a):
        return [raw.MatrixDeterminant(input=a), *raw.LogMatrixDeterminant(input=a)]

    for size in (1, 2, 3, 7):
        feeds = {"a": matrices(size, 2, 3, dtype=dtype)}
        assert_lowers(build, feeds, rtol=EXACT[dtype], atol=EXACT[dtype], dynamic=size > 2)
    singular = np.array([[1, 2], [2, 4]], dtype)
    assert_lowers(build, {"a": singular})


def test_determinant_is_one_node_where_onnxruntime_has_it():
    assert op_types(assert_lowers(tf.linalg.det, {"a": matrices(3)}, rtol=1e-5)) == ["Det"]


def test_inverse_is_the_same_when_the_rank_is_not_known():
    def build(values, shape):
        return tf.reshape(raw.MatrixInverse(input=tf.reshape(values, shape), adjoint=True), [-1])

    feeds = [
        {"values": matrices(n, *rest).ravel(), "shape": np.int32([*rest, n, n])} for n, rest in ((3, ()), (4, (2,)))
    ]
    assert_lowers(build, *feeds, dynamic=True, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("dtype", [*DTYPES, np.complex64])
@pytest.mark.parametrize("lower", [True, False])
def test_triangular_solution_is_the_same_and_the_other_triangle_is_not_looked_at(lower, dtype):
    def build(a, b):
        return [raw.MatrixTriangularSolve(matrix=a, rhs=b, lower=lower, adjoint=adjoint) for adjoint in (False, True)]

    tolerance = {"rtol": EXACT[dtype], "atol": EXACT[dtype]}
    right = matrices(4, 3, dtype=dtype, seed=4)[..., :2]
    for stack in ((3,), (), (2, 1)):
        feeds = {"a": matrices(4, *stack, dtype=dtype), "b": right}
        assert_lowers(*as_fed(build, feeds), dynamic=len(stack) == 2, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_decompositions_are_the_same(dtype):
    tolerance = {"rtol": EXACT[dtype], "atol": EXACT[dtype]}
    for size, stack in ((1, ()), (4, (2,)), (6, (2, 3))):
        square = matrices(size, *stack, dtype=dtype)
        assert_lowers(tf.linalg.cholesky, {"a": positive(size, *stack, dtype=dtype)}, dynamic=size > 1, **tolerance)
        for output in (tf.int32, tf.int64):
            assert_lowers(lambda a, t=output: list(raw.Lu(input=a, output_idx_type=t)), {"a": square}, **tolerance)
    assert_lowers(lambda a: list(raw.Lu(input=a)), {"a": PIVOTS.astype(dtype)}, **tolerance)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 3, 5)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_orthogonal_factors_have_the_same_signs(dtype, shape):
    def build(a):
        return [*raw.Qr(input=a), *raw.Qr(input=a, full_matrices=True)]

    tolerance = {"rtol": EXACT[dtype], "atol": EXACT[dtype]}
    assert_lowers(build, {"a": random(*shape, dtype=dtype)}, dynamic=len(shape) == 2, **tolerance)
    triangle = np.triu(random(4, 4, dtype=dtype))  # whose columns are 0 below their pivots already
    assert_lowers(build, {"a": triangle}, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tridiagonal_matrices_are_the_same(dtype):
    diagonals = random(2, 3, 5, dtype=dtype) + np.array([[0], [7], [0]], dtype)
    right = random(2, 5, 3, dtype=dtype, seed=1)
    for pivoting in (True, False):
        assert_lowers(
            lambda d, b, p=pivoting: raw.TridiagonalSolve(diagonals=d, rhs=b, partial_pivoting=p),
            {"d": diagonals, "b": right},
            rtol=EXACT[dtype],
            dynamic=pivoting,
        )

    def product(above, main, below, b):
        return raw.TridiagonalMatMul(superdiag=above, maindiag=main, subdiag=below, rhs=b)

    parts = {name: random(2, 1, 5, dtype=dtype, seed=i) for i, name in enumerate(("above", "main", "below"))}
    assert_lowers(product, {**parts, "b": right}, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
def test_cross_product_is_the_same(dtype):
    assert_lowers(tf.linalg.cross, {"a": random(4, 3, dtype=dtype), "b": random(4, 3, dtype=dtype, seed=1)})
