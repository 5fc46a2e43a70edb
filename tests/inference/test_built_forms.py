"""Forms of batch norm that people write themselves, built here, against the same network in inference mode."""

from __future__ import annotations

from collections.abc import Callable
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
    value_of,
    variable,
)

from bnfold.graph.evaluate import run
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer

tf = tensorflow()
v1 = tf.compat.v1

Norm = Callable[[Any, bool], Any]
AXES = [0, 1, 2]


def scope(x: Any) -> int:
    return int(x.shape[-1])


def around(norm: Norm) -> Network:
    """The usual net: convolution, ``norm(x, training)`` in the scope ``bn``, ReLU, dense."""

    def network(training: bool) -> Net:
        x = image()
        hidden = convolution(x)
        with v1.variable_scope("bn"):
            hidden = norm(hidden, training)
        return Net(x, head(hidden))

    return network


# One function for each form


def fused_by_hand(x: Any, training: bool) -> Any:
    """``tf.nn.fused_batch_norm`` with moving averages of one's own, Bessel's correction taken again."""
    gamma, beta = scale_and_shift(scope(x))
    mean, variance = moving(scope(x), "mean/EMA", "variance/EMA")
    if not training:
        return v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, is_training=False)[0]
    y, batch_mean, batch_variance = v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)
    count = tf.cast(tf.size(x) / scope(x), tf.float32)
    updates = [
        v1.assign(mean, 0.9 * mean + 0.1 * batch_mean),
        v1.assign(variance, 0.9 * variance + 0.1 * (batch_variance * count / (count - 1))),
    ]
    with tf.control_dependencies(updates):
        return tf.identity(y)


def fused_wired(x: Any, training: bool) -> Any:
    """TensorFlow 2.4: the moving variables are wired to the training-mode op, which moves them itself."""
    gamma, beta = scale_and_shift(scope(x))
    mean, variance = moving(scope(x))
    inputs = {"x": x, "scale": gamma, "offset": beta, "mean": mean, "variance": variance, "epsilon": 1e-3}
    if not training:
        return tf.raw_ops.FusedBatchNormV3(**inputs, is_training=False)[0]
    factor = {"exponential_avg_factor": 0.1, "is_training": True}
    y, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(**inputs, **factor)
    with tf.control_dependencies([v1.assign(mean, new_mean), v1.assign(variance, new_variance)]):
        return tf.identity(y)


def global_normalization(x: Any, training: bool) -> Any:
    """``batch_norm_with_global_normalization``, one average assigned, the other subtracted from."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    mean, variance = tf.nn.moments(x, AXES)
    v1.assign(pop_mean, pop_mean * 0.9 + mean * 0.1)
    v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    return v1.nn.batch_norm_with_global_normalization(x, mean, variance, beta, gamma, 1e-3, True)


def mean_of_squares(x: Any, training: bool) -> Any:
    """E[x²] − E[x]², a power −½, and beta first."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    mean = tf.reduce_mean(x, AXES, keepdims=True)
    variance = tf.reduce_mean(x * x, AXES, keepdims=True) - mean * mean
    v1.assign(pop_mean, pop_mean * 0.9 + tf.squeeze(mean) * 0.1)
    v1.assign(pop_variance, pop_variance * 0.9 + 0.1 * tf.reshape(variance, [scope(x)]))
    if not training:
        mean, variance = pop_mean, pop_variance
    return beta + gamma * (x - mean) * tf.pow(variance + 1e-3, -0.5)


