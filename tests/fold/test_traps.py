"""What broke other converters, each as a test: the fold that they got wrong is right here, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_graphs import Net, build, fold, ops, tf

from bnfold.fold import fold_batch_norms
from bnfold.graph.stages import BatchNorm, Folded, InferenceGraph, Kept

NHWC = (None, 7, 6, 3)


def test_kernel_is_copied_when_a_convolution_without_norm_shares_it() -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = net.constant(3, 3, 3, 5)
        plain = tf.nn.conv2d(x, kernel, 1, "SAME", name="plain")
        return tf.nn.relu(net.fused(tf.nn.conv2d(x, kernel, 2, "SAME", name="normed"))), plain

    inference = build(network, NHWC)
    folding = fold(inference)
    assert folding.fates == (Folded("bn", ("normed",), "convolution"),)
    assert folding.parameters_added == 3 * 3 * 3 * 5
    graph = folding.inference.graph
    kernel = inference.graph["plain"].inputs[1]
    assert graph["plain"].inputs[1] == kernel
    assert graph.value(kernel) is inference.graph.value(kernel)


def test_kernel_is_copied_when_two_norms_follow_its_convolutions() -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = net.constant(3, 3, 3, 5)
        ys = [tf.nn.conv2d(x, kernel, stride, "SAME", name=f"conv{stride}") for stride in (1, 2)]
        return [net.fused(y, f"bn{i}") for i, y in enumerate(ys)]

    folding = fold(build(network, NHWC))
    assert [fate.into for fate in folding.fates] == [("conv1",), ("conv2",)]  # type: ignore[union-attr]
    assert folding.parameters_added == 3 * 3 * 3 * 5


def test_kernel_stays_one_when_a_layer_is_called_twice() -> None:
    """Siamese branches: the same convolution and the same norm. The folded kernels are equal, so one is kept."""

    def network(net: Net, x: Any) -> Any:
        kernel, vectors = net.constant(3, 3, 3, 5), net.vectors(5)
        ys = [tf.nn.conv2d(part, kernel, 1, "SAME", name=f"conv{i}") for i, part in enumerate((x, tf.reverse(x, [1])))]
        return [net.unfused(y, f"bn{i}", vectors=vectors) for i, y in enumerate(ys)]

    folding = fold(build(network, NHWC))
    assert all(isinstance(fate, Folded) for fate in folding.fates)
    assert folding.parameters_added == 0
    graph = folding.inference.graph
    assert graph["conv0"].inputs[1] == graph["conv1"].inputs[1]


def test_norm_is_kept_when_the_copy_of_its_shared_kernel_would_weigh_too_much() -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = net.constant(300, 400)
        plain = tf.matmul(x, kernel, name="plain")
        return net.unfused(tf.matmul(tf.nn.tanh(x), kernel, name="normed")), plain

    inference = build(network, (None, 300))
    folding = fold(inference)
    assert isinstance(folding.fates[0], Kept)
    assert "the kernel of normed is shared, and a copy would add 120000 weights" in folding.fates[0].reason
    assert folding.parameters_added == 0


def test_kernel_that_is_an_output_keeps_its_value() -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = tf.identity(net.constant(3, 3, 3, 5), name="kernel")
        return net.fused(tf.nn.conv2d(x, kernel, 1, "SAME", name="conv")), kernel

    assert isinstance(fold(build(network, NHWC)).fates[0], Folded)


@pytest.mark.parametrize("behind", ["identity", "cast", "both", "expand"])
def test_kernel_is_found_behind_what_keras_puts_before_it(behind: str) -> None:
    def network(net: Net, x: Any) -> Any:
        kernel = net.constant(3, 3, 3, 5) if behind != "expand" else net.constant(3, 3, 5)
        kernel = tf.identity(kernel) if behind in ("identity", "both") else kernel
        kernel = tf.cast(tf.cast(kernel, tf.float64), tf.float32) if behind in ("cast", "both") else kernel
        kernel = tf.expand_dims(kernel, 0) if behind == "expand" else kernel
        return tf.nn.relu(net.fused(tf.nn.conv2d(x, kernel, 1, "SAME", name="conv")))

    folding = fold(build(network, NHWC))
    assert isinstance(folding.fates[0], Folded)
    assert ops(folding) == ["Conv2D", "BiasAdd", "Relu"]


def test_vector_on_the_width_is_not_folded_into_the_channels_when_their_sizes_agree() -> None:
    """NCHW, width = channels = 5: a (5,) constant broadcasts along the width."""

    def network(net: Net, x: Any) -> Any:
        y = tf.nn.conv2d(x, net.constant(3, 3, 5, 5), 1, "SAME", data_format="NCHW", name="conv")
        return tf.nn.relu(y * net.constant(5) + net.constant(5))

    inference = build(network, (2, 5, 5, 5))
    folding = fold(inference)
    assert folding.others == ()
    assert ops(folding) == ops(inference)


@pytest.mark.parametrize("view", ["transpose", "reshape"])
def test_norm_after_a_view_of_a_square_product_is_not_folded_into_the_wrong_axis(view: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.dense(x, 6)
        y = tf.transpose(y) if view == "transpose" else tf.reshape(tf.transpose(tf.reshape(y, [6, 2, 3])), [6, 6])
        return tf.nn.relu(net.unfused(y))

    folding = fold(build(network, (6, 6)))
    assert isinstance(folding.fates[0], Kept)


def test_scalar_norm_of_a_square_product_follows_a_transpose() -> None:
    folding = fold(build(lambda net, x: tf.nn.relu(tf.transpose(net.dense(x, 6)) * 0.3), (6, 6)))
    assert "Mul" not in ops(folding)


def test_grouped_transposed_convolution_scales_each_group_of_outputs() -> None:
    """The kernel of a grouped transposed convolution has the outputs of one group; TensorFlow's CPU does not run it,
    so its defining sum is computed here, at one pixel of a 1×1 kernel."""

    def network(net: Net, x: Any) -> Any:
        y = tf.nn.conv2d_transpose(x, net.constant(1, 1, 6, 4), (2, 5, 7, 6), 1, name="conv")
        return net.unfused(y)

    inference = build(network, (2, 5, 7, 4))
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(1, 1, 3, 4)).astype(np.float32)  # 2 groups: 4 inputs → 2 · 3 outputs
    graph = inference.graph.copy()
    constant = graph["conv"].inputs[1].removesuffix(":0")
    graph.replace(graph[constant].with_attrs(value=kernel))
    norm = inference.batch_norms[0]
    folding = fold_batch_norms(InferenceGraph(graph, inference.inputs, inference.outputs, (norm,)))
    assert folding.fates == (Folded("bn", ("conv",), "transposed convolution"),)

    def outputs(k: Any, x: Any) -> Any:
        return np.concatenate([x[:2] @ k[0, 0, :, :2].T, x[2:] @ k[0, 0, :, 2:].T])

    folded = folding.inference.graph
    new = folded.value(folded["conv"].inputs[1])
    bias = folded.value(folded["bn"].inputs[1])
    assert new is not None
    x = rng.normal(size=4)
    scale = norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)  # type: ignore[operator]
    expected = (outputs(kernel, x) - norm.moving_mean) * scale + norm.beta
    np.testing.assert_allclose(outputs(new, x) + bias, expected, rtol=1e-5)


def test_convolution_straight_after_a_convolution_is_folded_apart() -> None:
    def network(net: Net, x: Any) -> Any:
        return net.fused(net.conv(net.fused(net.conv(x, 4, name="c1"), "bn1"), 5, name="c2"), "bn2")

    assert [f.into for f in fold(build(network, NHWC)).fates] == [("c1",), ("c2",)]  # type: ignore[union-attr]


def test_one_norm_is_not_folded_into_a_convolution_that_two_norms_read() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 4)
        return tf.nn.relu(net.fused(y, "bn1")), tf.nn.relu(net.fused(y, "bn2"))

    inference = build(network, NHWC)
    folding = fold(inference)
    assert [type(fate) for fate in folding.fates] == [Kept, Kept]
    assert ops(folding) == ops(inference)


@pytest.mark.parametrize("variance", [0.0, 1e-36, 1e-12])
def test_tiny_variance_is_folded_by_its_epsilon(variance: float) -> None:
    def network(net: Net, x: Any) -> Any:
        gamma, beta, mean, _ = net.vectors(5)
        return tf.nn.relu(net.unfused(net.conv(x, 5), vectors=(gamma, beta, mean, np.full(5, variance))))

    assert isinstance(fold(build(network, NHWC), units=256).fates[0], Folded)


def test_dead_channels_fold_to_zero() -> None:
    def network(net: Net, x: Any) -> Any:
        gamma, beta, mean, variance = net.vectors(5)
        gamma[1:3] = 0
        return net.unfused(net.conv(x, 5), vectors=(gamma, beta, mean, variance))

    inference = build(network, NHWC)
    folding = fold(inference)
    kernel = folding.inference.graph.value(folding.inference.graph["conv"].inputs[1])
    assert kernel is not None
    assert not kernel[..., 1:3].any()
    assert kernel[..., 3:].all()


def test_layer_norm_written_with_a_training_batch_norm_is_left_alone() -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.reshape(net.conv(x, 5), [1, -1, 210, 1])
        one = np.ones(1, np.float32)
        y = tf.raw_ops.FusedBatchNormV3(x=y, scale=one, offset=one * 0, mean=[], variance=[], is_training=True).y
        return tf.nn.relu(net.conv(tf.reshape(y, [-1, 7, 6, 5]) * net.constant(5) + net.constant(5), 4, name="after"))

    inference = build(network, (2, 7, 6, 3))
    folding = fold(inference)
    assert "FusedBatchNormV3" in ops(folding)


def test_gamma_and_beta_of_a_layer_norm_are_left_alone() -> None:
    """Runtimes run a layer norm, its gamma and beta included, as one op: taking these two away would break it up."""

    def network(net: Net, x: Any) -> Any:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        y = (x - mean) * tf.math.rsqrt(variance + 1e-3) * net.constant(8) + net.constant(8)
        return net.dense(y, 5)

    inference = build(network, (None, 8))
    assert ops(fold(inference)) == ops(inference)


@pytest.mark.parametrize("last", ["mul", "div"])
def test_hard_sigmoid_stays_one_op_while_the_norm_before_it_folds(last: str) -> None:
    def network(net: Net, x: Any) -> Any:
        y = tf.nn.relu6(net.unfused(net.conv(x, 5, name="c1")) + 3.0)
        return net.conv(y * (1 / 6) if last == "mul" else y / 6.0, 4, 1, name="c2")

    folding = fold(build(network, NHWC))
    assert folding.fates == (Folded("bn", ("c1",), "convolution"),)
    assert ops(folding) == ["Conv2D", "BiasAdd", "AddV2", "Relu6", "Mul" if last == "mul" else "RealDiv", "Conv2D"]


def test_clip_that_is_no_hard_sigmoid_gives_its_maps_away() -> None:
    def network(net: Net, x: Any) -> Any:
        return net.conv(tf.nn.relu6(net.conv(x, 5, name="c1") + 2.5) / 6.0, 4, 1, name="c2")

    assert ops(fold(build(network, NHWC))) == ["Conv2D", "BiasAdd", "Relu6", "Conv2D"]


def test_map_does_not_go_through_a_norm_that_is_to_be_kept() -> None:
    def network(net: Net, x: Any) -> Any:
        zeros, ones = np.zeros(5), np.ones(5)
        y = net.conv(x, 5, name="c1") + net.constant(5)
        kept = tf.add(y, net.constant(5), name="kept")
        net.note("kept", y, kept, ("kept",), 3, (ones, zeros, zeros, ones))
        return net.unfused(kept, "moved")

    inference = build(network, NHWC)
    folding = fold(inference, keep="^kept$")
    assert folding.fates[0] == Kept("kept", "kept on request")
    assert folding.inference.graph["kept"].inputs == inference.graph["kept"].inputs


def test_statistics_that_are_computed_are_no_constant_map() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 5)
        mean, variance = tf.nn.moments(y, [0, 1, 2])
        z = tf.nn.batch_normalization(y, mean, variance, net.constant(5), net.constant(5), 1e-3, name="bn")
        nodes = tuple(op.name for op in tf.compat.v1.get_default_graph().get_operations() if op.name.startswith("bn/"))
        zeros = np.zeros(5)
        net.norms.append(BatchNorm("bn", "unfused", "", y.name, z.name, nodes, 3, None, None, zeros, zeros, 1e-3))
        return z

    inference = build(network, NHWC)
    folding = fold(inference)
    assert isinstance(folding.fates[0], Kept)
    assert ops(folding) == ops(inference)


def test_shape_of_a_convolution_may_be_asked_while_its_norm_folds() -> None:
    """Keras' Flatten asks the shape of what it flattens; that reader does not care for values."""

    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 5)
        z = tf.nn.relu(net.fused(y))
        return tf.reshape(z, [tf.shape(y)[0], -1])

    assert isinstance(fold(build(network, NHWC)).fates[0], Folded)


