"""Statistics bound by evidence, refused when it does not suffice, and settled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from training_graphs import (
    EXACT,
    Net,
    Network,
    convolution,
    error_of,
    head,
    image,
    moving,
    sample_for,
    scale_and_shift,
    source_of,
    truth,
    variable,
)

from bnfold.errors import InferenceError
from bnfold.graph import constant
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer

tf = tensorflow()
v1 = tf.compat.v1


def two_averages(fused: bool) -> Network:
    """A slow and a fast average of the same moments; the slow one is meant."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        with v1.variable_scope("bn"):
            gamma, beta = scale_and_shift(int(hidden.shape[-1]))
            slow = moving(int(hidden.shape[-1]), "slow_mean", "slow_var")
            fast = moving(int(hidden.shape[-1]), "fast_mean", "fast_var")
            if fused:
                y, *batch = v1.nn.fused_batch_norm(hidden, gamma, beta, is_training=True)
            else:
                batch = list(tf.nn.moments(hidden, [0, 1, 2]))
                y = tf.nn.batch_normalization(hidden, *batch, beta, gamma, 1e-3)
            for rate, averages in ((0.01, slow), (0.5, fast)):
                for average, moment in zip(averages, batch, strict=True):
                    v1.assign_sub(average, rate * (average - moment))
            if not training:
                y = tf.nn.batch_normalization(hidden, *slow, beta, gamma, 1e-3)
        return Net(x, head(y))

    return network


@pytest.mark.parametrize("fused", [True, False])
def test_statistics_are_refused_when_several_variables_average_them(fused: bool) -> None:
    with pytest.raises(InferenceError, match=r"several variables average .*: bn/slow_\w+, bn/fast_") as caught:
        infer(source_of(two_averages(fused)))
    assert "--bind bn=MEAN,VARIANCE" in (caught.value.hint or "")


@pytest.mark.parametrize("fused", [True, False])
def test_statistics_are_bound_by_hand_when_the_user_says_so(fused: bool) -> None:
    network = two_averages(fused)
    sample = sample_for(network)
    inference = infer(source_of(network), bind={"bn": ("bn/slow_mean", "bn/slow_var")})
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    [norm] = inference.batch_norms
    assert "bound by hand" in norm.evidence
    assert norm.variables["moving_variance"] == "bn/slow_var"


def test_evidence_conflicts_when_update_and_wiring_disagree() -> None:
    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        channels = int(hidden.shape[-1])
        with v1.variable_scope("bn"):
            gamma, beta = scale_and_shift(channels)
            wired = moving(channels, "wired_mean", "wired_var")
            updated = moving(channels, "updated_mean", "updated_var")
            y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=hidden, scale=gamma, offset=beta, mean=wired[0], variance=wired[1], is_training=True
            )
            v1.assign_sub(updated[0], 0.1 * (updated[0] - mean))
            v1.assign_sub(updated[1], 0.1 * (updated[1] - variance))
        return Net(x, head(y))

    with pytest.raises(InferenceError, match=r"conflicts: bn/updated_mean .update op .*; bn/wired_mean") as caught:
        infer(source_of(network))
    assert caught.value.hint


def test_evidence_conflicts_when_a_twin_and_the_scope_disagree() -> None:
    """One gamma and beta, but statistics for each domain, of which the graph moves those of the first alone."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        with v1.variable_scope("bn"):
            gamma, beta = scale_and_shift(7)
            pop = moving(7, "first_mean", "first_var")
            moving(7)
            first, *batch = v1.nn.fused_batch_norm(hidden, gamma, beta, is_training=True)
            for average, moment in zip(pop, batch, strict=True):
                v1.assign_sub(average, 0.1 * (average - moment))
            second, *_ = v1.nn.fused_batch_norm(tf.tanh(hidden), gamma, beta, is_training=True)
        return Net(x, head(first * second))

    with pytest.raises(InferenceError, match=r"conflicts: bn/first_mean .same gamma .*; bn/moving_mean") as caught:
        infer(source_of(network))
    assert caught.value.hint


def without_updates(names: tuple[str, str], channels_of: int | None = None, parameters: bool = True) -> Network:
    """Training-mode op whose statistics nothing updates; variables called ``names`` lie beside gamma and beta."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        channels = int(hidden.shape[-1])
        with v1.variable_scope("bn"):
            ones, zeros = tf.ones(channels), tf.zeros(channels)
            gamma, beta = scale_and_shift(channels) if parameters else (ones, zeros)
            mean, variance = moving(channels_of or channels, *names)
            if training:
                y, *_ = v1.nn.fused_batch_norm(hidden, gamma, beta, is_training=True)
            else:
                y, *_ = v1.nn.fused_batch_norm(hidden, gamma, beta, mean, variance, is_training=False)
        return Net(x, head(y))

    return network


