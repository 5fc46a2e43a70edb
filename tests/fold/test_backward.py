"""Batch norms that what comes before them absorbs: outcome, structure, numbers, and refusals that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_graphs import Net, build, fold, names_of, ops, tf

from bnfold.fold import fold_batch_norms
from bnfold.graph.stages import Folded, Kept

NHWC = (None, 7, 6, 3)


def transposed(net: Net, x: Any) -> Any:
    return tf.nn.conv2d_transpose(x, net.constant(3, 3, 5, 3), (2, 14, 12, 5), 2, name="linear")


def transposed_3d(net: Net, x: Any) -> Any:
    return tf.nn.conv3d_transpose(x, net.constant(2, 2, 2, 4, 3), (2, 8, 6, 4, 4), 2, name="linear")


LINEAR: dict[str, tuple[Callable[[Net, Any], Any], tuple[int | None, ...]]] = {
    "conv2d": (lambda net, x: net.conv(x, 5, name="linear"), NHWC),
    "conv2d_strided": (lambda net, x: net.conv(x, 5, strides=2, name="linear"), NHWC),
    "conv2d_dilated": (
        lambda net, x: tf.nn.conv2d(x, net.constant(3, 3, 3, 5), 1, "SAME", dilations=2, name="linear"),
        NHWC,
    ),
    "conv2d_grouped": (
        lambda net, x: tf.nn.conv2d(x, net.constant(3, 3, 2, 9), 1, "SAME", name="linear"),
        (2, 7, 5, 6),
    ),
    "conv2d_square": (lambda net, x: net.conv(x, 5, name="linear"), (5, 5, 5, 5)),
    "depthwise": (
        lambda net, x: tf.nn.depthwise_conv2d(x, net.constant(3, 3, 3, 2), [1, 1, 1, 1], "SAME", name="linear"),
        NHWC,
    ),
    "conv3d": (
        lambda net, x: tf.nn.conv3d(x, net.constant(2, 3, 2, 3, 4), [1] * 5, "SAME", name="linear"),
        (2, 4, 5, 6, 3),
    ),
    "transposed": (transposed, (2, 7, 6, 3)),
    "transposed_3d": (transposed_3d, (2, 4, 3, 2, 3)),
    "matmul": (lambda net, x: net.dense(x, 5, name="linear"), (None, 3)),
    "matmul_square": (lambda net, x: net.dense(x, 4, name="linear"), (4, 4)),
    "matmul_transposed": (lambda net, x: tf.matmul(x, net.constant(5, 3), transpose_b=True, name="linear"), (None, 3)),
    "matmul_both_transposed": (
        lambda net, x: tf.matmul(x, net.constant(5, 3), transpose_a=True, transpose_b=True, name="linear"),
        (3, 4),
    ),
}


@pytest.mark.parametrize("biased", ["plain", "bias_add", "bias_add_v1", "add", "add_constant_first", "reversed_sub"])
@pytest.mark.parametrize("case", LINEAR)
def test_norm_is_in_the_weights_when_a_linear_op_comes_before(case: str, biased: str, request: Any) -> None:
    make, shape = LINEAR[case]

    def network(net: Net, x: Any) -> Any:
        y = make(net, x)
        bias = net.constant(y.shape[-1])
        if biased == "bias_add" and y.shape.rank in (2, 4):
            y = tf.nn.bias_add(y, bias)
        elif biased == "bias_add_v1":
            y = tf.raw_ops.BiasAddV1(value=y, bias=bias)  # of older graphs: it has no data_format
        elif biased == "add_constant_first":
            y = tf.raw_ops.Add(x=bias, y=y)
        elif biased == "reversed_sub":
            y = bias - y
        elif biased != "plain":
            y = y + bias
        return tf.nn.relu(net.unfused(y))

    folding = fold(build(network, shape, seed=len(case) + len(biased)))
    assert folding.fates == (Folded("bn", ("linear",), folding.fates[0].rule),)
    assert len(ops(folding)) == 3
    assert ops(folding)[1:] == ["BiasAdd", "Relu"]
    assert folding.parameters_added == 0
    assert 0 < folding.largest_rounding <= 2**-24


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("form", ["fused", "mul_add", "textbook", "constant_first"])
def test_norm_is_in_the_weights_whatever_its_form(layout: str, form: str) -> None:
    axis = layout.index("C")

    def network(net: Net, x: Any) -> Any:
        y = tf.nn.conv2d(x, net.constant(3, 3, x.shape[axis], 5), 1, "SAME", data_format=layout, name="conv")
        return tf.nn.relu(net.fused(y, layout=layout) if form == "fused" else net.unfused(y, axis=axis, form=form))

    folding = fold(build(network, NHWC if layout == "NHWC" else (2, 3, 7, 5)))
    assert folding.fates == (Folded("bn", ("conv",), "convolution"),)
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]
    assert folding.inference.graph["bn"].attrs["data_format"] == layout


CHANNELS_FIRST: dict[str, tuple[Callable[[Net, Any], Any], tuple[int | None, ...]]] = {
    "depthwise": (
        lambda net, x: tf.nn.depthwise_conv2d(
            x, net.constant(3, 3, 3, 2), [1] * 4, "SAME", data_format="NCHW", name="linear"
        ),
        (2, 3, 7, 6),
    ),
    "transposed": (
        lambda net, x: tf.nn.conv2d_transpose(
            x, net.constant(3, 3, 7, 3), (2, 7, 14, 12), 2, data_format="NCHW", name="linear"
        ),
        (2, 3, 7, 6),
    ),
    "grouped": (
        lambda net, x: tf.nn.conv2d(x, net.constant(3, 3, 2, 9), 1, "SAME", data_format="NCHW", name="linear"),
        (2, 6, 7, 5),
    ),
    "conv3d": (
        lambda net, x: tf.nn.conv3d(
            x, net.constant(2, 3, 2, 3, 4), [1] * 5, "SAME", data_format="NCDHW", name="linear"
        ),
        (2, 3, 4, 5, 6),
    ),
    "pools": (
        lambda net, x: tf.nn.avg_pool2d(
            tf.nn.conv2d(x, net.constant(1, 1, 3, 5), 1, "SAME", data_format="NCHW", name="linear"),
            2,
            2,
            "VALID",
            data_format="NCHW",
        ),
        (2, 3, 8, 6),
    ),
}


@pytest.mark.parametrize("case", CHANNELS_FIRST)
def test_norm_is_in_the_weights_when_channels_come_first(case: str) -> None:
    make, shape = CHANNELS_FIRST[case]
    folding = fold(build(lambda net, x: tf.nn.tanh(net.unfused(make(net, x), axis=1)), shape))
    assert isinstance(folding.fates[0], Folded)
    assert folding.fates[0].into == ("linear",)
    assert "BiasAdd" in ops(folding)
    assert not {"Mul", "AddV2"} & set(ops(folding))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4, 4)])
def test_norm_of_the_rows_is_in_the_weights_when_the_constant_is_the_first_operand(
    shape: tuple[int, ...], transposed: bool
) -> None:
    """kernel @ x has its features on the last axis but one; a norm along the last axis is refused."""

    def network(net: Net, x: Any, axis: int) -> Any:
        kernel = net.constant(x.shape[-2], 5) if transposed else net.constant(5, x.shape[-2])
        return tf.nn.tanh(net.unfused(tf.matmul(kernel, x, transpose_a=transposed, name="linear"), axis=axis))

    rows = fold(build(lambda net, x: network(net, x, -2), shape))
    assert isinstance(rows.fates[0], Folded)
    assert ops(rows)[1:] == ["AddV2", "Tanh"]
    columns = fold(build(lambda net, x: network(net, x, -1), shape))
    assert isinstance(columns.fates[0], Kept)


def test_norm_is_in_the_weights_when_batch_height_and_width_are_unknown() -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.relu(net.fused(net.conv(x, 5, name="c1"), "bn1"))
        y = tf.nn.avg_pool2d(net.bias(net.conv(y, 4, name="c2")), 2, 2, "SAME")
        y = tf.raw_ops.ResizeBilinear(images=y, size=tf.shape(x)[1:3])
        y = tf.nn.relu(net.unfused(y, "bn2"))
        return net.dense(net.unfused(tf.reduce_mean(y, [1, 2]), "bn3"), 3, "logits")

    folding = fold(build(network, (None, None, None, 3)))
    assert [fate.into for fate in folding.fates] == [("c1",), ("c2",), ("logits",)]  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_norm_is_in_the_weights_of_any_floating_type(dtype: str) -> None:
    def network(net: Net, x: Any) -> Any:
        return tf.nn.relu(net.unfused(net.bias(net.conv(x, 5))))

    folding = fold(build(network, NHWC, dtype=getattr(tf, dtype)), units=16)
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]
    kernel = folding.inference.graph["conv"].inputs[1]
    assert folding.inference.graph.value(kernel).dtype.name == dtype


def test_casts_around_a_norm_are_gone_when_it_is() -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.conv2d(x, net.constant(3, 3, 3, 5), 1, "SAME", name="conv")
        return tf.nn.relu(tf.cast(net.fused(tf.cast(y, tf.float32)), tf.float16))

    folding = fold(build(network, NHWC, dtype=tf.float16), units=16)
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]


@pytest.mark.parametrize("case", ["conv1d", "separable", "space_batch", "dense_reshape", "einsum", "batch_matmul"])
def test_norm_is_in_the_weights_of_what_keras_writes(case: str) -> None:
    def network(net: Net, x: Any) -> Any:
        if case == "conv1d":
            y = tf.nn.conv1d(x, net.constant(3, 3, 5), 1, "SAME")
        elif case == "separable":
            y = tf.nn.separable_conv2d(x, net.constant(3, 3, 3, 2), net.constant(1, 1, 6, 5), [1] * 4, "SAME")
        elif case == "space_batch":
            blocks = tf.space_to_batch(x, [2, 2], [[2, 3], [2, 2]])
            y = tf.batch_to_space(net.conv(blocks, 5, padding="VALID"), [2, 2], [[0, 1], [0, 0]])
        elif case == "dense_reshape":
            y = tf.reshape(net.dense(x, 24), [-1, 3, 2, 4])
            return net.unfused(net.bias(y, "bias"))
        elif case == "einsum":
            y = tf.einsum("abc,cde->abde", x, net.constant(3, 4, 5))
            return tf.nn.relu(net.unfused(tf.nn.bias_add(y, net.constant(5))))
        else:
            y = tf.matmul(x, net.constant(3, 5)) + net.constant(5)
        return tf.nn.relu(net.unfused(net.bias(y)))

    shapes = {"conv1d": (None, 8, 3), "dense_reshape": (None, 3), "einsum": (2, 6, 3), "batch_matmul": (2, 6, 3)}
    folding = fold(build(network, shapes.get(case, NHWC)))
    assert isinstance(folding.fates[0], Folded)
    left = [op for op in ops(folding) if op in ("Mul", "Sub", "AddV2", "Add", "BiasAdd")]
    assert left == ["BiasAdd"] or (case == "dense_reshape" and left == ["BiasAdd"])


def test_scale_differs_by_feature_when_reshape_gives_features_to_pixels() -> None:
    """The same scale for each pixel of a channel, though the dense layer has a column for each pixel."""

    def network(net: Net, x: Any) -> Any:
        return net.unfused(tf.reshape(net.dense(x, 24, name="linear"), [-1, 3, 2, 4]), name="bn")

    inference = build(network, (None, 5))
    folding = fold(inference)
    before, after = (g.value(g["linear"].inputs[1]) for g in (inference.graph, folding.inference.graph))
    ratio = (after / before).astype(np.float64).mean(axis=0).reshape(3, 2, 4)
    assert np.ptp(ratio, axis=(0, 1)).max() < 1e-6
    assert np.ptp(ratio[0, 0]) > 0.5


# Names


def test_value_keeps_its_name_when_the_norm_is_an_output() -> None:
    folding = fold(build(lambda net, x: net.fused(net.conv(x, 5)), NHWC))
    assert [e.tensor for e in folding.inference.outputs] == ["bn:0"]
    assert ops(folding) == ["Conv2D", "BiasAdd"]
    assert folding.inference.graph["bn"].op == "BiasAdd"


def test_value_keeps_its_name_when_the_norm_behind_a_view_is_an_output() -> None:
    folding = fold(build(lambda net, x: net.unfused(tf.nn.conv1d(x, net.constant(3, 3, 5), 1, "SAME")), (None, 8, 3)))
    assert ops(folding) == ["ExpandDims", "Conv2D", "BiasAdd", "Squeeze"]
    assert folding.inference.graph["bn"].op == "Squeeze"


def test_value_keeps_its_name_when_a_scale_without_bias_is_an_output() -> None:
    folding = fold(build(lambda net, x: tf.multiply(net.conv(x, 5), net.constant(5), name="scaled"), NHWC))
    assert ops(folding) == ["Conv2D"]
    assert [other.name for other in folding.others] == ["scaled"]
    assert "scaled" in names_of(folding)


def test_changed_values_do_not_keep_their_names_when_a_map_goes_through() -> None:
    def network(net: Net, x: Any) -> Any:
        return tf.nn.relu(net.unfused(tf.nn.avg_pool2d(net.conv(x, 5), 2, 2, "SAME", name="pool")))

    assert "pool" not in names_of(fold(build(network, NHWC)))


# Refusals


def keep_reason(network: Callable[..., Any], shape: tuple[int | None, ...] = NHWC, **options: Any) -> str:
    inference = build(network, shape, **options)
    folding = fold(inference)
    (fate,) = folding.fates
    assert isinstance(fate, Kept)
    assert {n.name: n for n in folding.inference.graph} == {n.name: n for n in inference.graph}
    return fate.reason


def test_norm_is_kept_when_the_convolution_has_another_reader() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 5)
        return tf.nn.relu(net.fused(y)), tf.nn.tanh(y, name="stranger")

    assert "conv is also read by stranger" in keep_reason(network)


def test_norm_is_kept_when_the_convolution_is_an_output() -> None:
    assert "conv:0 is an output" in keep_reason(lambda net, x: tf.nn.relu(net.fused(net.conv(x, 5))), outputs=["conv"])


def test_norm_is_kept_when_the_bias_is_an_output() -> None:
    def network(net: Net, x: Any) -> Any:
        return tf.nn.relu(net.fused(net.bias(net.conv(x, 5))))

    assert "bias:0 is an output" in keep_reason(network, outputs=["bias"])


def test_norm_is_kept_when_the_kernel_is_computed() -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = tf.reshape(tf.reduce_mean(x, [0, 1, 2]), [1, 1, 3, 1]) * net.constant(3, 3, 3, 5)
        return tf.nn.relu(net.fused(tf.nn.conv2d(x, kernel, 1, "SAME", name="conv")))

    assert "kernel is computed at run time" in keep_reason(network)


def test_norm_is_kept_when_a_ReLU_is_between() -> None:  # noqa: N802 (the op is called so)
    def network(net: Net, x: Any) -> Any:
        return tf.nn.relu(net.fused(tf.nn.relu(net.conv(x, 5), name="between")))

    assert "between is a Relu, and a shift does not pass it" in keep_reason(network)


def test_norm_is_kept_on_request() -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.relu(net.fused(net.conv(x, 5, name="c1"), "head/bn"))
        return tf.nn.relu(net.fused(net.conv(y, 4, name="c2"), "tail/bn"))

    folding = fold(build(network, NHWC), keep="^head/")
    assert folding.fates == (Kept("head/bn", "kept on request"), Folded("tail/bn", ("c2",), "convolution"))
    assert ops(folding) == ["Conv2D", "FusedBatchNormV3", "Relu", "Conv2D", "BiasAdd", "Relu"]


def test_keep_is_a_value_error_when_it_is_no_pattern() -> None:
    with pytest.raises(ValueError, match="regular expression"):
        fold(build(lambda net, x: net.fused(net.conv(x, 5)), NHWC), keep="(")


@pytest.mark.parametrize("variance", [-1.0, np.nan])
def test_norm_is_kept_when_its_scale_is_no_number(variance: float) -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 5)
        vectors = [np.float32(v) for v in net.vectors(5)]
        vectors[3][2] = variance
        arguments = dict(zip(("scale", "offset", "mean", "variance"), vectors, strict=True))
        z = tf.raw_ops.FusedBatchNormV3(x=y, **arguments, is_training=False, name="bn").y
        net.note("bn", y, z, ("bn",), 3, vectors)
        return z

    inference = build(network, NHWC)
    folding = fold_batch_norms(inference)
    assert isinstance(folding.fates[0], Kept)
    assert "not a finite number" in folding.fates[0].reason
    assert ops(folding) == ops(inference)


@pytest.mark.parametrize(("factors", "word"), [((400.0, 300.0), "overflows"), ((1e-2, 1e-3), "underflows")])
def test_norm_is_kept_when_the_kernel_leaves_the_range_of_its_type(factors: tuple[float, float], word: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 5)
        z = tf.multiply(y * np.float16(factors[0]), np.float16(factors[1]), name="bn")
        net.note("bn", y, z, ("mul", "bn"), 3, net.vectors(5))
        return tf.nn.relu6(z)

    inference = build(network, NHWC, dtype=tf.float16)
    folding = fold_batch_norms(inference)
    assert isinstance(folding.fates[0], Kept)
    assert f"the kernel of conv {word} float16" in folding.fates[0].reason
    assert ops(folding).count("Mul") == (2 if word == "overflows" else 1)