def test_convolution_of_a_constant_factor_does_not_change_the_constant() -> None:
    """The same array is a kernel here and an addend there."""

    def network(net: Net, x: Any) -> Any:
        shared = net.constant(1, 1, 3, 5)
        y = tf.nn.conv2d(x, shared, 1, "SAME", name="conv")
        return tf.nn.relu(net.fused(y)) + tf.reduce_sum(shared * tf.tanh(x[..., None]), [3])

    assert isinstance(fold(build(network, NHWC)).fates[0], Folded)


def test_norm_without_gamma_or_beta_is_folded() -> None:
    def network(net: Net, x: Any) -> Any:
        _, _, mean, variance = net.vectors(5)
        y = net.unfused(net.conv(x, 5, name="c1"), "bn1", vectors=(np.ones(5), np.zeros(5), mean, variance))
        return net.fused(net.conv(y, 4, name="c2"), "bn2")

    assert all(isinstance(fate, Folded) for fate in fold(build(network, NHWC)).fates)


@pytest.mark.parametrize("kind", ["if", "case"])
def test_norm_in_a_branch_is_folded_there(kind: str) -> None:
    """A runtime If: the convolution's weights are arguments of the branch, constants at the call."""

    def network(net: Net, x: Any) -> Any:
        kernel, gamma, beta, mean, variance = net.constant(3, 3, 3, 3), *(np.float32(v) for v in net.vectors(3))

        def normed(data: Any) -> Any:
            y = tf.nn.conv2d(data, kernel, 1, "SAME", name="conv")
            y = tf.raw_ops.FusedBatchNormV3(
                x=y, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=0.002, is_training=False
            ).y
            return tf.nn.relu(y)

        chosen = tf.reduce_sum(x) > 0
        if kind == "if":
            y = tf.cond(chosen, lambda: normed(x), lambda: x * 2.0)
        else:
            y = tf.switch_case(tf.cast(chosen, tf.int32), [lambda: x + 1.0, lambda: normed(x)])
        return tf.nn.tanh(y, name="after")

    inference = build(network, (2, 7, 6, 3))
    folding = fold(inference)
    (call,) = [node for node in folding.inference.graph if node.op in ("If", "StatelessIf", "Case", "StatelessCase")]
    attrs = [call.attrs[key] for key in ("then_branch", "branches") if key in call.attrs]
    reference = attrs[0][1] if kind == "case" else attrs[0]
    body = folding.inference.graph.functions[reference.name].graph
    assert [node.op for node in body if node.op in ("FusedBatchNormV3", "Conv2D", "BiasAdd")] == ["Conv2D", "BiasAdd"]
    assert len(folding.others) == 1


