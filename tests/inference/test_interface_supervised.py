"""Inputs and outputs of nets that learn from labels, found in the whole training graph."""

from __future__ import annotations

import numpy as np
import pytest
from saved_graphs import Net, Nets, conv, cross_entropy, dense, features, floats, image, saved, tf, train, v1, variable

from bnfold.inference.interface import find_interface

NETS = Nets()
net = NETS.enter


def labels(name: str = "labels") -> object:
    return v1.placeholder(tf.int32, [None], name)


@net("x:0", "b/BiasAdd:0")
def squared_error_with_a_learning_rate_that_is_fed() -> None:
    loss = tf.reduce_mean(tf.square(floats("target", None, 2) - dense(tf.nn.relu(dense(features(), 7, "a")), 2, "b")))
    v1.train.GradientDescentOptimizer(floats("rate")).minimize(loss)


@net("x:0", "y:0")
def output_named_by_an_identity() -> None:
    y = tf.identity(dense(features(), 2, "a"), "y")
    train(tf.reduce_mean(tf.square(y - floats("target", None, 2))))


@net("x:0", "p:0")
def softmax_and_cross_entropy_by_hand() -> None:
    target = floats("target", None, 3)
    p = tf.nn.softmax(dense(features(), 3, "a"), name="p")
    train(-tf.reduce_mean(tf.reduce_sum(target * tf.math.log(p + 1e-8), 1)))
    tf.reduce_mean(tf.cast(tf.equal(tf.argmax(p, 1), tf.argmax(target, 1)), tf.float32), name="accuracy")


@net("x:0", "p:0")
def clipped_before_the_logarithm() -> None:
    p = tf.nn.softmax(dense(features(), 3, "a"), name="p")
    clipped = tf.clip_by_value(p, 1e-10, 1.0)
    train(tf.reduce_mean(-tf.reduce_sum(floats("target", None, 3) * tf.math.log(clipped), axis=[1])))


@net("x:0", "p:0")
def background_sliced_from_the_kinds_to_find_hard_examples() -> None:
    kinds, logits = labels(), dense(features(), 3, "a")
    p = tf.nn.softmax(logits, name="p")
    background = tf.where(tf.equal(kinds, 0), p[:, 0], tf.zeros_like(kinds, tf.float32))
    hard = tf.cast(tf.logical_or(kinds > 0, background < 0.3), tf.float32)
    errors = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=kinds, logits=logits)
    train(tf.reduce_sum(hard * errors))


@net("x:0", "box:0")
def box_put_together_and_taken_apart_again() -> None:
    x = features()
    box = tf.concat([tf.sigmoid(dense(x, 3, "sides")) * 64.0, tf.tanh(dense(x, 1, "angle"))], 1, name="box")
    found, wanted = (tf.split(y, 4, axis=1) for y in (box, floats("target", None, 4)))
    overlap = tf.minimum(found[0], wanted[0]) * tf.minimum(found[1] + found[2], wanted[1] + wanted[2])
    train(tf.reduce_mean(-tf.math.log(overlap + 1.0) + 1.0 - tf.cos(found[3] - wanted[3])))


@net("x:0", "scores:0")
def scores_by_position() -> None:
    x = image([None, 7, 5], "x")
    flat = tf.matmul(tf.reshape(x, [-1, 5]), variable("kernel", [5, 3]))
    scores = tf.reshape(flat, [-1, 7, 3], name="scores")
    kinds = v1.placeholder(tf.int32, [None, 7], "kinds")
    smooth = 0.9 * tf.one_hot(kinds, 3) + 0.03
    train(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=smooth, logits=scores)))


@net("x:0", "cosines:0 embedding:0")
def embedding_whose_angles_to_the_kinds_get_a_margin() -> None:
    embedding = tf.identity(dense(tf.nn.relu(dense(features(), 7, "a")), 4, "b"), "embedding")
    weights = tf.nn.l2_normalize(variable("centres", [4, 3]), 0)
    cosines = tf.matmul(tf.nn.l2_normalize(embedding, 1), weights, name="cosines")
    kinds = tf.one_hot(labels(), 3)
    marked = 64.0 * tf.subtract(cosines, 0.35 * kinds)
    train(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=kinds, logits=marked)))