def moments_twice(x: Any, training: bool) -> Any:
    """``tf.nn.moments`` once for the updates and once more to normalise."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    mean, variance = tf.nn.moments(x, AXES, name="for_the_updates")
    v1.assign(pop_mean, pop_mean * 0.9 + mean * 0.1)
    v1.assign(pop_variance, pop_variance * 0.9 + variance * 0.1)
    mean, variance = tf.nn.moments(x, AXES) if training else (pop_mean, pop_variance)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def averaged_average(x: Any, training: bool) -> Any:
    """An average over all variables, the moving statistics among them: two variables seem to follow the mean."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x))
    mean, variance = tf.nn.moments(x, AXES)
    updates = [
        v1.assign_sub(pop_mean, (pop_mean - mean) * 0.1),
        v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1),
    ]
    if training:
        with tf.control_dependencies(updates):
            tf.train.ExponentialMovingAverage(0.99).apply([gamma, beta, pop_mean, pop_variance])
    else:
        mean, variance = pop_mean, pop_variance
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def not_followed_by_beta(x: Any, training: bool) -> Any:
    """gamma alone, and the mean kept with its axes in the variables, too."""
    shape = [1, 1, 1, scope(x)]
    gamma = variable("gamma", shape)
    pop_mean, pop_variance = moving(shape, "pop_mean", "pop_var")
    mean, variance = tf.nn.moments(x, AXES, keepdims=True)
    v1.assign_sub(pop_mean, (pop_mean - mean) * 0.1)
    v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    return tf.nn.batch_normalization(x, mean, variance, None, gamma, 1e-3)


def divided_by_the_deviation(x: Any, training: bool) -> Any:
    """x / deviation − mean / deviation, beta added last."""
    beta = variable("beta", scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    mean, variance = tf.nn.moments(x, AXES)
    v1.assign_sub(pop_mean, (pop_mean - mean) * 0.1)
    v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    deviation = tf.sqrt(variance + 1e-3)
    return x / deviation - mean / deviation + beta


def across_replicas(x: Any, training: bool) -> Any:
    """Sums of two replicas added and divided by the count, as synchronised batch norms do."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x))
    other = x * 0.5 + 1.0
    total = tf.add_n([tf.reduce_sum(x, AXES), tf.reduce_sum(other, AXES)])
    squares = tf.add_n([tf.reduce_sum(x * x, AXES), tf.reduce_sum(other * other, AXES)])
    count = tf.cast(2 * tf.size(x) / scope(x), tf.float32)
    mean = total / count
    variance = squares / count - tf.square(mean)
    v1.assign_sub(pop_mean, (pop_mean - mean) * 0.1)
    v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def masked_moments(x: Any, training: bool) -> Any:
    """The mean over the pixels that are not blank, each sum divided by their number."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    mask = tf.cast(tf.reduce_sum(tf.abs(x), -1, keepdims=True) > 0.1, tf.float32)
    count = tf.reduce_sum(mask)
    mean = tf.reduce_sum(x * mask, AXES) / count
    variance = tf.reduce_sum(tf.square((x - mean) * mask), AXES) / count
    v1.assign(pop_mean, pop_mean * 0.9 + mean * 0.1)
    v1.assign(pop_variance, pop_variance * 0.9 + variance * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    return gamma * (x - mean) / tf.sqrt(variance + 1e-3) + beta


def axes_of_the_graph(x: Any, training: bool) -> Any:
    """The axes to reduce are computed from constants in the graph."""
    gamma, beta = scale_and_shift(scope(x))
    pop_mean, pop_variance = moving(scope(x), "pop_mean", "pop_var")
    axes = tf.range(0, tf.constant(4) - 1)
    mean = tf.reduce_mean(x, axes)
    variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axes)
    v1.assign_sub(pop_mean, (pop_mean - mean) * 0.1)
    v1.assign_sub(pop_variance, (pop_variance - variance) * 0.1)
    if not training:
        mean, variance = pop_mean, pop_variance
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


FORMS: dict[str, Norm] = {
    norm.__name__: norm
    for norm in (
        fused_by_hand,
        fused_wired,
        global_normalization,
        mean_of_squares,
        moments_twice,
        averaged_average,
        not_followed_by_beta,
        divided_by_the_deviation,
        across_replicas,
        masked_moments,
        axes_of_the_graph,
    )
}


@pytest.mark.parametrize("name", FORMS)
def test_form_gives_the_truth(name: str) -> None:
    network = around(FORMS[name])
    sample = sample_for(network)
    inference = infer(source_of(network))
    expected = truth(network, sample)
    assert error_of(inference, sample, expected) < EXACT
    [norm] = inference.batch_norms
    assert norm.flag in ("is_training=True", "batch moments")
    assert norm.evidence[0].startswith("update op bn/")
    assert norm.epsilon == pytest.approx(1e-3, rel=1e-6)
    for role in ("gamma", "beta", "moving_mean", "moving_variance"):
        array = getattr(norm, role)
        assert (array is None) == (role not in norm.variables)
        if array is not None:
            np.testing.assert_array_equal(array, value_of(norm.variables[role], array.shape))


@pytest.mark.parametrize("name", FORMS)
def test_record_is_the_norm_itself(name: str) -> None:
    """gamma · (x − mean) / sqrt(variance + epsilon) + beta, in float64, takes ``x`` to ``y``."""
    network = around(FORMS[name])
    sample = sample_for(network)
    inference = infer(source_of(network))
    [norm] = inference.batch_norms
    x, y = run(inference.graph, [norm.x, norm.y], {inference.inputs[0].tensor: sample})
    x = x.astype(np.float64)
    gamma = 1.0 if norm.gamma is None else norm.gamma
    beta = 0.0 if norm.beta is None else norm.beta
    formula = gamma * (x - norm.moving_mean) / np.sqrt(norm.moving_variance + norm.epsilon) + beta
    np.testing.assert_allclose(y, formula, rtol=0, atol=EXACT * np.abs(formula).max())
    assert norm.channel_axis == 3


def test_colours_subtracted_before_are_not_the_mean() -> None:
    """A batch norm straight on the image, after the mean colour was taken away."""

    def network(training: bool) -> Net:
        x = image()
        with v1.variable_scope("bn"):
            hidden = moments_twice(x - tf.constant([0.5, 0.4, 0.3, 0.2]), training)
        return Net(x, head(hidden))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    [norm] = inference.batch_norms
    assert norm.x == "bn/sub:0"
    assert norm.variables["moving_mean"] == "bn/pop_mean"


def test_variable_is_used_when_the_graph_normalises_by_its_updated_value() -> None:
    def norm(x: Any, training: bool) -> Any:
        gamma, beta = scale_and_shift(scope(x))
        mean, variance = pop_mean, pop_variance = moving(scope(x))
        if training:
            batch_mean, batch_variance = tf.nn.moments(x, AXES)
            mean = v1.assign(pop_mean, 0.9 * pop_mean + 0.1 * batch_mean)
            variance = v1.assign_sub(pop_variance, 0.1 * (pop_variance - batch_variance))
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)

    for use_resource in (True, False):

        def network(training: bool, use_resource: bool = use_resource) -> Net:
            with v1.variable_scope("", use_resource=use_resource):
                return around(norm)(training)

        sample = sample_for(network)
        inference = infer(source_of(network))
        assert error_of(inference, sample, truth(network, sample)) < EXACT
        assert len(inference.batch_norms) == 1