def test_graph_with_branches_that_hold_no_map_is_left_alone() -> None:
    def network(net: Net, x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.nn.relu(x), lambda: tf.tanh(x))

    inference = build(network, NHWC)
    folding = fold(inference)
    assert {n.name: n for n in folding.inference.graph} == {n.name: n for n in inference.graph}


@pytest.mark.parametrize("biased", [False, True])
def test_norm_is_kept_when_parts_of_it_meet_at_one_layer(biased: bool) -> None:
    """Each half of a split would bring its own part of the map to the layer that all halves come from."""

    def network(net: Net, x: Any) -> Any:
        y = net.conv(x, 4, name="linear")
        parts = tf.split(net.bias(y) if biased else y, 2, 3, name="halves")
        return tf.nn.tanh(net.fused(tf.concat(parts[::-1], 3)))

    folding = fold(build(network, (None, 7, 6, 3)))
    fate = folding.fates[0]
    assert isinstance(fate, Kept)
    assert "parts of the map meet at halves" in fate.reason


def test_norm_is_kept_when_a_branch_is_handed_its_statistics() -> None:
    """TensorFlow 1 hands a branch what stands outside through a Switch."""

    def network(net: Net, x: Any) -> Any:
        y, vectors = net.conv(x, 5), net.vectors(5)
        scale, offset, mean, variance = (tf.constant(np.float32(vector)) for vector in vectors)
        statistics = {"scale": scale, "offset": offset, "mean": mean, "variance": variance}

        def normed() -> Any:
            z = tf.raw_ops.FusedBatchNormV3(x=y, **statistics, epsilon=0.002, is_training=False, name="bn").y
            net.note("bn", y, z, (z.op.name,), 3, vectors)
            return z

        return tf.compat.v1.cond(tf.shape(x)[1] > 3, normed, lambda: tf.nn.tanh(y))

    tf.compat.v1.disable_control_flow_v2()
    try:
        inference = build(network, NHWC)
    finally:
        tf.compat.v1.enable_control_flow_v2()
    folding = fold_batch_norms(inference)
    assert folding.fates == (Kept("bn", "it stands in one branch of a conditional, which hands it its statistics"),)


def test_constant_is_left_alone_when_it_is_reshaped_to_sizes_that_only_the_run_tells() -> None:
    def network(net: Net, x: Any) -> Any:
        y = net.fused(tf.nn.conv2d(x, net.constant(3, 3, 3, 4), 1, "SAME", name="conv"))
        rows = tf.shape(x)[1] - 1  # 6
        return y, tf.reshape(net.constant(12), tf.stack([rows, 12 // rows]))

    folding = fold(build(network, (None, None, None, 3)))
    assert folding.fates == (Folded("bn", ("conv",), "convolution"),)
