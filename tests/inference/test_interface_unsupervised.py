"""Inputs and outputs of nets without labels: autoencoders, adversaries, distances, rewards."""

from __future__ import annotations

from typing import Any

import pytest
from saved_graphs import Net, Nets, conv, cross_entropy, dense, floats, image, saved, tf, train, v1, variable

from bnfold.inference.interface import find_interface

NETS = Nets()
net = NETS.enter


def features(name: str = "x", size: int = 6) -> Any:
    return image([None, size], name)


def log_loss(logits: Any, labels: Any) -> Any:
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=labels))


# Autoencoders: the input is the label


@net("x:0", "decoded:0")
def autoencoder() -> None:
    x = features()
    y = tf.sigmoid(dense(tf.nn.relu(dense(x, 2, "encoder")), 6, "decoder"), name="decoded")
    train(tf.reduce_mean(tf.pow(x - y, 2)))


@net("x:0", "decoder/BiasAdd:0")
def autoencoder_with_cross_entropy() -> None:
    x = features()
    train(log_loss(dense(tf.nn.relu(dense(x, 2, "encoder")), 6, "decoder"), x))


@net("x:0", "decoded:0")
def convolutional_autoencoder_compared_flat() -> None:
    x = image([None, 8, 8, 1])
    code = tf.nn.relu(conv(x, 4, "encoder"))
    shape = tf.stack([tf.shape(x)[0], 8, 8, 1])
    y = tf.tanh(tf.nn.conv2d_transpose(code, variable("kernel", [3, 3, 1, 4]), shape, 1), name="decoded")
    train(tf.reduce_sum(tf.square(tf.reshape(x, [-1, 64]) - tf.reshape(y, [-1, 64]))))


@net("x:0", "decoded:0")
def sparse_autoencoder() -> None:
    x = features()
    code = tf.sigmoid(dense(x, 4, "encoder"))
    y = tf.sigmoid(dense(code, 6, "decoder"), name="decoded")
    rate = tf.reduce_mean(code, 0)
    sparsity = tf.reduce_sum(0.1 * tf.math.log(0.1 / rate) + 0.9 * tf.math.log(0.9 / (1 - rate)))
    train(tf.reduce_mean(tf.square(x - y)) + 3.0 * sparsity)


@net("x:0", "decoded:0")
def denoising_autoencoder() -> None:
    x = features()
    noisy = x + 0.3 * tf.random.normal(tf.shape(x))
    y = tf.sigmoid(dense(tf.nn.relu(dense(noisy, 3, "encoder")), 6, "decoder"), "decoded")
    train(tf.reduce_mean(tf.square(x - y)))


@net("x:0", "decoded:0")
def masked_autoencoder() -> None:
    x, mask = features(), floats("mask", None, 6)
    dropped = tf.nn.dropout(x, rate=0.3)
    y = tf.sigmoid(dense(tf.nn.relu(dense(dropped, 3, "encoder")), 6, "decoder"), "decoded")
    train(tf.reduce_mean(mask * tf.square(x - y)))


@net("x:0", "decoded:0")
def variational_autoencoder() -> None:
    x = features()
    hidden = tf.nn.relu(dense(x, 5, "encoder"))
    mean, log_variance = dense(hidden, 2, "mean"), dense(hidden, 2, "log_variance")
    code = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
    y = tf.sigmoid(dense(tf.nn.relu(dense(code, 5, "decoder")), 6, "last"), "decoded")
    likelihood = tf.reduce_sum(x * tf.math.log(1e-10 + y) + (1 - x) * tf.math.log(1e-10 + 1 - y), 1)
    divergence = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), 1)
    train(tf.reduce_mean(divergence - likelihood))


# Adversaries: the generator is what people take home


def generator(z: Any) -> Any:
    return tf.tanh(dense(tf.nn.relu(dense(z, 8, "G/first")), 6, "G/last"), "G/fake")


def judge(x: Any) -> Any:
    return dense(tf.nn.relu(dense(x, 8, "D/first")), 1, "D/last")


@net("z:0", "G/fake:0")
def adversaries() -> None:
    fake = generator(features("z", 4))
    real, faked = judge(features()), judge(fake)
    train(log_loss(real, tf.ones_like(real)) + log_loss(faked, tf.zeros_like(faked)), "D")
    train(log_loss(faked, tf.ones_like(faked)), "G")


@net("z:0", "G/fake:0")
def adversaries_with_a_critic() -> None:
    real, faked = judge(features()), judge(generator(features("z", 4)))
    train(tf.reduce_mean(faked) - tf.reduce_mean(real), "D")
    train(-tf.reduce_mean(faked), "G")


