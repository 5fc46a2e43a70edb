"""Channels-first ops on a CPU: each row of the table against the same op written channels last by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bnfold.graph import Graph
from bnfold.graph.channels_last import OPS, channels_last
from bnfold.graph.evaluate import Session
from bnfold.graph.graph_def import from_graph_def
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
RNG = np.random.default_rng(3)
KERNEL = RNG.normal(size=(3, 2, 4, 5)).astype(np.float32)
KERNEL_3D = RNG.normal(size=(2, 3, 2, 4, 5)).astype(np.float32)
TRANSPOSED = RNG.normal(size=(3, 2, 5, 4)).astype(np.float32)
TRANSPOSED_3D = RNG.normal(size=(2, 3, 2, 5, 4)).astype(np.float32)
PADS = [0, 0, 1, 2, 0, 1, 0, 0]


def _first(values: list[int], size: int) -> list[int]:
    """Values for N, H, W, C in the order N, C, H, W; ``size`` of them belong to each dimension."""
    return values[:size] + values[-size:] + values[size:-size]


def _list(values: list[int], layout: str) -> list[int]:
    size = len(values) // len(layout)
    return values if layout.endswith("C") else _first(values, size)


BUILD: dict[str, Callable[[Any, str], Any]] = {
    "Conv2D": lambda x, f: tf.raw_ops.Conv2D(
        input=x, filter=KERNEL, strides=_list([1, 2, 1, 1], f), dilations=_list([1, 1, 2, 1], f),
        padding="EXPLICIT", explicit_paddings=_list(PADS, f), data_format=f,
    ),
    "Conv3D": lambda x, f: tf.raw_ops.Conv3D(
        input=x, filter=KERNEL_3D, strides=_list([1, 1, 2, 1, 1], f), padding="SAME", data_format=f
    ),
    "DepthwiseConv2dNative": lambda x, f: tf.raw_ops.DepthwiseConv2dNative(
        input=x, filter=KERNEL, strides=_list([1, 2, 2, 1], f), padding="VALID", data_format=f
    ),
    "Conv2DBackpropInput": lambda x, f: tf.raw_ops.Conv2DBackpropInput(
        input_sizes=_list([2, 12, 7, 5], f), filter=TRANSPOSED, out_backprop=x, strides=_list([1, 2, 1, 1], f),
        padding="SAME", data_format=f,
    ),
    "Conv3DBackpropInputV2": lambda x, f: tf.raw_ops.Conv3DBackpropInputV2(
        input_sizes=_list([2, 6, 7, 10, 5], f), filter=TRANSPOSED_3D, out_backprop=x,
        strides=_list([1, 1, 1, 2, 1], f), padding="SAME", data_format=f,
    ),
    "AvgPool": lambda x, f: tf.raw_ops.AvgPool(
        value=x, ksize=_list([1, 3, 2, 1], f), strides=_list([1, 2, 1, 1], f), padding="SAME", data_format=f
    ),
    "AvgPool3D": lambda x, f: tf.raw_ops.AvgPool3D(
        input=x, ksize=_list([1, 1, 3, 2, 1], f), strides=_list([1, 1, 1, 2, 1], f), padding="SAME", data_format=f
    ),
    "MaxPool": lambda x, f: tf.raw_ops.MaxPool(
        input=x, ksize=_list([1, 3, 2, 1], f), strides=_list([1, 2, 1, 1], f), padding="VALID", data_format=f
    ),
    "MaxPool3D": lambda x, f: tf.raw_ops.MaxPool3D(
        input=x, ksize=_list([1, 1, 3, 2, 1], f), strides=_list([1, 1, 2, 1, 1], f), padding="SAME", data_format=f
    ),
    "MaxPoolV2": lambda x, f: tf.raw_ops.MaxPoolV2(
        input=x, ksize=_list([1, 3, 2, 1], f), strides=_list([1, 2, 1, 1], f), padding="SAME", data_format=f
    ),
    "DepthToSpace": lambda x, f: tf.raw_ops.DepthToSpace(input=x, block_size=2, data_format=f),
    "SpaceToDepth": lambda x, f: tf.raw_ops.SpaceToDepth(input=x[:, :6, :6] if f.endswith("C") else x[:, :, :6, :6],
                                                         block_size=2, data_format=f),
}  # fmt: skip


def _graph(op: str, layout: str, shape: tuple[int, ...]) -> Graph:
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, shape, name="x")
        tf.identity(BUILD[op](x, layout), name="y")
    return from_graph_def(built.as_graph_def())


@pytest.mark.parametrize("op", OPS)
def test_channels_first_op_is_equal_to_its_channels_last_form(op: str) -> None:
    three = "3D" in op
    x = RNG.normal(size=(2, 6, 7, 5, 4) if three else (2, 6, 7, 4)).astype(np.float32)
    last, first = ("NDHWC", "NCDHW") if three else ("NHWC", "NCHW")
    moved = np.moveaxis(x, -1, 1)
    with Session(_graph(op, last, x.shape)) as session:
        (expected,) = session.run(["y:0"], {"x:0": x})
    with Session(_graph(op, first, moved.shape)) as session:
        (found,) = session.run(["y:0"], {"x:0": moved})
    np.testing.assert_array_equal(np.moveaxis(found, 1, -1), expected)  # the same kernel ran: not one bit differs


def test_graph_is_the_same_object_when_nothing_is_channels_first() -> None:
    graph = _graph("Conv2D", "NHWC", (2, 6, 7, 4))
    assert channels_last(graph) is graph
