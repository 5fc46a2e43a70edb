"""The minimum: on each kind of network, only the batch norms are left that no row can legally move.

Gammas have both signs here, as training leaves them; networks whose gammas are all positive fold at least as far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras_networks import frozen, kept_names, randomise
from small_graphs import Net, build, fold, ops, tf

from bnfold.graph import Graph
from bnfold.graph.stages import Folding, InferenceGraph

keras = tf.keras
applications = keras.applications


def application(name: str, size: int = 32, **options: Any) -> InferenceGraph:
    keras.backend.clear_session()
    model = getattr(applications, name)(weights=None, input_shape=(size, size, 3), classes=7, **options)
    randomise(model, seed=len(name))
    return frozen(model)


NOTHING_LEFT: dict[str, Callable[[], InferenceGraph]] = {
    "ResNet50": lambda: application("ResNet50"),
    "InceptionV3": lambda: application("InceptionV3", 75),
    "Xception": lambda: application("Xception", 71),
    "MobileNet": lambda: application("MobileNet"),
    "MobileNetV2": lambda: application("MobileNetV2", alpha=0.35),
    "MobileNetV3Small": lambda: application("MobileNetV3Small"),
    "EfficientNetB0": lambda: application("EfficientNetB0"),
    "NASNetMobile": lambda: application("NASNetMobile"),
}


@pytest.mark.parametrize("name", NOTHING_LEFT)
def test_no_norm_is_left(name: str) -> None:
    inference = NOTHING_LEFT[name]()
    folding = fold(inference, units=2**11)
    assert len(folding.fates) > 20
    assert kept_names(folding.fates) == []
    assert "FusedBatchNormV3" not in ops(folding)
    assert folding.parameters_added == 0


def test_norms_left_of_resnet_v2_feed_a_relu_from_a_shortcut() -> None:
    """conv, then add: the sum is read by the shortcut too. So each ``preact`` and the last norm stay, where the sum
    (or its max pool, which a scale below 0 does not pass) comes before; the norms inside the blocks go."""
    folding = fold(application("ResNet50V2"), units=2**11)
    kept = kept_names(folding.fates)
    assert {name.split("/")[-1].removesuffix("_1") for name in kept} == {
        *(f"conv2_block{i}_preact_bn" for i in (1, 2, 3)),
        *(f"conv3_block{i}_preact_bn" for i in (1, 2, 3, 4)),
        *(f"conv4_block{i}_preact_bn" for i in (1, 2, 3, 4, 5, 6)),
        *(f"conv5_block{i}_preact_bn" for i in (1, 2, 3)),
        "post_bn",
    }
    assert_only_what_cannot_move(folding)


def test_norms_left_of_densenet_feed_a_relu_from_a_shared_concat() -> None:
    folding = fold(application("DenseNet121"), units=2**11)
    kept = {name.split("/")[-1].removesuffix("_1") for name in kept_names(folding.fates)}
    blocks = {2: 6, 3: 12, 4: 24, 5: 16}
    assert kept == {
        *(f"conv{stage}_block{i + 1}_0_bn" for stage, count in blocks.items() for i in range(count)),
        *("pool2_bn", "pool3_bn", "pool4_bn", "bn"),
    }
    assert_only_what_cannot_move(folding)


def assert_only_what_cannot_move(folding: Folding) -> None:
    """Each batch norm left is one op; a ReLU reads it, and another op reads something that it would have to change."""
    graph = folding.inference.graph
    left = [node for node in graph if node.op == "FusedBatchNormV3"]
    assert len(left) == len(kept_names(folding.fates))
    for node in left:
        assert {reader.op for reader in graph.readers(node.output)} == {"Relu"}
        assert is_shared_before(graph, node.inputs[0])


def is_shared_before(graph: Graph, tensor: str) -> bool:
    """Whether something else reads ``tensor``, or what it is pooled, joined or summed from."""
    if len(graph.readers(tensor)) > 1:
        return True
    producer = graph.producer_of(tensor)
    if producer.op == "MaxPool":
        return True
    through = ("Pad", "AddV2", "ConcatV2", "AvgPool")
    return producer.op in through and any(is_shared_before(graph, t) for t in producer.inputs)


# Networks that Keras does not ship


def vgg(net: Net, x: Any) -> Any:
    for i, width in enumerate([6, 6, 8, 8]):
        x = tf.nn.relu(net.fused(net.bias(net.conv(x, width, name=f"conv{i}"), f"bias{i}"), f"bn{i}"))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME") if i % 2 else x
    x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
    return net.dense(tf.nn.relu(net.unfused(net.dense(x, 9, "fc"), "bn_fc")), 5, "logits")


def inception(net: Net, x: Any) -> Any:
    """GoogLeNet's and Inception-v4's branches: each convolution has its norm, pooling comes before one."""

    def unit(y: Any, width: int, size: int, name: str) -> Any:
        return tf.nn.relu(net.fused(net.conv(y, width, size, name=name), f"{name}_bn"))

    pooled = unit(tf.nn.avg_pool2d(x, 3, 1, "SAME"), 4, 1, "pool")
    branches = [unit(x, 3, 1, "one"), unit(unit(x, 2, 1, "a"), 5, 3, "three"), pooled]
    return unit(tf.concat(branches, 3), 6, 3, "after")


def inception_resnet(net: Net, x: Any) -> Any:
    """Inception-ResNet's block: the branches' concat, linear and scaled by 0.17, is added to the shortcut."""
    for i in range(2):
        one = tf.nn.relu(net.fused(net.conv(x, 3, 1, name=f"one{i}"), f"one{i}_bn"))
        three = tf.nn.relu(net.fused(net.conv(x, 4, name=f"three{i}"), f"three{i}_bn"))
        up = net.bias(net.conv(tf.concat([one, three], 3), 3, 1, name=f"up{i}"), f"up{i}_bias")
        x = tf.nn.relu(x + 0.17 * up)
    return x


def mnasnet(net: Net, x: Any) -> Any:
    """Inverted bottlenecks with a squeeze and excitation, and a residual around."""
    for i in range(2):
        y = tf.nn.relu(net.fused(net.conv(x, 8, 1, name=f"expand{i}"), f"expand{i}_bn"))
        y = tf.nn.depthwise_conv2d(y, net.constant(3, 3, 8, 1), [1] * 4, "SAME", name=f"depthwise{i}")
        y = tf.nn.relu(net.fused(y, f"depthwise{i}_bn"))
        gate = tf.reduce_mean(y, [1, 2], keepdims=True)
        y = y * tf.sigmoid(net.bias(net.conv(gate, 8, 1, name=f"gate{i}"), f"gate{i}_bias"))
        x = x + net.fused(net.conv(y, 3, 1, name=f"project{i}"), f"project{i}_bn")
    return x


def pyramid(net: Net, x: Any) -> Any:
    """A segmenter: norms after a transposed convolution, after an up-sampling, after a concat of two branches."""
    down = tf.nn.relu(net.fused(net.conv(x, 6, strides=2, name="down"), "down_bn"))
    up = tf.nn.conv2d_transpose(down, net.constant(3, 3, 4, 6), (2, 8, 12, 4), 2, name="up")
    up = tf.nn.relu(net.fused(up, "up_bn"))
    coarse = tf.raw_ops.ResizeBilinear(images=net.conv(down, 5, 1, name="coarse"), size=[8, 12])
    both = net.fused(tf.concat([net.conv(up, 3, name="fine"), coarse], 3), "both_bn")
    return net.conv(tf.nn.relu(both), 2, 1, name="logits")


def pointnet(net: Net, x: Any) -> Any:
    """Dense layers shared by the points, written as 1-D convolutions and matrix products."""
    x = net.unfused(net.bias(tf.nn.conv1d(x, net.constant(1, 4, 8), 1, "VALID"), "b1"), "bn1")
    x = net.unfused(tf.einsum("bpc,cd->bpd", tf.nn.relu(x), net.constant(8, 16)), "bn2")
    return net.unfused(net.dense(tf.reduce_max(tf.nn.relu(x), 1), 6), "bn3")


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (vgg, (None, 12, 8, 3)),
        (inception, (None, 9, 8, 3)),
        (inception_resnet, (None, 9, 8, 3)),
        (mnasnet, (None, 9, 8, 3)),
        (pyramid, (2, 8, 12, 3)),
        (pointnet, (None, 10, 4)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_norm_is_left_of_a_network_by_hand(
    network: Callable[[Net, Any], Any], shape: tuple[int | None, ...]
) -> None:
    folding = fold(build(network, shape), units=256)
    assert kept_names(folding.fates) == []
    assert not {"FusedBatchNormV3", "Mul"} & set(ops(folding)) or network is mnasnet


def test_what_goes_into_a_norm_of_densenet_splits_when_nobody_else_reads_it() -> None:
    """The last unit of a dense block whose branches are all convolutions: each takes its part."""

    def network(net: Net, x: Any) -> Any:
        y = tf.nn.relu(net.fused(net.conv(x, 4, name="stem"), "stem_bn"))
        branches = [net.conv(y, n, name=f"branch{n}") for n in (2, 3, 5)]
        return net.conv(tf.nn.relu(net.fused(tf.concat(branches, 3), "bn")), 3, name="head")

    folding = fold(build(network, (None, 7, 6, 3)))
    assert folding.fates[1].into == ("branch2", "branch3", "branch5")  # type: ignore[union-attr]