def test_statistics_are_those_beside_gamma_when_nothing_updates_them() -> None:
    network = without_updates(("moving_mean", "moving_variance"))
    sample = sample_for(network)
    inference = infer(source_of(network))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    assert inference.batch_norms[0].evidence[0] == "beside gamma and beta"


@pytest.mark.parametrize("parameters", [True, False])
def test_statistics_are_refused_when_only_a_person_could_tell(parameters: bool) -> None:
    with pytest.raises(InferenceError, match="no variable holds their moving averages: bn"):
        infer(source_of(without_updates(("mu", "sigma"), parameters=parameters)))


def test_statistics_are_refused_when_their_shape_is_another_layers() -> None:
    with pytest.raises(InferenceError, match=r"bn has 7 channels, but its moving mean .* has shape \[5\]"):
        infer(source_of(without_updates(("moving_mean", "moving_variance"), channels_of=5)))


def test_statistics_are_constants_when_a_training_graph_was_frozen_whole() -> None:
    """Its AssignSub ops are left, over constants that were the variables."""

    def network(training: bool) -> Net:
        x = image()
        with v1.variable_scope("", use_resource=False):
            hidden = convolution(x)
            with v1.variable_scope("bn"):
                gamma, beta = scale_and_shift(7)
                mean, variance = moving(7)
                batch = tf.nn.moments(hidden, [0, 1, 2])
                v1.assign_sub(mean, (mean - batch[0]) * 0.1)
                v1.assign_sub(variance, (variance - batch[1]) * 0.1)
                used = batch if training else (mean, variance)
                return Net(x, head(tf.nn.batch_normalization(hidden, *used, beta, gamma, 1e-3)))

    sample = sample_for(network)
    source = source_of(network)
    for name, stored in source.variables.items():
        source.graph.replace(constant(name, stored.read()))
    inference = infer(replace(source, kind="frozen graph", variables={}))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    [norm] = inference.batch_norms
    assert norm.variables["moving_mean"] == "bn/moving_mean"
    assert norm.evidence[0].startswith("update op bn/AssignSub")


def test_layers_have_names_of_their_own_when_they_share_a_scope() -> None:
    def network(training: bool) -> Net:
        x = hidden = image()
        with v1.variable_scope("net"):
            for layer in ("first", "second"):
                hidden = convolution(hidden, layer, 4)
                mean, variance = moving(4, f"{layer}_mean", f"{layer}_var")
                batch = tf.nn.moments(hidden, [0, 1, 2])
                used = batch if training else (mean, variance)
                hidden = (hidden - used[0]) * tf.math.rsqrt(used[1] + 1e-3)
        return Net(x, head(hidden))

    sample = sample_for(network)
    with pytest.raises(InferenceError, match=r"2 batch norms normalise by the moments of the batch.*: net, net_1$"):
        infer(source_of(network))
    hands = {name: (f"net/{layer}_mean", f"net/{layer}_var") for name, layer in (("net", "first"), ("net_1", "second"))}
    inference = infer(source_of(network), bind=hands)
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    assert [norm.name for norm in inference.batch_norms] == ["net", "net_1"]


def test_bound_variable_is_refused_when_there_is_none() -> None:
    with pytest.raises(InferenceError, match="the graph has no variable bn/slow"):
        infer(source_of(two_averages(True)), bind={"bn": ("bn/slow", "bn/slow_var")})


def test_bound_layer_is_refused_when_there_is_none() -> None:
    with pytest.raises(InferenceError, match="no batch norm bm") as caught:
        infer(source_of(two_averages(True)), bind={"bm": ("bn/slow_mean", "bn/slow_var")})
    assert "bn" in (caught.value.hint or "")