@net("z:0", "G/fake:0")
def adversaries_with_a_gradient_penalty() -> None:
    x = features()
    fake = generator(features("z", 4))
    real, faked = judge(x), judge(fake)
    between = x + tf.random.uniform([tf.shape(x)[0], 1]) * (fake - x)
    slope = tf.sqrt(tf.reduce_sum(tf.square(tf.gradients(judge(between), [between])[0]), 1))
    train(tf.reduce_mean(faked) - tf.reduce_mean(real) + 10 * tf.reduce_mean(tf.square(slope - 1)), "D")
    train(-tf.reduce_mean(faked), "G")


@net("x:0 kind:0", "G/fake:0")
def adversaries_that_give_the_input_back_by_the_same_net() -> None:
    x, kind, before = features(), floats("kind", None, 3), floats("kind_before", None, 3)

    def changed(y: Any, to: Any, name: str) -> Any:
        return tf.tanh(dense(tf.nn.relu(dense(tf.concat([y, to], 1), 8, "G/first")), 6, "G/last"), name)

    fake = changed(x, kind, "G/fake")
    back = changed(fake, before, "G/back")
    real, faked = judge(x), judge(fake)
    train(tf.reduce_mean(tf.square(real - 1)) + tf.reduce_mean(tf.square(faked)), "D")
    train(tf.reduce_mean(tf.square(faked - 1)) + tf.reduce_mean(tf.abs(x - back)), "G")


@net("latent:0", "G/fake:0")
def adversaries_with_a_latent_that_the_graph_draws() -> None:
    fake = generator(tf.random.normal([16, 4], 0.5, 2.0, name="latent"))
    real, faked = tf.sigmoid(judge(features())), tf.sigmoid(judge(fake))
    train(-tf.reduce_mean(tf.math.log(real) + tf.math.log(1 - faked)), "D")
    train(-tf.reduce_mean(tf.math.log(faked)), "G")


@net("x:0", "G/fake:0")
def image_to_image() -> None:
    x, target = image(), floats("target", None, 8, 8, 3)
    fake = tf.tanh(conv(tf.nn.relu(conv(x, 4, "G/first")), 3, "G/last"), "G/fake")
    real, faked = (tf.sigmoid(conv(tf.concat([x, y], 3), 1, "D/last")) for y in (target, fake))
    train(tf.reduce_mean(-(tf.math.log(real + 1e-12) + tf.math.log(1 - faked + 1e-12))), "D")
    train(tf.reduce_mean(-tf.math.log(faked + 1e-12)) + 100 * tf.reduce_mean(tf.abs(target - fake)), "G")


@net("x:0", "G/fake:0")
def adversaries_with_the_losses_of_the_library() -> None:
    x, target = features(), floats("target", None, 6)
    fake = generator(x)
    real, faked = judge(target), judge(fake)
    library = v1.losses.sigmoid_cross_entropy
    train(library(tf.ones_like(real), real) + library(tf.zeros_like(faked), faked), "D")
    train(v1.losses.mean_squared_error(target, fake) + 0.1 * library(tf.ones_like(faked), faked), "G")


@net("z:0 code:0", "sample:0")
def adversaries_that_recover_a_code() -> None:
    z, code = features("z", 4), floats("code", None, 3)
    given = tf.concat([z, code], 1)
    shared = tf.nn.relu(dense(generator(given), 8, "D/first"))
    real, faked = judge(features()), dense(shared, 1, "D/last")
    train(log_loss(real, tf.ones_like(real)) + log_loss(faked, tf.zeros_like(faked)), "D")
    recovered = tf.nn.softmax_cross_entropy_with_logits(logits=dense(shared, 3, "Q"), labels=code)
    train(log_loss(faked, tf.ones_like(faked)) + tf.reduce_mean(recovered), "G")
    tf.identity(generator(given), "sample")


@net("a:0 b:0", "ab/fake:0 ba/fake:0")
def cycle_of_two_generators() -> None:
    def across(x: Any, name: str) -> Any:
        hidden = tf.nn.relu(conv(x, 4, f"{name}/first"))
        return tf.tanh(conv(hidden, 3, f"{name}/last"), f"{name}/fake")

    def real(x: Any, name: str) -> Any:
        return tf.reduce_mean(tf.square(conv(x, 1, name) - 1))

    a, b = image(name="a"), image(name="b")
    fake_b, fake_a = across(a, "ab"), across(b, "ba")
    back = tf.reduce_mean(tf.abs(a - across(fake_b, "ba"))) + tf.reduce_mean(tf.abs(b - across(fake_a, "ab")))
    train(real(fake_b, "judge_b") + real(fake_a, "judge_a") + 10 * back)
    train(real(b, "judge_b") + real(a, "judge_a"), "judge")


