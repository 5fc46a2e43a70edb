"""What is written for a loss alone is no output: terms of it, groups of samples, what never leaves a branch."""

from __future__ import annotations

import pytest
from saved_graphs import Net, Nets, conv, cross_entropy, dense, features, floats, image, saved, tf, train, v1

from bnfold.inference import infer
from bnfold.inference.interface import find_interface

NETS = Nets()
net = NETS.enter


@net("x:0 wide:0", "p:0")
def logistic_loss_of_a_sum_beside_its_sigmoid() -> None:
    """The loss rectifies the logits by a Select, and what it selects from is a sum that the label meets too."""
    logits = dense(tf.nn.relu(dense(features(), 7, "a")), 2, "b") + dense(features("wide"), 2, "c")
    target = floats("target", None, 2)
    p = tf.sigmoid(logits, name="p")
    focus = tf.square(1 - target * p - (1 - target) * (1 - p))
    train(tf.reduce_mean(focus * tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)))


@net("x:0", "chosen:0")
def larger_of_two_chosen_by_hand() -> None:
    """A Select is an output where it is no term of the logistic loss."""
    score, floor = dense(features(), 2, "a"), dense(features_of_x(), 2, "b")
    chosen = tf.where(score >= floor, score, floor, name="chosen")
    train(tf.reduce_mean(tf.square(chosen - floats("target", None, 2))))


def features_of_x() -> object:
    return v1.get_default_graph().get_tensor_by_name("x:0")


@net("x:0", "embedding:0")
def triplets_split_from_the_batch() -> None:
    anchor, near, far = tf.split(tf.nn.l2_normalize(dense(features(), 7, "a"), 1, name="embedding"), 3)
    train(tf.reduce_mean(tf.maximum(0.0, 0.2 + tf.reduce_sum(anchor * far, 1) - tf.reduce_sum(anchor * near, 1))))


@net("x:0", "embedding:0")
def triplets_unstacked_from_the_batch() -> None:
    found = tf.nn.l2_normalize(dense(features(), 7, "a"), 1, name="embedding")
    anchor, near, far = tf.unstack(tf.reshape(found, [-1, 3, 7]), 3, 1)
    away = tf.reduce_sum(tf.square(anchor - near), 1) - tf.reduce_sum(tf.square(anchor - far), 1)
    train(tf.reduce_mean(tf.maximum(0.0, 0.2 + away)))


@net("x:0", "a/BiasAdd:0")
def scores_that_a_branch_computes_and_never_gives_back() -> None:
    logits = dense(features(), 3, "a")
    target = v1.placeholder(tf.int32, [None], "labels")

    def of_many() -> object:
        tf.nn.relu(dense(logits, 4, "unread"), name="unread_too")
        return tf.reduce_sum(dense(logits, 1, "penalty"))

    penalty = v1.cond(tf.shape(logits)[0] > 1, of_many, lambda: tf.zeros([]))
    train(cross_entropy(logits, target) + 0.1 * penalty)


@net("x:0", "p:0")
def probability_of_what_the_label_says() -> None:
    """``1 - p`` where it says no: no output beside p, of which there are two computations."""
    logits, target = dense(features(), 2, "a"), floats("target", None, 2)
    likely = tf.where(tf.equal(target, 1.0), tf.sigmoid(logits, name="p"), 1 - tf.sigmoid(logits))
    losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
    train(tf.reduce_mean(tf.pow(1 - likely, 1.5) * losses))


@net("x:0", "p:0")
def softmax_of_an_image_by_hand() -> None:
    """Keras of TensorFlow 1 writes it so, and takes the logarithm of what it has divided once more."""
    logits = conv(image([None, 8, 8, 3]), 4, "a")
    powers = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
    p = tf.divide(powers, tf.reduce_sum(powers, -1, keepdims=True), name="p")
    again = tf.clip_by_value(p / tf.reduce_sum(p, -1, keepdims=True), 1e-7, 1 - 1e-7)
    train(tf.reduce_mean(-tf.reduce_sum(floats("target", None, 8, 8, 4) * tf.math.log(again), -1)))


@pytest.mark.parametrize(("build", "inputs", "outputs"), NETS)
def test_interface_is_what_a_person_would_name(build: Net, inputs: list[str], outputs: list[str]) -> None:
    interface = find_interface(saved(build))
    assert [endpoint.name for endpoint in interface.inputs] == inputs
    assert [endpoint.name for endpoint in interface.outputs] == outputs


def mask_by_the_label_or_by_the_prediction() -> None:
    p = tf.nn.softmax(dense(features(), 3, "a"), name="p")
    by_label = v1.placeholder_with_default(False, [], name="mask_by_label")
    label = v1.placeholder(tf.int32, [None], "labels")
    kind = v1.cond(by_label, lambda: label, lambda: tf.argmax(p, 1, output_type=tf.int32))
    drawn = tf.identity(dense(p * tf.one_hot(kind, 3), 5, "b"), "drawn")
    train(tf.reduce_mean(tf.square(drawn - floats("target", None, 5))))


@pytest.mark.parametrize("asked", [False, True])
def test_label_is_an_input_when_the_switch_that_takes_it_is_one(asked: bool) -> None:
    """What a switch chooses by default is settled before the inputs are looked for."""
    named = dict.fromkeys(("x", "mask_by_label", "labels")) if asked else None
    inference = infer(saved(mask_by_the_label_or_by_the_prediction), inputs=named)
    assert [endpoint.name for endpoint in inference.outputs] == ["drawn:0"]
    assert [e.name for e in inference.inputs] == (["x:0", "mask_by_label:0", "labels:0"] if asked else ["x:0"])
    assert ("default-taken" in [note.kind for note in inference.notes]) is not asked