def test_statistics_are_left_alone_when_they_normalise_a_kernel() -> None:
    """A kernel standardised by its own moments, and a spectral norm's power iteration, are no batch norms."""

    def network(training: bool) -> Net:
        x = image()
        kernel = variable("kernel", [3, 3, 4, 7])
        u = variable("u_variance", [1, 7], trainable=False)
        flat = tf.reshape(kernel, [-1, 7])
        v = tf.math.l2_normalize(tf.matmul(u, flat, transpose_b=True))
        u_next = tf.math.l2_normalize(tf.matmul(v, flat))
        sigma = tf.matmul(tf.matmul(v, flat), u_next, transpose_b=True)
        if training:
            with tf.control_dependencies([u.assign(u_next)]):
                sigma = tf.identity(sigma)
        mean, variance = tf.nn.moments(kernel, [0, 1, 2])
        kernel = (kernel - mean) / tf.sqrt(variance + 1e-5) / tf.reshape(sigma, [])
        return Net(x, head(tf.nn.conv2d(x, kernel, 1, "SAME")))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert inference.batch_norms == ()
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_state_is_left_alone_when_it_is_no_moment_of_a_batch() -> None:
    """A recurrent state that the training graph stores for the next step."""

    def network(training: bool) -> Net:
        x = v1.placeholder("float32", [3, 6], name="x")
        state = variable("state", [3, 5], trainable=False)
        hidden = tf.tanh(tf.matmul(x, variable("kernel", [6, 5])) + state)
        if training:
            with tf.control_dependencies([state.assign(hidden)]):
                hidden = tf.identity(hidden)
        return Net(x, head(hidden))

    sample = sample_for(network)
    assert error_of(infer(source_of(network)), sample, truth(network, sample)) < EXACT


def test_deviation_is_refused_when_its_formula_is_not_understood() -> None:
    """Class-dependent gamma over batch moments that nothing averages."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        gamma = tf.reduce_mean(hidden, [1, 2], keepdims=True)
        mean, variance = tf.nn.moments(hidden, [0, 1, 2])
        return Net(x, head(tf.nn.batch_normalization(hidden, mean, variance, None, gamma, 1e-3)))

    with pytest.raises(InferenceError, match="by the moments of the batch"):
        infer(source_of(network))


@pytest.mark.parametrize("shape", [None, [None, None, None, None], [None, None, None, 3], [None, 6, 5, 3]])
def test_frozen_layer_is_refused_when_no_variable_has_its_statistics(shape: list[int | None] | None) -> None:
    """Frozen in training mode: gamma and beta are constants, which tell the channels where the input does not."""

    def network(training: bool) -> Net:
        x = v1.placeholder("float32", shape, name="x")
        gamma, beta = tf.constant([0.5, -2.0, 1.5]), tf.constant([0.1, 0.2, -0.3])
        return Net(x, v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)[0])

    with pytest.raises(InferenceError, match="1 batch norm normalises by the moments of the batch"):
        infer(source_of(network), inputs={"x": None}, outputs=["FusedBatchNormV3"])


def test_moments_of_samples_are_left_alone() -> None:
    """Layer, instance and group norm, and a norm of each vector: none mixes samples."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x, channels=6)
        for axes in ([1, 2, 3], [1, 2]):
            mean, variance = tf.nn.moments(hidden, axes, keepdims=True)
            hidden = tf.nn.batch_normalization(hidden, mean, variance, None, None, 1e-3)
        shape = tf.shape(hidden)
        grouped = tf.reshape(hidden, [shape[0], 6, 5, 3, 2])
        mean, variance = tf.nn.moments(grouped, [1, 2, 4], keepdims=True)
        hidden = tf.reshape((grouped - mean) * tf.math.rsqrt(variance + 1e-3), shape)
        return Net(x, head(tf.math.l2_normalize(hidden, -1)))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert inference.batch_norms == ()
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_statistics_of_a_batch_that_is_joined_to_the_data_stay() -> None:
    """The deviation over the batch that some discriminators append to their features is no batch norm."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        _, variance = tf.nn.moments(hidden, [0])
        level = tf.reduce_mean(tf.sqrt(variance + 1e-8))
        return Net(x, head(tf.concat([hidden, tf.zeros_like(hidden[..., :1]) + level], 3)))

    sample = sample_for(network)
    inference = infer(source_of(network))
    np.testing.assert_array_less(error_of(inference, sample, truth(network, sample)), EXACT)


def test_unknown_op_is_refused_when_the_outputs_need_it() -> None:
    def network(training: bool) -> Net:
        x = image()
        return Net(x, head(convolution(x)))

    source = source_of(network)
    graph: Any = source.graph
    relu = next(node for node in graph if node.op == "Relu")
    graph.replace(type(relu)(relu.name, "MyRelu", relu.inputs, relu.attrs))
    with pytest.raises(InferenceError, match=r"does not know: MyRelu \(Relu\)"):
        infer(source, outputs=["head/logits"], inputs={"image": None})
