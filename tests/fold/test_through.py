"""Each row that lets a map through, backward and forward: numbers, structure, and where it must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from small_graphs import Net, build, fold, ops, tf

from bnfold.fold.rules import LINEAR_OPS, THROUGH_OPS
from bnfold.graph.stages import Folded, Kept

raw = tf.raw_ops


@dataclass(frozen=True)
class Case:
    """One op between a linear op and a batch norm.

    Attributes
    ----------
    op : str
        Its type.
    between : callable
        (net, tensor of shape (2, 8, 6, 4)) → the op's result.
    positive : bool
        Needs a scale of at least 0 ...
    unshifted : bool
        ... and a shift of 0.
    backward, forward : bool
        Whether a batch norm may go that way.
    """

    op: str
    between: Callable[[Net, Any], Any]
    positive: bool = False
    unshifted: bool = False
    backward: bool = True
    forward: bool = True


def two_linear(op: Callable[[Any, Any], Any]) -> Callable[[Net, Any], Any]:
    """``op`` of the tensor and of another branch that can take a map."""
    return lambda net, y: op(y, net.conv(net.other, int(y.shape[-1]), 1, name="other"))


CASES = {
    "identity": Case("Identity", lambda net, y: tf.identity(y)),
    "stop_gradient": Case("StopGradient", lambda net, y: tf.stop_gradient(y)),
    "prevent_gradient": Case("PreventGradient", lambda net, y: raw.PreventGradient(input=y)),
    "snapshot": Case("Snapshot", lambda net, y: raw.Snapshot(input=y)),
    "ensure_shape": Case("EnsureShape", lambda net, y: tf.ensure_shape(y, [2, 8, 6, 4])),
    "reshape": Case("Reshape", lambda net, y: tf.reshape(y, [2, 4, 2, 6, 4])),
    "reshape_to_groups": Case("Reshape", lambda net, y: tf.reshape(y, [2, 8, 6, 2, 2]), forward=False),
    "flatten": Case("Reshape", lambda net, y: tf.reshape(y, [2, -1]), backward=False),
    "expand": Case("ExpandDims", lambda net, y: tf.expand_dims(y, 1)),
    "squeeze": Case("Squeeze", lambda net, y: tf.squeeze(tf.expand_dims(y, 3), 3)),
    "transpose": Case("Transpose", lambda net, y: tf.transpose(y, [2, 0, 1, 3])),
    "space_to_batch": Case("SpaceToBatchND", lambda net, y: tf.space_to_batch(y, [2, 3], [[0, 0], [0, 0]])),
    "space_to_batch_padded": Case(
        "SpaceToBatchND", lambda net, y: tf.space_to_batch(y, [3, 4], [[1, 0], [0, 2]]), unshifted=True
    ),
    "batch_to_space": Case("BatchToSpaceND", lambda net, y: tf.batch_to_space(y, [2, 1], [[1, 0], [0, 0]])),
    "old_space_to_batch": Case(
        "SpaceToBatch", lambda net, y: raw.SpaceToBatch(input=y, paddings=[[0, 0]] * 2, block_size=2)
    ),
    "old_batch_to_space": Case(
        "BatchToSpace",
        lambda net, y: raw.BatchToSpace(input=tf.concat([y, y], 0), crops=[[0, 1]] * 2, block_size=2),
    ),
    "depth_to_space": Case("DepthToSpace", lambda net, y: tf.nn.depth_to_space(y, 2), forward=False),
    "space_to_depth": Case("SpaceToDepth", lambda net, y: tf.nn.space_to_depth(y, 2), backward=False),
    "tile": Case("Tile", lambda net, y: tf.tile(y, [1, 2, 3, 1])),
    "slice": Case("Slice", lambda net, y: tf.slice(y, [0, 1, 2, 1], [-1, 3, 2, 3])),
    "strided_slice": Case("StridedSlice", lambda net, y: y[:, ::2, 1:-1, ::-1]),
    "strided_slice_new_axis": Case("StridedSlice", lambda net, y: y[:, tf.newaxis, 2, ..., 1:3]),
    "concat": Case("ConcatV2", two_linear(lambda a, b: tf.concat([a, b], 3))),
    "old_concat": Case("Concat", two_linear(lambda a, b: raw.Concat(concat_dim=3, values=[a, b]))),
    "concat_constant": Case("ConcatV2", lambda net, y: tf.concat([y, net.constant(2, 8, 6, 3)], 3)),
    "concat_rows": Case("ConcatV2", two_linear(lambda a, b: tf.concat([a, b], 1)), forward=False),
    "split": Case("Split", lambda net, y: tf.split(y, 2, 3)[1]),
    "split_uneven": Case("SplitV", lambda net, y: tf.split(y, [1, 3], 3)[1]),
    "average_pool": Case("AvgPool", lambda net, y: tf.nn.avg_pool2d(y, 3, 2, "SAME")),
    "average_pool_3d": Case("AvgPool3D", lambda net, y: tf.nn.avg_pool3d(tf.expand_dims(y, 1), [1, 3, 2], 1, "SAME")),
    "max_pool": Case("MaxPool", lambda net, y: tf.nn.max_pool2d(y, 3, 2, "SAME"), positive=True),
    "max_pool_3d": Case(
        "MaxPool3D", lambda net, y: tf.nn.max_pool3d(tf.expand_dims(y, 1), [1, 3, 2], 1, "SAME"), positive=True
    ),
    "mean": Case("Mean", lambda net, y: tf.reduce_mean(y, [1, 2])),
    "mean_kept": Case("Mean", lambda net, y: tf.reduce_mean(y, [1, 2], keepdims=True)),
    "sum": Case("Sum", lambda net, y: tf.reduce_sum(y, [1, 2])),
    "max": Case("Max", lambda net, y: tf.reduce_max(y, [1, 2]), positive=True),
    "min": Case("Min", lambda net, y: tf.reduce_min(y, [1, 2]), positive=True),
    "resize_bilinear": Case(
        "ResizeBilinear", lambda net, y: raw.ResizeBilinear(images=y, size=[5, 9], half_pixel_centers=True)
    ),
    "resize_nearest": Case("ResizeNearestNeighbor", lambda net, y: raw.ResizeNearestNeighbor(images=y, size=[16, 12])),
    "resize_bicubic": Case(
        "ResizeBicubic", lambda net, y: raw.ResizeBicubic(images=y, size=[5, 9], half_pixel_centers=True)
    ),
    "resize_bicubic_legacy": Case("ResizeBicubic", lambda net, y: raw.ResizeBicubic(images=y, size=[5, 9])),
    "resize_area": Case("ResizeArea", lambda net, y: raw.ResizeArea(images=y, size=[4, 3])),
    "mirror_pad": Case("MirrorPad", lambda net, y: tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 0]], "REFLECT")),
    "pad": Case("Pad", lambda net, y: tf.pad(y, [[0, 0], [1, 2], [2, 1], [0, 0]]), unshifted=True),
    "pad_v2": Case(
        "PadV2",
        lambda net, y: raw.PadV2(input=y, paddings=[[0, 0], [1, 2], [2, 1], [0, 0]], constant_values=0.0),
        unshifted=True,
    ),
    "pad_nothing": Case("Pad", lambda net, y: tf.pad(y, [[0, 0]] * 4)),
    "relu": Case("Relu", lambda net, y: tf.nn.relu(y), positive=True, unshifted=True),
    "leaky_relu": Case("LeakyRelu", lambda net, y: tf.nn.leaky_relu(y, 0.3), positive=True, unshifted=True),
    "maximum": Case("Maximum", lambda net, y: tf.maximum(y, np.float32(0.2)), positive=True),
    "minimum_first": Case("Minimum", lambda net, y: tf.minimum(np.float32(0.2), y), positive=True),
    "maximum_vector": Case("Maximum", lambda net, y: tf.maximum(y, net.constant(int(y.shape[-1]))), positive=True),
    "maximum_branches": Case("Maximum", two_linear(tf.maximum), positive=True, forward=False),
    "add": Case("AddV2", two_linear(tf.add), forward=False),
    "old_add": Case("Add", two_linear(lambda a, b: raw.Add(x=a, y=b)), forward=False),
    "add_n": Case("AddN", two_linear(lambda a, b: tf.add_n([a, b])), forward=False),
    "sub": Case("Sub", two_linear(tf.subtract), forward=False),
}

INPUT = (2, 8, 6, 4)


def norm(net: Net, y: Any, case: Case) -> Any:
    """An unfused batch norm; a scale alone where the row wants no shift."""
    if not case.unshifted:
        return net.unfused(y, positive=case.positive)
    gamma = net.array(int(y.shape[-1]), low=0.3, high=1.6)
    z = tf.multiply(y, tf.constant(gamma), name="bn")
    net.note("bn", y, z, ("bn",), y.shape.rank - 1, (gamma,) * 4)
    return z


def build_backward(case: Case) -> Any:
    def network(net: Net, x: Any, other: Any) -> Any:
        net.other = other
        y = net.conv(x, 4, 1, name="linear")
        return tf.nn.tanh(norm(net, case.between(net, y), case))

    return build(network, INPUT, INPUT, seed=len(case.op))


def build_forward(case: Case) -> Any:
    def network(net: Net, x: Any, other: Any) -> Any:
        net.other = tf.nn.tanh(other)
        y = case.between(net, norm(net, tf.nn.tanh(x), case))
        return tf.nn.tanh(net.dense(tf.reshape(y, [-1, y.shape[-1]]), 5, name="linear"))

    return build(network, INPUT, INPUT, seed=len(case.op))


@pytest.mark.parametrize("name", CASES)
def test_map_goes_backward_through_the_op_or_is_kept(name: str) -> None:
    case = CASES[name]
    inference = build_backward(case)
    folding = fold(inference)
    left = [op for op in ops(folding) if op in ("Mul", "FusedBatchNormV3")]
    if case.backward:
        assert isinstance(folding.fates[0], Folded), folding.fates[0]
        assert "linear" in folding.fates[0].into
        assert THROUGH_OPS[case.op].name in folding.fates[0].rule
        assert not left
    else:
        assert isinstance(folding.fates[0], Kept)
        assert left


@pytest.mark.parametrize("name", CASES)
def test_map_goes_forward_through_the_op_or_is_kept(name: str) -> None:
    case = CASES[name]
    inference = build_forward(case)
    folding = fold(inference)
    left = [op for op in ops(folding) if op in ("Mul", "FusedBatchNormV3")]
    if case.forward:
        assert isinstance(folding.fates[0], Folded), folding.fates[0]
        assert folding.fates[0].into == ("linear",)
        assert THROUGH_OPS[case.op].name in folding.fates[0].rule
        assert not left
    else:
        assert isinstance(folding.fates[0], Kept)
        assert left


REFUSALS = {name: case for name, case in CASES.items() if case.positive or case.unshifted}


@pytest.mark.parametrize("direction", ["backward", "forward"])
@pytest.mark.parametrize("name", REFUSALS)
def test_map_is_kept_when_the_op_would_turn_its_sign_or_lose_its_shift(name: str, direction: str) -> None:
    case = REFUSALS[name]
    loose = Case(case.op, case.between)
    folding = fold((build_backward if direction == "backward" else build_forward)(loose))
    assert isinstance(folding.fates[0], Kept)


def test_every_row_is_tested() -> None:
    assert {case.op for case in CASES.values()} == set(THROUGH_OPS)
    assert not set(LINEAR_OPS) & set(THROUGH_OPS)