def test_sum_over_workers_goes_when_tensorflow_does_not_know_its_op() -> None:
    network = around(across_replicas)
    sample = sample_for(network)
    source = source_of(network)
    for node in [n for n in source.graph if n.op == "AddN"]:
        source.graph.replace(replace(node, op="HorovodAllreduce", inputs=node.inputs[:1]))
    inference = infer(source, inputs={"image": None}, outputs=["head/logits"])
    assert error_of(inference, sample, truth(network, sample)) < EXACT


def test_average_of_the_deviation_is_used_when_there_is_none_of_the_variance() -> None:
    def norm(x: Any, training: bool) -> Any:
        gamma, beta = scale_and_shift(scope(x))
        pop_mean, pop_deviation = moving(scope(x), "pop_mean", "pop_std")
        mean, variance = tf.nn.moments(x, AXES)
        deviation = tf.sqrt(variance + 1e-5)
        v1.assign_sub(pop_mean, 0.1 * (pop_mean - mean))
        v1.assign_sub(pop_deviation, 0.1 * (pop_deviation - deviation))
        if not training:
            mean, deviation = pop_mean, pop_deviation
        return (x - mean) / deviation * gamma + beta

    network = around(norm)
    sample = sample_for(network)
    assert error_of(infer(source_of(network)), sample, truth(network, sample)) < EXACT


