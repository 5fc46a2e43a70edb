"""Random small networks: the folded graph computes what the unfolded one does, with no more runtime ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_graphs import Net, build, fold, tf

PIXELS = (2, 6, 5, 3)
"""Shape of every tensor on the way, so that any two can meet: height, width and channels differ."""

AROUND = [[0, 0], [1, 1], [1, 1], [0, 0]]


def blocks(net: Net, x: Any) -> Any:
    y = tf.space_to_batch(x, [2, 2], [[1, 1], [1, 2]])
    return tf.batch_to_space(net.conv(y, 3, 1), [2, 2], [[1, 1], [2, 1]])


def channels_first(net: Net, x: Any) -> Any:
    return tf.transpose(net.unfused(tf.transpose(x, [0, 3, 1, 2]), net.name(), axis=1), [0, 2, 3, 1])


def residual(net: Net, x: Any) -> Any:
    return x + net.conv(tf.nn.relu(net.unfused(x, net.name())), 3)


ONE: dict[str, Callable[[Net, Any], Any]] = {
    "conv": lambda net, x: net.conv(x, 3),
    "conv_valid": lambda net, x: net.conv(tf.pad(x, AROUND), 3, padding="VALID"),
    "pointwise": lambda net, x: net.conv(x, 3, 1),
    "depthwise": lambda net, x: tf.nn.depthwise_conv2d(x, net.constant(2, 2, 3, 1), [1] * 4, "SAME"),
    "shared": lambda net, x: tf.nn.conv2d(x, net.shared, 1, "SAME"),
    "bias": lambda net, x: tf.nn.bias_add(x, net.constant(3)),
    "norm": lambda net, x: net.unfused(x, net.name()),
    "positive_norm": lambda net, x: net.unfused(x, net.name(), positive=True),
    "textbook": lambda net, x: net.unfused(x, net.name(), form="textbook"),
    "constant_first": lambda net, x: net.unfused(x, net.name(), form="constant_first"),
    "scale": lambda net, x: x * net.constant(3),
    "positive_scale": lambda net, x: net.constant(3, low=0.2, high=1.7) * x,
    "shift": lambda net, x: net.constant(3) - x,
    "negative": lambda net, x: -x,
    "relu": lambda net, x: tf.nn.relu(x),
    "leaky": lambda net, x: tf.nn.leaky_relu(x, 0.3),
    "prelu": lambda net, x: tf.nn.relu(x) - net.constant(3) * tf.nn.relu(-x),
    "tanh": lambda net, x: tf.tanh(x),
    "clip": lambda net, x: tf.minimum(tf.maximum(x, net.array()), net.array() + 2),
    "max_pool": lambda net, x: tf.nn.max_pool2d(x, 2, 1, "SAME"),
    "average_pool": lambda net, x: tf.nn.avg_pool2d(x, 3, 1, "SAME"),
    "pad": lambda net, x: tf.pad(x, AROUND)[:, 2:, 2:, :],
    "pad_crop": lambda net, x: tf.pad(x / 1.5 + 0.25, AROUND)[:, 1:-1, 1:-1],
    "mirror": lambda net, x: tf.pad(x, AROUND, "SYMMETRIC")[:, :-2, :-2],
    "resize": lambda net, x: tf.cast(tf.raw_ops.ResizeNearestNeighbor(images=x[:, :3], size=[6, 5]), x.dtype),
    "flatten": lambda net, x: tf.reshape(net.dense(tf.reshape(x, [2, 90]), 90), PIXELS),
    "channels_first": channels_first,
    "blocks": blocks,
    "residual": residual,
    "swap": lambda net, x: tf.concat(tf.split(x, [1, 2], 3)[::-1], 3),
}

TWO: dict[str, Callable[[Net, Any, Any], Any]] = {
    "add": lambda net, x, y: x + y,
    "sub": lambda net, x, y: x - y,
    "maximum": lambda net, x, y: tf.maximum(x, y),
    "concat": lambda net, x, y: net.conv(net.unfused(tf.concat([x, y], 3), net.name()), 3, 1),
    "split": lambda net, x, y: tf.concat([tf.split(x, [1, 2], 3)[1], tf.split(y, [1, 2], 3)[0]], 3),
}

PROGRAMS = st.lists(st.tuples(st.sampled_from([*ONE, *TWO, "output"]), st.integers(0, 200)), min_size=2, max_size=12)


@given(program=PROGRAMS, seed=st.integers(0, 1000), chain=st.booleans(), only_last=st.booleans())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_folded_network_is_the_network(program: list[tuple[str, int]], seed: int, chain: bool, only_last: bool) -> None:
    """In float64, within 4e-12 of the largest value of each output, or of 1 where the output cancels to less.

    The values on the way are larger than the output at times: a dozen blocks with factors of up to 8.
    """

    def network(net: Net, x: Any) -> Any:
        tensors, outputs = [x], []
        net.shared = net.constant(3, 3, 3, 3)
        net.name = lambda: f"norm_{len(net.norms)}"
        for block, pick in program:
            one, other = tensors[-1 if chain else pick % len(tensors)], tensors[pick // 7 % len(tensors)]
            if block == "output":
                outputs.append(one)
            else:
                tensors.append(ONE[block](net, one) if block in ONE else TWO[block](net, one, other))
        leaves = [t for t in tensors if not t.consumers()]
        return [*(leaves[-1:] if only_last else leaves), *outputs]

    fold(build(network, PIXELS, seed=seed, dtype=tf.float64), units=2**14, least=1.0)