@net("x:0", "p:0")
def sigmoid_beside_its_cross_entropy() -> None:
    logits = dense(features(), 1, "a")
    tf.sigmoid(logits, "p")
    target = floats("target", None, 1)
    train(tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=target)))


@net("x:0", "p:0")
def log_loss_of_both_sides() -> None:
    target, p = floats("target", None, 1), tf.sigmoid(dense(features(), 1, "a"), "p")
    train(-tf.reduce_mean(target * tf.math.log(p) + (1 - target) * tf.math.log(1 - p)))


@net("x:0", "score:0")
def hinge_loss_of_a_squeezed_score() -> None:
    score = tf.squeeze(dense(features(), 1, "a"), 1, name="score")
    train(tf.reduce_mean(tf.maximum(0.0, 1 - floats("target", None) * score)))


@net("x:0", "y:0")
def losses_library_with_weights_that_are_fed() -> None:
    y = tf.squeeze(dense(features(), 1, "a"), 1, name="y")
    v1.losses.mean_squared_error(floats("target", None), y, weights=floats("weights", None))
    train(v1.losses.get_total_loss())


@net("x:0", "classes:0 box/BiasAdd:0")
def two_heads() -> None:
    trunk = tf.nn.relu(dense(features(), 8, "trunk"))
    logits, box = dense(trunk, 3, "logits"), dense(trunk, 4, "box")
    tf.nn.softmax(logits, name="classes")
    away = tf.abs(box - floats("box_target", None, 4))
    smooth = tf.where(away < 1, 0.5 * away * away, away - 0.5)
    train(cross_entropy(logits, labels()) + tf.reduce_mean(smooth))


@net("x:0", "Predictions:0 logits:0")
def logits_named_by_an_identity() -> None:
    logits = tf.identity(dense(features(), 3, "a"), "logits")
    tf.nn.softmax(logits, name="Predictions")
    train(cross_entropy(logits, labels()))


@net("x:0", "probabilities:0")
def estimator_with_classes_and_probabilities() -> None:
    logits = dense(features(), 3, "a")
    tf.argmax(logits, 1, name="classes")
    tf.nn.softmax(logits, name="probabilities")
    train(cross_entropy(logits, labels()))


@net("x:0", "predictions:0")
def probabilities_written_three_times() -> None:
    logits = dense(features(), 3, "a")
    with v1.name_scope("end_points/deep"):
        tf.reshape(tf.nn.softmax(tf.reshape(logits, [-1, 3])), tf.shape(logits))
        tf.sigmoid(logits)
    tf.nn.softmax(logits, name="predictions")
    train(cross_entropy(logits, labels()))


@net("x:0", "scores/BiasAdd:0")
def segmentation_flattened_for_the_loss() -> None:
    scores = conv(tf.nn.relu(conv(image(), 4, "a")), 2, "scores")
    tf.expand_dims(tf.argmax(scores, 3), 3, name="mask")
    truth = v1.placeholder(tf.int32, [None, 8, 8, 1], "truth")
    train(cross_entropy(tf.reshape(scores, [-1, 2]), tf.reshape(truth, [-1])))


@net("x:0", "clean:0")
def residual_denoiser() -> None:
    x = image()
    clean = tf.subtract(x, conv(tf.nn.relu(conv(x, 4, "a")), 3, "b"), name="clean")
    train(tf.nn.l2_loss(floats("target", None, 8, 8, 3) - clean))


@net("x:0", "last/BiasAdd:0")
def deep_supervision() -> None:
    target = floats("target", None, 8, 8, 2)
    trunk = tf.nn.relu(conv(image(), 4, "trunk"))
    first = conv(trunk, 2, "first")
    last = conv(tf.nn.relu(conv(tf.concat([trunk, first], 3), 4, "middle")), 2, "last")
    train(tf.nn.l2_loss(first - target) + tf.nn.l2_loss(last - target))


@net("x:0", "main:0")
def auxiliary_head() -> None:
    trunk, target = tf.nn.relu(dense(features(), 6, "trunk")), labels()
    logits = dense(tf.nn.relu(dense(trunk, 6, "middle")), 3, "logits")
    tf.nn.softmax(logits, name="main")
    train(cross_entropy(logits, target) + 0.4 * cross_entropy(dense(trunk, 3, "AuxLogits"), target))