def test_gamma_of_the_class_is_kept_when_it_depends_on_data() -> None:
    """A conditional batch norm: gamma and beta are looked up by class, the statistics are bound all the same."""

    def network(training: bool) -> Net:
        x = image()
        kind = v1.placeholder("int32", [None], name="kind")
        hidden = convolution(x)
        with v1.variable_scope("bn"):
            gamma, beta = (tf.gather(table, kind)[:, None, None] for table in scale_and_shift([4, scope(hidden)]))
            pop_mean, pop_variance = moving(scope(hidden))
            mean, variance = tf.nn.moments(hidden, AXES)
            v1.assign_sub(pop_mean, 0.1 * (pop_mean - mean))
            v1.assign_sub(pop_variance, 0.1 * (pop_variance - variance))
            if not training:
                mean, variance = pop_mean, pop_variance
            hidden = tf.nn.batch_normalization(hidden, mean, variance, beta, gamma, 1e-3)
        return Net(x, head(hidden), {kind: [3, 0, 1]})

    sample = sample_for(network)
    inference = infer(source_of(network), inputs={"image": None, "kind": None}, outputs=["head/logits"])
    assert error_of(inference, sample, truth(network, sample), {"kind:0": [3, 0, 1]}) < EXACT


def test_tower_is_bound_by_gamma_and_beta_when_only_its_twin_updates() -> None:
    """Two towers on halves of the batch share all variables; the first alone updates the moving statistics."""

    def tower(x: Any, training: bool, updates: bool) -> Any:
        hidden = convolution(x)
        gamma, beta = scale_and_shift(scope(hidden))
        pop_mean, pop_variance = moving(scope(hidden), "average_of_means", "average_of_variances")
        if not training:
            return v1.nn.fused_batch_norm(hidden, gamma, beta, pop_mean, pop_variance, is_training=False)[0]
        y, mean, variance = v1.nn.fused_batch_norm(hidden, gamma, beta, is_training=True)
        if updates:
            v1.assign_sub(pop_mean, 0.1 * (pop_mean - mean))
            v1.assign_sub(pop_variance, 0.1 * (pop_variance - variance))
        return y

    def network(training: bool) -> Net:
        x = image()
        hidden = []
        for index, part in enumerate([x, x * 0.5 + 0.3]):
            with v1.variable_scope("net", reuse=index > 0), tf.name_scope(f"tower_{index}/"):
                hidden.append(tower(part, training, updates=index == 0))
        return Net(x, head(tf.concat(hidden, 3)))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    evidence = {norm.name: norm.evidence[0] for norm in inference.batch_norms}
    assert len(evidence) == 2
    assert any(reason.startswith("same gamma and beta as") for reason in evidence.values())


MEANS: dict[str, Callable[[list[Any]], Any]] = {
    "AddN": lambda moments: tf.add_n(moments) / 2.0,
    "Add": lambda moments: 0.5 * (moments[0] + moments[1]),
    "stack": lambda moments: tf.reduce_mean(tf.stack(moments), 0),
    "concat": lambda moments: tf.reduce_mean(tf.concat([tf.expand_dims(m, 0) for m in moments], 0), 0),
}


@pytest.mark.parametrize("is_fused", [True, False], ids=["fused", "moments"])
@pytest.mark.parametrize("mean_of", MEANS)
def test_towers_are_bound_when_the_mean_of_their_moments_is_averaged(mean_of: str, is_fused: bool) -> None:
    """Each tower normalises by its own part of the batch."""

    def network(training: bool) -> Net:
        x, hidden, moments = image(), [], []
        for index, part in enumerate([x, x * 0.5 + 0.3]):
            with v1.variable_scope("net", reuse=index > 0):
                y = convolution(part)
                gamma, beta = scale_and_shift(scope(y))
                pop = moving(scope(y), "average_of_means", "average_of_variances")
            if is_fused and training:
                y, *batch = v1.nn.fused_batch_norm(y, gamma, beta, is_training=True)
            else:
                batch = list(tf.nn.moments(y, AXES))
                y = tf.nn.batch_normalization(y, *(batch if training else pop), beta, gamma, 1e-3)
            moments.append(batch)
            hidden.append(y)
        for average, of_towers in zip(pop, zip(*moments, strict=True), strict=True):
            v1.assign_sub(average, 0.1 * (average - MEANS[mean_of](list(of_towers))))
        return Net(x, head(tf.concat(hidden, 3)))

    sample = sample_for(network)
    inference = infer(source_of(network))
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    assert [norm.variables["moving_mean"] for norm in inference.batch_norms] == ["net/average_of_means"] * 2


