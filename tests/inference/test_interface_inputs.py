"""Where data enters: placeholders, and the places where queues, parsers and augmentation are cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from saved_graphs import Net, Nets, conv, cross_entropy, dense, image, saved, tf, train, v1, variable

from bnfold.inference.interface import find_interface

NETS = Nets()
net = NETS.enter


def labels() -> Any:
    return v1.placeholder(tf.int32, [None], "labels")


def classify(x: Any, target: Any | None = None) -> None:
    """A small net that ends in ``p``, and its training."""
    hidden = tf.nn.relu(conv(x, 4, "hidden"))
    logits = dense(tf.reduce_mean(hidden, [1, 2]), 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, labels() if target is None else target))


# Placeholders


@net("x:0", "p:0")
def bytes_of_images() -> None:
    classify(tf.cast(image(dtype=tf.uint8), tf.float32) / 255.0 - 0.5)


@net("ids:0 length:0", "p:0")
def words_and_the_length_of_sentences() -> None:
    ids, length = v1.placeholder(tf.int32, [None, 7], "ids"), v1.placeholder(tf.int32, [None], "length")
    words = tf.nn.embedding_lookup(variable("table", [50, 4]), ids)
    mask = tf.expand_dims(tf.sequence_mask(length, 7, tf.float32), 2)
    logits = dense(tf.reduce_sum(words * mask, 1), 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, labels()))


@net("at:0 words:0 weights:0", "bags:0")
def bags_of_words_and_their_weights() -> None:
    """A sparse look-up ends the net: what says which word is in which bag reaches no layer after it."""
    at = v1.placeholder(tf.int64, [None, 2], "at")
    words, weights = v1.placeholder(tf.int64, [None], "words"), v1.placeholder(tf.float32, [None], "weights")
    rows = tf.gather(variable("table", [50, 4]), words) * tf.expand_dims(weights, 1)
    tf.math.segment_sum(rows, at[:, 0], name="bags")


@net("x:0", "p:0")
def default_that_a_pipeline_gives() -> None:
    examples = tf.data.Dataset.from_tensors(np.ones((8, 8, 3), np.float32)).repeat().batch(4)
    batch = v1.data.make_one_shot_iterator(examples).get_next()
    classify(v1.placeholder_with_default(batch, [None, 8, 8, 3], "x"))


@net("x:0", "p:0")
def keep_probability_that_is_fed() -> None:
    keep = v1.placeholder(tf.float32, name="keep")
    classify(v1.nn.dropout(image(), keep_prob=keep))


@net("x:0", "p:0")
def flag_over_dropout() -> None:
    x, training = image(), v1.placeholder(tf.bool, [], "training")
    classify(v1.cond(training, lambda: tf.nn.dropout(x, rate=0.5), lambda: tf.identity(x)))


@net("x:0 mirror:0", "p:0")
def flag_of_something_else() -> None:
    x, mirror = image(), v1.placeholder(tf.bool, [], "mirror")
    classify(v1.cond(mirror, lambda: tf.reverse(x, [2]), lambda: tf.identity(x)))


# Pipelines


@net("batch:0", "p:0")
def queue_of_examples() -> None:
    queue = v1.FIFOQueue(10, [tf.float32, tf.int32], [[8, 8, 3], []])
    x, target = queue.dequeue_many(4, name="batch")
    classify(x / 255.0, target)


@net("batch:1", "p:0")
def queue_with_the_image_behind_the_label() -> None:
    queue = v1.RandomShuffleQueue(10, 2, [tf.int32, tf.float32], [[], [8, 8, 3]])
    target, x = queue.dequeue_up_to(4, name="batch")
    classify(x, target)


@net("next:0", "p:0")
def iterator() -> None:
    examples = tf.data.Dataset.from_tensors((np.ones((8, 8, 3), np.float32), np.int32(1))).batch(4)
    x, target = v1.data.make_one_shot_iterator(examples).get_next(name="next")
    classify(x, target)


@net("next:0 next:1", "p:0")
def iterator_that_gives_two_inputs() -> None:
    example = (np.ones((8, 8, 3), np.float32), np.ones(5, np.float32), np.int32(1))
    examples = tf.data.Dataset.from_tensors(example).batch(4)
    x, extra, target = v1.data.make_one_shot_iterator(examples).get_next(name="next")
    hidden = tf.reduce_mean(tf.nn.relu(conv(x, 4, "hidden")), [1, 2])
    logits = dense(tf.concat([hidden, extra], 1), 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, target))


@net("ParseExample/ParseExampleV2:0", "p:0")
def parser_of_examples() -> None:
    serialized = v1.placeholder(tf.string, [None])
    found = tf.io.parse_example(
        serialized, {"image": tf.io.FixedLenFeature([192], tf.float32), "label": tf.io.FixedLenFeature([], tf.int64)}
    )
    classify(tf.reshape(found["image"], [-1, 8, 8, 3]), found["label"])


@net("x:0", "p:0")
def function_of_python_in_mid_network() -> None:
    hidden = tf.nn.relu(conv(image(), 4, "first"))
    chosen = tf.ensure_shape(v1.py_func(np.sort, [hidden], tf.float32), [None, 8, 8, 4])
    classify(chosen)


@net("DecodeJpeg:0", "p:0")
def decoder_of_one_image() -> None:
    pixels = tf.io.decode_jpeg(v1.placeholder(tf.string, [], "contents"), channels=3)
    classify(tf.image.resize(tf.expand_dims(tf.cast(pixels, tf.float32), 0), [8, 8]))


@net("batched:0", "p:0")
def decoder_of_one_image_batched_at_once() -> None:
    pixels = tf.io.decode_jpeg(v1.placeholder(tf.string, [], "contents"), channels=3)
    classify(tf.image.resize(tf.cast(tf.expand_dims(pixels, 0, name="batched"), tf.float32), [8, 8]))


@net("augmented:0", "p:0")
def augmentation_after_the_queue() -> None:
    x = v1.FIFOQueue(10, [tf.float32], [[8, 8, 3]]).dequeue_many(4)
    brighter = x + tf.random.uniform([4, 1, 1, 1], 0.1, 0.9)
    mirrored = tf.where(tf.random.uniform([]) < 0.5, tf.reverse(brighter, [2]), brighter)
    classify((tf.identity(mirrored, "augmented") - 0.5) * 2.0)


@net("crops:0", "p:0")
def augmentation_of_each_image_in_a_loop() -> None:
    x = v1.FIFOQueue(10, [tf.float32], [[10, 10, 3]]).dequeue_many(4)
    images, crops = (tf.TensorArray(tf.float32, 4) for _ in range(2))
    images = images.unstack(x / 255.0)

    def crop(i: Any, done: Any) -> tuple[Any, Any]:
        corner = tf.random.uniform([3], maxval=tf.constant(2), dtype=tf.int32) * [1, 1, 0]
        return i + 1, done.write(i, tf.slice(images.read(i), corner, [8, 8, 3]))

    _, crops = v1.while_loop(lambda i, _: i < 4, crop, [0, crops])
    classify((tf.ensure_shape(tf.identity(crops.stack(), "crops"), [None, 8, 8, 3]) - 0.5) * 2.0)


@net("brighter:0", "p:0")
def brightness_around_zero_after_the_queue() -> None:
    x = v1.FIFOQueue(10, [tf.float32], [[8, 8, 3]]).dequeue_many(4)
    classify(tf.add(x / 255.0, tf.random.uniform([4, 1, 1, 1], -0.2, 0.2), name="brighter") * 2.0)


@net("x:0", "p:0")
def noise_on_what_is_fed() -> None:
    x = image()
    classify(x + tf.random.normal(tf.shape(x), 0.0, 0.1))


@net("x:0", "p:0")
def flips_of_what_is_fed_after_rescaling() -> None:
    classify(tf.image.random_flip_left_right(image() / 255.0))


@net("flipped:0", "p:0")
def flips_of_what_a_queue_gives() -> None:
    x = v1.FIFOQueue(10, [tf.float32], [[8, 8, 3]]).dequeue_many(4)
    classify(tf.identity(tf.image.random_flip_left_right(x), "flipped") / 255.0)


@net("cond/Merge:0", "p:0")
def queues_to_train_and_to_validate() -> None:
    training = v1.placeholder_with_default(True, [], "training")
    ours, theirs = (v1.FIFOQueue(10, [tf.float32], [[8, 8, 3]]).dequeue_many(4) for _ in range(2))
    classify(v1.cond(training, lambda: tf.identity(ours), lambda: tf.identity(theirs)))


@pytest.mark.parametrize(("build", "inputs", "outputs"), NETS)
def test_interface_is_what_a_person_would_name(build: Net, inputs: list[str], outputs: list[str]) -> None:
    interface = find_interface(saved(build))
    assert [endpoint.name for endpoint in interface.inputs] == inputs
    assert [endpoint.name for endpoint in interface.outputs] == outputs


def test_batch_is_free_when_a_feature_column_repeats_that_of_the_pipeline() -> None:
    """It reshapes to ``[batch, size]``, put together from two constants where the batch is known."""

    def network() -> None:
        x, target = v1.FIFOQueue(10, [tf.float32, tf.int32], [[5], []]).dequeue_many(8, name="next")
        rows = tf.stack([tf.constant([8, 5])[0], 5])
        logits = dense(tf.nn.relu(dense(tf.reshape(x, rows), 7, "a")), 3, "logits")
        tf.nn.softmax(logits, name="p")
        train(cross_entropy(logits, target))

    interface = find_interface(saved(network))
    assert [endpoint.shape for endpoint in (*interface.inputs, *interface.outputs)] == [(None, 5), (None, 3)]
