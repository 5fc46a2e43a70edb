"""Maps that nothing before them can take, absorbed by what comes after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_graphs import Net, build, fold, ops, tf

from bnfold.fold import fold_batch_norms
from bnfold.graph.stages import Folded, Kept

NHWC = (None, 7, 6, 4)


def after_relu(net: Net, x: Any, positive: bool = False) -> Any:
    return net.unfused(tf.nn.relu(x), positive=positive)


FORWARD: dict[str, Callable[[Net, Any], Any]] = {
    "conv_valid": lambda net, x: net.conv(x, 5, padding="VALID", name="linear"),
    "conv_1x1_same": lambda net, x: net.conv(x, 5, 1, name="linear"),
    "conv_1x1_strided": lambda net, x: net.conv(x, 5, 1, strides=2, name="linear"),
    "conv_same_that_pads_nothing": lambda net, x: net.conv(x[:, :6], 5, 2, strides=2, name="linear"),
    "conv_grouped": lambda net, x: tf.nn.conv2d(x, net.constant(3, 3, 2, 6), 1, "VALID", name="linear"),
    "depthwise": lambda net, x: tf.nn.depthwise_conv2d(x, net.constant(3, 2, 4, 3), [1] * 4, "VALID", name="linear"),
    "conv3d": lambda net, x: tf.nn.conv3d(x[:, None], net.constant(1, 3, 2, 4, 5), [1] * 5, "VALID", name="linear"),
    "dense": lambda net, x: net.dense(tf.reshape(x, [-1, 4]), 5, name="linear"),
    "dense_transposed": lambda net, x: tf.matmul(
        tf.reshape(x, [-1, 4]), net.constant(5, 4), transpose_b=True, name="linear"
    ),
    "flatten_dense": lambda net, x: net.dense(tf.reshape(x, [-1, 7 * 6 * 4]), 5, name="linear"),
    "explicit_without_padding": lambda net, x: tf.nn.conv2d(
        x, net.constant(3, 3, 4, 5), 1, [[0, 0]] * 4, name="linear"
    ),
    "dense_of_three_axes": lambda net, x: tf.nn.bias_add(
        tf.matmul(tf.reshape(x, [-1, 6, 4]), net.constant(4, 5), name="linear"), net.constant(5)
    ),
    "einsum": lambda net, x: tf.nn.bias_add(
        tf.einsum("abcd,dec->abe", x, net.constant(4, 5, 6), name="linear"), net.constant(5)
    ),
}


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("case", FORWARD)
def test_norm_is_in_the_weights_when_what_follows_can_take_it(case: str, biased: bool) -> None:
    def network(net: Net, x: Any) -> Any:
        y = FORWARD[case](net, after_relu(net, x))
        return tf.nn.tanh(y + net.constant(y.shape[-1]) if biased else y)

    folding = fold(build(network, NHWC, seed=len(case)))
    (fate,) = folding.fates
    assert isinstance(fate, Folded), fate
    assert fate.into == (("linear/einsum/Einsum" if case == "einsum" else "linear"),) or case == "einsum"
    arithmetic = [op for op in ops(folding) if op in ("Mul", "Sub", "Add", "AddV2", "BiasAdd")]
    assert arithmetic in (["BiasAdd"], ["BiasAdd", "AddV2"])
    assert len(arithmetic) == 1 or (biased and case in ("dense_of_three_axes", "einsum")) or case == "conv3d"


def test_value_keeps_its_name_when_an_output_gets_a_bias() -> None:
    folding = fold(build(lambda net, x: net.dense(after_relu(net, x), 5, name="logits"), (None, 4)))
    assert [e.tensor for e in folding.inference.outputs] == ["logits:0"]
    assert ops(folding) == ["Relu", "MatMul", "BiasAdd"]


def test_norm_is_in_all_when_several_readers_follow() -> None:
    def network(net: Net, x: Any) -> Any:
        y = after_relu(net, x)
        return net.conv(y, 5, 1, name="one"), net.conv(y, 3, padding="VALID", name="two")

    folding = fold(build(network, NHWC))
    assert folding.fates == (Folded("bn", ("one", "two"), "convolution"),)


def test_norm_is_kept_when_one_of_several_readers_cannot_take_it() -> None:
    def network(net: Net, x: Any) -> Any:
        y = after_relu(net, x)
        return net.conv(y, 5, 1, name="one"), tf.nn.tanh(y, name="other")

    (fate,) = fold(build(network, NHWC)).fates
    assert isinstance(fate, Kept)
    assert "other is a Tanh" in fate.reason


@pytest.mark.parametrize(
    ("linear", "word"),
    [
        (lambda net, y: net.conv(y, 5), "zeros beyond the border"),
        (
            lambda net, y: tf.nn.conv2d(y, net.constant(3, 3, 4, 5), 1, [[0, 0], [1, 0], [0, 0], [0, 0]]),
            "beyond the border",
        ),
        (lambda net, y: tf.nn.conv2d(y, net.constant(2, 2, 4, 5), 1, "SAME", dilations=3), "border"),
        (lambda net, y: tf.nn.conv2d_transpose(y, net.constant(2, 2, 5, 4), (2, 14, 12, 5), 2), "border"),
    ],
)
def test_norm_is_kept_when_the_border_lacks_its_shift(linear: Callable[[Net, Any], Any], word: str) -> None:
    (fate,) = fold(build(lambda net, x: tf.nn.tanh(linear(net, net.fused(tf.nn.relu(x)))), (2, 7, 6, 4))).fates
    assert isinstance(fate, Kept)
    assert word in fate.reason


@pytest.mark.parametrize("linear", ["same", "transposed"])
def test_scale_is_in_the_kernel_when_the_shift_is_zero(linear: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.relu(x) * net.constant(4)
        if linear == "same":
            return net.conv(y, 5)
        return tf.nn.conv2d_transpose(y, net.constant(3, 3, 5, 4), (2, 14, 12, 5), 2)

    folding = fold(build(network, (2, 7, 6, 4)))
    assert "Mul" not in ops(folding)
    assert len(folding.others) == 1


# Input normalisation


def test_input_normalisation_is_in_the_first_layer() -> None:
    def network(net: Net, x: Any) -> Any:
        y = (x - net.constant(4)) / net.constant(4, low=0.5, high=2.0)
        return tf.nn.relu(net.unfused(net.conv(y, 5, padding="VALID", name="stem")))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]
    assert {other.into for other in folding.others} == {("stem",)}
    assert len(folding.others) == 2


def test_pad_takes_the_value_that_normalises_to_zero() -> None:
    """x / 127.5 - 1, then zeros around it: the same as 127.5 around x."""

    def network(net: Net, x: Any) -> Any:
        y = tf.pad(x / 127.5 - 1.0, [[0, 0], [1, 1], [1, 0], [0, 0]])
        return tf.nn.relu(net.conv(y, 5, padding="VALID"))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["PadV2", "Conv2D", "BiasAdd", "Relu"]
    (pad,) = [node for node in folding.inference.graph if node.op == "PadV2"]
    assert folding.inference.graph.value(pad.inputs[2]) == np.float32(127.5)


def test_scale_alone_is_in_the_first_layer_when_zeros_are_padded() -> None:
    def network(net: Net, x: Any) -> Any:
        return tf.nn.relu(net.conv((x - net.constant(4)) / net.constant(4, low=0.5, high=2.0), 5))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["AddV2", "Conv2D", "Relu"]


@pytest.mark.parametrize("far", [False, True])
def test_features_far_from_zero_are_subtracted_before_they_are_multiplied(far: bool) -> None:
    """A year: 2013 ± 5. In float32, w·x - w·2013 has 9 bits less than w·(x - 2013); the division can move."""

    def network(net: Net, x: Any) -> Any:
        mean = np.float32(2013.0 if far else 20.13)
        return net.dense((x - np.array([mean, 3.0, -2.0, 0.5], np.float32)) / np.float32(5.0), 5)

    inference = build(network, (None, 4))
    assert ops(fold_batch_norms(inference)) == (["AddV2", "MatMul"] if far else ["MatMul", "BiasAdd"])


@pytest.mark.parametrize(("mean", "kept"), [(100.0, False), (3000.0, True)])
def test_norm_of_an_input_far_from_zero_is_kept(mean: float, kept: bool) -> None:
    def network(net: Net, x: Any) -> Any:
        vectors = (np.ones(4), np.zeros(4), np.array([1.0, mean, 0.0, 2.0]), np.full(4, 4.0))
        return net.dense(net.unfused(x, vectors=vectors), 5)

    (fate,) = fold_batch_norms(build(network, (None, 4))).fates
    assert isinstance(fate, Kept) == kept
    if isinstance(fate, Kept):
        assert "1500 times farther from 0 than it varies" in fate.reason


# Rectifiers


@pytest.mark.parametrize("slope", ["relu", "leaky", "prelu"])
def test_positive_scale_goes_through_a_rectifier_when_that_saves_an_op(slope: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.tanh(x) * net.constant(4, low=0.3, high=1.8)
        if slope == "relu":
            y = tf.nn.relu(y)
        elif slope == "leaky":
            y = tf.nn.leaky_relu(y)
        else:
            y = tf.nn.relu(y) + (-net.array(4)) * tf.nn.relu(-y)
        return tf.nn.tanh(net.conv(y, 5, name="linear"))

    inference = build(network, NHWC)
    folding = fold(inference)
    assert ops(folding).count("Mul") == ops(inference).count("Mul") - 1
    assert [other.into for other in folding.others][-1] == ("linear",)


def test_scale_alone_goes_through_a_rectifier_when_the_shift_stays() -> None:
    """Mul and Add before a ReLU become an Add: the batch norm is not gone, but it is one op less."""
    folding = fold(
        build(lambda net, x: tf.nn.tanh(net.dense(tf.nn.relu(net.unfused(tf.tanh(x), positive=True)), 5)), (None, 4))
    )
    assert ops(folding) == ["Tanh", "AddV2", "Relu", "MatMul", "Tanh"]
    (fate,) = folding.fates
    assert isinstance(fate, Kept)
    assert "its scale alone went into dense" in fate.reason


def test_output_stays_when_two_maps_cancel() -> None:
    """-(c - x), with a pad between: what the first lacks the second has, but the second is an output."""

    def network(net: Net, x: Any) -> Any:
        return tf.negative(tf.pad(net.constant(4) - x, [[0, 0], [1, 1], [0, 0], [0, 0]]), name="output")

    folding = fold(build(network, NHWC))
    assert [e.tensor for e in folding.inference.outputs] == ["output:0"]


# Composition


def test_norms_in_a_row_are_one_map() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.unfused(net.conv(x, 5), "bn1", form="textbook")
        y = (net.fused(y, "bn2") - net.constant(5)) / net.constant(5, low=0.5, high=2.0)
        return tf.nn.relu(net.constant(5) - net.constant(5) * y)

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]
    assert [fate.into for fate in folding.fates] == [("conv",), ("conv",)]
    assert len(folding.others) == 4


def test_norms_that_stay_become_one() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.fused(tf.nn.tanh(x), "bn1")
        return tf.nn.relu(net.unfused(y * net.constant(4), "bn2"))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["Tanh", "FusedBatchNormV3", "Relu"]
    first, second = folding.fates
    assert first == Folded("bn1", ("bn2",), "constant map")
    assert isinstance(second, Kept)


def test_norm_joins_another_beyond_a_view() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.unfused(tf.nn.tanh(x), "bn1")
        return tf.nn.relu(net.unfused(tf.reshape(y, [-1, 42, 4]), "bn2"))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["Tanh", "Reshape", "Mul", "AddV2", "Relu"]


@pytest.mark.parametrize("first", ["fused", "unfused"])
@pytest.mark.parametrize("second", ["fused", "unfused"])
def test_norm_joins_another_beyond_a_pool(first: str, second: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = getattr(net, first)(tf.nn.tanh(x), "bn1")
        return tf.nn.relu(getattr(net, second)(tf.nn.avg_pool2d(y, 2, 2, "SAME"), "bn2"))

    folding = fold(build(network, NHWC))
    assert ops(folding) == ["Tanh", "AvgPool", "FusedBatchNormV3", "Relu"]
    assert isinstance(folding.fates[0], Folded)
    assert isinstance(folding.fates[1], Kept)


def test_map_that_does_nothing_is_gone() -> None:
    folding = fold(build(lambda net, x: tf.nn.relu(tf.nn.tanh(x) * 1.0 + 0.0), NHWC))
    assert ops(folding) == ["Tanh", "Relu"]
    assert folding.others == ()


def test_residual_around_a_norm_is_not_taken_for_a_chain() -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.tanh(x)
        return tf.nn.relu(y + net.fused(net.fused(y, "bn1"), "bn2"))

    folding = fold(build(network, NHWC))
    assert ops(folding).count("FusedBatchNormV3") == 1
