"""Products of stacks of matrices, and Einstein sums."""

from __future__ import annotations

import numpy as np
import pytest
from harness import assert_lowers, random

from bnfold.errors import ExportError
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("adjoint", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_products_of_stacks_are_the_same(adjoint, dtype):
    a = random(2, 3, *((5, 4) if adjoint[0] else (4, 5)), dtype=dtype)
    b = random(3, *((6, 5) if adjoint[1] else (5, 6)), dtype=dtype, seed=1)
    build = lambda a, b: tf.linalg.matmul(a, b, adjoint_a=adjoint[0], adjoint_b=adjoint[1])  # noqa: E731
    assert_lowers(build, {"a": a, "b": b}, dynamic=True)
    assert_lowers(lambda a: build(a, b), {"a": a})


def test_product_widens_when_asked_to():
    feeds = {"x": random(2, 3, 4, dtype=np.int8), "y": random(2, 4, 5, seed=1, dtype=np.int8)}
    assert_lowers(lambda x, y: raw.BatchMatMulV3(x=x, y=y, Tout=tf.int32), feeds)


def test_products_of_complex_stacks_are_the_same():
    def build(a, b):
        x = tf.complex(a, b)
        z = [tf.matmul(x, x, adjoint_a=True), tf.einsum("bij,bkj->bik", x, x), tf.einsum("bij->bji", x)]
        return [part(y) for y in z for part in (tf.math.real, tf.math.imag)]

    assert_lowers(build, {"a": random(2, 3, 4), "b": random(2, 3, 4, seed=1)}, rtol=1e-5)


EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "bij,bjk->bik": ((2, 2, 3), (2, 3, 4)),
    "...ij,jk->...ik": ((2, 5, 2, 3), (3, 4)),
    "ii->i": ((3, 3),),
    "ij->ji": ((2, 3),),
    "abc,cd->abd": ((2, 3, 4), (4, 5)),
    "ijk->": ((2, 3, 4),),
    "BI,BJ->BIJ": ((2, 3), (2, 4)),
    "bn,anb->na": ((2, 3), (4, 3, 2)),
    "i,j->ij": ((2,), (3,)),
    "ij,ij->": ((2, 3), (2, 3)),
    "...a,...b->...ab": ((2, 3), (2, 4)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einstein_sum_is_the_same(equation):
    feeds = {f"x{i}": random(*shape, seed=i) for i, shape in enumerate(EQUATIONS[equation])}
    build = lambda *x: raw.Einsum(inputs=x, equation=equation)  # noqa: E731
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, dynamic=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.int64])
def test_einstein_sum_keeps_its_dtype(dtype):
    feeds = {"x": random(2, 3, dtype=dtype), "y": random(3, 4, dtype=dtype)}
    assert_lowers(lambda x, y: raw.Einsum(inputs=[x, y], equation="ij,jk->ik"), feeds)


@pytest.mark.parametrize("shapes", [((2, 1, 3, 4), (5, 4, 5)), ((1, 3, 4), (7, 4, 2)), ((3, 4), (2, 4, 2))])
def test_ellipsis_broadcasts(shapes):
    x, y = (random(*shape, seed=seed) for seed, shape in enumerate(shapes))
    assert_lowers(lambda x, y: tf.einsum("...ij,...jk->...ik", x, y), {"x": x, "y": y})
    assert_lowers(lambda x, y: tf.einsum("...ij,...jk->...k", x, y), {"x": x, "y": y}, rtol=1e-5)


def test_ellipsis_may_stand_for_nothing():
    x, y = random(2, 3, 4), random(4, seed=1)
    assert_lowers(lambda x, y: tf.einsum("...a,a...->...", x, y), {"x": x, "y": y})
    assert_lowers(lambda x, y: tf.einsum("...,...->...", x, y), {"x": x, "y": y})


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_product_of_sparse_matrices_is_the_same(transpose_a, transpose_b):
    def build(a, b):
        return tf.raw_ops.SparseMatMul(a=a, b=b, transpose_a=transpose_a, transpose_b=transpose_b, a_is_sparse=True)

    a, b = random(*((3, 2) if transpose_a else (2, 3))), random(*((4, 3) if transpose_b else (3, 4)), seed=1)
    assert_lowers(build, {"a": a * (a > 0), "b": b})
    assert_lowers(build, {"a": a * (a > 0), "b": b}, dynamic=True)


def test_einsum_is_refused_when_its_result_has_an_axis_twice():
    with pytest.raises(ExportError, match="names an axis of the result twice"):
        assert_lowers(lambda x: tf.raw_ops.Einsum(inputs=[x], equation="i->ii"), {"x": random(3)})