def test_parameter_that_is_made_anew_for_each_input_stays_arithmetic() -> None:
    """Ones in the shape of the batch multiply gamma, as ``adjustment`` of tf.layers leaves them: no vector."""

    def adjusted(x: Any, training: bool) -> Any:
        gamma, beta = scale_and_shift(scope(x))
        mean, variance = moving(scope(x))
        if training:
            batch = tf.nn.moments(x, AXES)
            for kept, new in zip((mean, variance), batch, strict=True):
                v1.add_to_collection("updates", v1.assign_sub(kept, (kept - new) * 0.1))
            mean, variance = batch
        ones = tf.ones_like(x[:, :1, :1, :])
        return tf.nn.batch_normalization(x, mean, variance, beta, ones * gamma, 1e-3)

    network = around(adjusted)
    inference = infer(source_of(network))
    sample = sample_for(network)
    [got] = run(inference.graph, [inference.outputs[0].tensor], {inference.inputs[0].tensor: sample})
    expected = truth(network, sample)
    np.testing.assert_allclose(got, expected, rtol=0, atol=EXACT * np.abs(expected).max())


@pytest.mark.parametrize("norm", [fused_by_hand, moments_twice], ids=lambda norm: norm.__name__)
def test_statistics_are_the_layers_own_when_a_target_network_follows_all_variables(norm: Norm) -> None:
    """``target = tau · online + (1 − tau) · target`` over all variables: two variables seem to follow the batch."""

    def network(training: bool) -> Net:
        x, ends = image(), []
        for name in ("online", "target"):
            with v1.variable_scope(name):
                hidden = convolution(x)
                with v1.variable_scope("bn"):
                    hidden = norm(hidden, training)
                ends.append(head(hidden))
        variables = v1.global_variables()
        online, target = ([v for v in variables if v.op.name.startswith(f"{name}/")] for name in ("online", "target"))
        for follows, leads in zip(target, online, strict=True):
            v1.assign(follows, tf.multiply(leads, 0.01) + tf.multiply(follows, 0.99))
        return Net(x, tf.identity(ends[0], name="y"))

    sample = sample_for(network)
    inference = infer(source_of(network), outputs=["y"])
    assert error_of(inference, sample, truth(network, sample)) < EXACT
    [found] = inference.batch_norms
    assert found.variables["moving_mean"].startswith("online/")


def test_copies_of_the_last_batch_are_no_averages() -> None:
    def norm(x: Any, training: bool) -> Any:
        gamma, beta = scale_and_shift(scope(x))
        averages, copies = moving(scope(x)), moving(scope(x), "last_mean", "last_var")
        if not training:
            return v1.nn.fused_batch_norm(x, gamma, beta, *averages, is_training=False)[0]
        y, *batch = v1.nn.fused_batch_norm(x, gamma, beta, is_training=True)
        for average, copy, moment in zip(averages, copies, batch, strict=True):
            v1.assign(copy, moment)
            v1.assign_sub(average, 0.1 * (average - moment))
        return y

    network = around(norm)
    sample = sample_for(network)
    assert error_of(infer(source_of(network)), sample, truth(network, sample)) < EXACT


def test_vectors_of_a_spectral_norm_are_no_corrections_of_a_batch_renormalisation() -> None:
    """Power iteration stores its vector, stops the gradient at it, and divides the kernel by the product."""

    def network(training: bool) -> Net:
        x = image()
        kernel, u = variable("kernel", [3, 3, 4, 7]), variable("u", [1, 7], trainable=False)
        matrix = tf.reshape(kernel, [-1, 7])
        right = tf.math.l2_normalize(tf.matmul(u, matrix, transpose_b=True))
        left = tf.stop_gradient(tf.math.l2_normalize(tf.matmul(right, matrix)))
        sigma = tf.matmul(tf.matmul(tf.stop_gradient(right), matrix), left, transpose_b=True)
        with tf.control_dependencies([v1.assign(u, left)] if training else []):
            hidden = tf.nn.conv2d(x, tf.reshape(matrix / sigma, kernel.shape), 1, "SAME")
        with v1.variable_scope("bn"):
            return Net(x, head(fused_by_hand(hidden, training)))

    sample = sample_for(network)
    assert error_of(infer(source_of(network)), sample, truth(network, sample)) < EXACT