@net("x:0", "p:0")
def summaries_metrics_and_averages_of_the_loss() -> None:
    target = v1.placeholder(tf.int64, [None], "labels")
    hidden = tf.nn.relu(dense(features(), 6, "hidden"))
    v1.summary.histogram("hidden", hidden)
    v1.summary.scalar("sparsity", tf.nn.zero_fraction(hidden))
    logits = dense(hidden, 3, "logits")
    p = tf.nn.softmax(logits, name="p")
    v1.metrics.accuracy(target, tf.argmax(p, 1))
    tf.nn.in_top_k(targets=target, predictions=logits, k=2)
    loss = v1.losses.sparse_softmax_cross_entropy(target, logits)
    v1.summary.scalar("loss", loss)
    v1.train.ExponentialMovingAverage(0.9).apply([loss])
    v1.summary.merge_all()
    train(loss)


@net("x:0", "p:0")
def gradients_clipped_and_watched() -> None:
    logits = dense(tf.nn.relu(dense(features(), 6, "hidden")), 3, "logits")
    tf.nn.softmax(logits, name="p")
    optimizer = v1.train.MomentumOptimizer(0.1, 0.9)
    pairs = optimizer.compute_gradients(cross_entropy(logits, labels()))
    clipped, _ = tf.clip_by_global_norm([gradient for gradient, _ in pairs], 1.0)
    for gradient in clipped:
        v1.summary.histogram(gradient.op.name, gradient)
    optimizer.apply_gradients(zip(clipped, [v for _, v in pairs], strict=True))


@net("x:0", "p:0")
def smoothed_labels_class_weights_and_decay() -> None:
    target = labels()
    logits = dense(tf.nn.relu(dense(features(), 6, "hidden")), 3, "logits")
    tf.nn.softmax(logits, name="p")
    weights = tf.gather([1.0, 2.0, 3.0], target)
    v1.losses.softmax_cross_entropy(tf.one_hot(target, 3), logits, label_smoothing=0.1, weights=weights)
    decay = tf.add_n([tf.nn.l2_loss(v) for v in v1.trainable_variables()])
    train(v1.losses.get_total_loss() + 1e-4 * decay)


@net("x:0", "a/BiasAdd:0")
def loss_weighted_by_a_variable() -> None:
    y, spread = dense(features(), 2, "a"), variable("spread", [])
    train(tf.exp(-spread) * tf.reduce_mean(tf.square(y - floats("target", None, 2))) + spread)


@net("x:0", "p:0")
def pretrained_layers_as_constants() -> None:
    kernel = tf.constant(np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32))
    logits = dense(tf.nn.relu(tf.matmul(features(), kernel)), 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, labels()))


@net("x:0", "y:0")
def checks_and_assertions_on_the_way() -> None:
    kernel = variable("kernel", [5, 2], resource=True)
    target = floats("target", None, 2)
    y = tf.identity(tf.debugging.check_numerics(tf.matmul(features(), kernel), "bad"), "y")
    with tf.control_dependencies([v1.assert_equal(tf.shape(y), tf.shape(target))]):
        loss = tf.reduce_mean(tf.square(y - target))
    with tf.control_dependencies([train(loss)]):
        tf.identity(loss, "train_step")


@net("eval_x:0", "p:0")
def tower_to_train_and_tower_to_evaluate() -> None:
    def tower(x: object) -> object:
        return dense(tf.nn.relu(dense(x, 6, "a")), 3, "b")

    trained, evaluated = tower(features("train_x")), tower(features("eval_x"))
    tf.nn.softmax(evaluated, name="p")
    train(cross_entropy(trained, labels("train_labels")))
    cross_entropy(evaluated, labels("eval_labels"))