@net("x:0 label:0", "fake:0")
def generator_with_a_label_as_condition() -> None:
    x = features(size=5)
    condition = tf.one_hot(v1.placeholder(tf.int32, [None], "label"), 4)
    fake = tf.identity(dense(tf.concat([x, condition], 1), 2, "G"), "fake")
    train(tf.reduce_mean(tf.abs(fake - floats("target", None, 2))))


# Distances


@net("anchor:0", "embedding:0")
def triplets() -> None:
    def embed(x: Any, name: str | None = None) -> Any:
        return tf.nn.l2_normalize(dense(tf.nn.relu(dense(x, 6, "a")), 3, "b"), 1, name=name)

    anchor = embed(features("anchor"), "embedding")
    positive, negative = embed(features("positive")), embed(features("negative"))
    near, far = (tf.reduce_sum(tf.square(anchor - other), 1) for other in (positive, negative))
    train(tf.reduce_mean(tf.maximum(0.0, near - far + 0.2)))


@net("x:0", "embedding:0 logits/BiasAdd:0")
def embedding_beside_a_classifier_and_a_center_loss() -> None:
    labels = v1.placeholder(tf.int32, [None], "labels")
    last = tf.nn.relu(dense(features(), 6, "a"))
    tf.nn.l2_normalize(last, 1, name="embedding")
    centers = variable("centers", [3, 6], trainable=False)
    center = tf.gather(centers, labels)
    v1.scatter_sub(centers, labels, 0.1 * (center - last))
    train(cross_entropy(dense(last, 3, "logits"), labels) + tf.reduce_mean(tf.square(last - center)))


# Rewards


@net("state:0", "values:0")
def values_of_actions_towards_a_target_net() -> None:
    action = v1.placeholder(tf.int32, [None], "action")
    values = tf.identity(dense(tf.nn.relu(dense(features("state", 4), 6, "now/a")), 3, "now/b"), "values")
    later = dense(tf.nn.relu(dense(features("next", 4), 6, "then/a")), 3, "then/b")
    goal = tf.stop_gradient(floats("reward", None) + 0.9 * tf.reduce_max(later, 1))
    train(tf.reduce_mean(tf.square(goal - tf.reduce_sum(values * tf.one_hot(action, 3), 1))), "now")


@net("state:0", "values:0")
def values_of_actions_towards_a_target_net_stopped_before_its_discount() -> None:
    values = tf.identity(dense(tf.nn.relu(dense(features("state", 4), 6, "now/a")), 1, "now/b"), "values")
    later = dense(tf.nn.relu(dense(features("next", 4), 6, "then/a")), 1, "then/b")
    goal = floats("reward", None, 1) + 0.9 * tf.stop_gradient(later)
    train(tf.reduce_mean(tf.square(goal - values)), "now")


@net("x:0", "student:0")
def student_of_a_teacher() -> None:
    x = features()
    student = tf.identity(dense(tf.nn.relu(dense(x, 5, "small/a")), 3, "small/b"), "student")
    teacher = tf.stop_gradient(dense(tf.nn.relu(dense(x, 9, "large/a")), 3, "large/b"))
    soft = tf.nn.softmax(teacher / 2.0)
    train(tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=soft, logits=student)), "small")


@net("x:0", "mean:0 value:0")
def actor_and_critic() -> None:
    hidden = tf.tanh(dense(features(), 6, "hidden"))
    mean = tf.identity(dense(hidden, 2, "actor"), "mean")
    value = tf.squeeze(dense(hidden, 1, "critic"), 1, name="value")
    spread = variable("log_spread", [2])
    distance = tf.square((floats("action", None, 2) - mean) / tf.exp(spread))
    likelihood = -0.5 * tf.reduce_sum(distance + 2 * spread, 1)
    surplus = tf.reduce_mean(likelihood * floats("advantage", None))
    train(tf.reduce_mean(tf.square(value - floats("return", None))) - surplus)


@pytest.mark.parametrize(("build", "inputs", "outputs"), NETS)
def test_interface_is_what_a_person_would_name(build: Net, inputs: list[str], outputs: list[str]) -> None:
    interface = find_interface(saved(build))
    assert [endpoint.name for endpoint in interface.inputs] == inputs
    assert [endpoint.name for endpoint in interface.outputs] == outputs
