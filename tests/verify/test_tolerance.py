"""The tolerance follows from the graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bnfold.verify.tolerance import LARGEST_RTOL, products_in_one_sum, tolerance


def test_bound_grows_with_the_products_that_are_summed(nets: Any) -> None:
    found = tolerance(nets.two_norms().graph)
    products = 3 * 3 * 3 + 3 * 3 * 5
    assert found.rtol == pytest.approx(8 * 2**-24 * math.sqrt(products))
    assert f"n = {products} summed products" in found.reason
    assert found.formula.startswith(f"max|onnx − tf| ≤ {found.rtol:.1e}·max|tf|, else max|onnx − float64|")


def test_given_numbers_replace_the_formula(nets: Any) -> None:
    found = tolerance(nets.two_norms().graph, rtol=1e-3, atol=1e-6, exact=True)
    assert (found.rtol, found.atol, found.factor, found.exact) == (1e-3, 1e-6, None, False)
    assert found.formula == "max|onnx − tf| ≤ 1.0e-03·max|tf| + 1.0e-06"


def test_bound_has_an_end(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 50_000), name="x")
        tf.matmul(x, np.zeros((50_000, 1), np.float32), name="y")
        for i in range(30):
            tf.matmul(x, np.zeros((50_000, 1), np.float32), name=f"y{i}")
    found = tolerance(nets.inference_graph(built, ["x:0"], ["y:0"]).graph)
    assert found.rtol == LARGEST_RTOL
    assert "at most 1e-04" in found.reason


def test_half_precision_has_its_own_unit(nets: Any) -> None:
    found = tolerance(nets.two_norms().graph, compute="float16", exact=True)
    assert found.rtol == pytest.approx(8 * 2**-11 * math.sqrt(72))
    assert found.factor is None
    assert not found.exact
    written = tolerance(nets.two_norms().graph, compute="float16", once_a_layer=True)
    assert written.rtol == pytest.approx(8 * 2**-11 * math.sqrt(2 * 2))
    assert "n = 4 roundings" in written.reason


@pytest.mark.parametrize(
    ("build", "products"),
    [
        (lambda tf, x: tf.nn.conv2d(x, np.zeros((3, 5, 4, 7), np.float32), 1, "SAME"), 3 * 5 * 4),
        (lambda tf, x: tf.nn.depthwise_conv2d(x, np.zeros((3, 5, 4, 2), np.float32), [1] * 4, "SAME"), 3 * 5),
        (
            lambda tf, x: tf.nn.conv2d_transpose(x, np.zeros((2, 3, 6, 4), np.float32), (1, 8, 8, 6), 1, "SAME"),
            2 * 3 * 4,
        ),
        (lambda tf, x: tf.matmul(tf.reshape(x, (-1, 4)), np.zeros((9, 4), np.float32), transpose_b=True), 4),
        (lambda tf, x: tf.nn.relu(x), 0),
    ],
)
def test_products_of_one_sum_are_counted(nets: Any, build: Any, products: int) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        y = build(tf, tf.compat.v1.placeholder(tf.float32, (1, 8, 8, 4), name="x"))
    graph = nets.inference_graph(built, ["x:0"], [y.name]).graph
    assert products_in_one_sum(graph, graph.producer_of(y.name)) == products