@net("split:0", "tower_0/p:0")
def towers_on_parts_of_a_batch() -> None:
    optimizer, gradients = v1.train.AdamOptimizer(), []
    parts = zip(tf.split(features(), 2, name="split"), tf.split(labels(), 2), strict=True)
    for index, (x, target) in enumerate(parts):
        with v1.name_scope(f"tower_{index}"):
            logits = dense(tf.nn.relu(dense(x, 6, "a")), 3, "b")
            tf.nn.softmax(logits, name="p")
            gradients.append(optimizer.compute_gradients(cross_entropy(logits, target)))
    optimizer.apply_gradients([((a + b) / 2, v) for (a, v), (b, _) in zip(*gradients, strict=True)])


@net("x:0", "p:0")
def recurrent_net_in_a_loop() -> None:
    x, kernel = image([None, 7, 3]), variable("kernel", [7, 4])
    steps = tf.TensorArray(tf.float32, 7).unstack(tf.transpose(x, [1, 0, 2]))

    def step(i: object, state: object) -> tuple[object, object]:
        return i + 1, tf.tanh(tf.matmul(tf.concat([steps.read(i), state], 1), kernel))

    _, state = v1.while_loop(lambda i, _: i < 7, step, [0, tf.zeros([tf.shape(x)[0], 4])])
    state.set_shape([None, 4])
    logits = dense(state, 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, labels()))


@net("x:0", "p:0")
def frozen_graph_without_a_loss() -> None:
    kernel = tf.constant(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    tf.nn.softmax(tf.matmul(features(), kernel), name="p")


@net("x:0", "boxes:0 classes:0")
def frozen_graph_that_gives_classes() -> None:
    kernel = tf.constant(np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32))
    found = tf.matmul(features(), kernel)
    tf.argmax(found, 1, name="classes")
    tf.identity(found[:, :4], "boxes")


@net("x:0", "mask:0")
def mask_that_is_shown_beside_the_one_that_is_learned() -> None:
    scores = conv(tf.nn.relu(conv(image(), 4, "a")), 1, "scores")
    mask, target = tf.sigmoid(scores, name="mask"), floats("target", None, 8, 8, 1)
    v1.summary.image("binary", tf.cast(mask > 0.5, tf.float32))
    overlap = 2 * tf.reduce_sum(mask * target) / (tf.reduce_sum(mask) + tf.reduce_sum(target) + 1)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(logits=scores, labels=target)
    train(tf.reduce_mean(entropy) - overlap)


@net("x:0", "center:0 size:0 kind:0")
def boxes_and_kinds_sliced_from_one_tensor() -> None:
    found, target = dense(features(), 7, "found"), floats("target", None, 7)
    center = tf.sigmoid(found[:, :2], name="center")
    size, kind = tf.identity(found[:, 2:4], "size"), tf.identity(found[:, 4:], "kind")
    loss = tf.reduce_mean(tf.square(center - target[:, :2]))
    loss += tf.reduce_mean(tf.square(tf.sqrt(tf.exp(size)) - tf.sqrt(target[:, 2:4])))
    train(loss + tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=kind, labels=target[:, 4:])))


@net("x:0", "split:0 split:1")
def boxes_and_kinds_split_from_one_tensor() -> None:
    box, kind = tf.split(dense(features(), 7, "found"), [4, 3], axis=1, name="split")
    loss = tf.reduce_mean(tf.abs(box - floats("target", None, 4)))
    train(loss + cross_entropy(kind, labels()))


@net("x:0", "temperature/p:0")
def metrics_that_measure_the_metrics() -> None:
    p = tf.nn.softmax(dense(features(), 3, "a"), name="temperature/p")
    target = floats("target", None, 3)
    right = tf.equal(tf.argmax(p, 1), tf.argmax(target, 1))
    v1.summary.scalar("errors", 1 - tf.reduce_mean(tf.cast(right, tf.float32)))
    v1.metrics.mean(tf.cast(right, tf.float32))
    train(-tf.reduce_mean(target * tf.math.log(p)))


@pytest.mark.parametrize(("build", "inputs", "outputs"), NETS)
def test_interface_is_what_a_person_would_name(build: Net, inputs: list[str], outputs: list[str]) -> None:
    interface = find_interface(saved(build))
    assert [endpoint.name for endpoint in interface.inputs] == inputs
    assert [endpoint.name for endpoint in interface.outputs] == outputs
    assert all(endpoint.reason for endpoint in (*interface.inputs, *interface.outputs))
