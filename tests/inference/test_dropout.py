"""Dropout and noise in every form: removed, and the values are those of the net built without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from saved_graphs import dense, frozen, image, saved, tf, truth, v1, variable

from bnfold.graph import Array, Graph
from bnfold.graph.evaluate import run
from bnfold.inference.dropout import ALPHA, remove_dropout
from bnfold.inference.op_kinds import RANDOM

Layer = Callable[[Any], Any]
X = np.random.default_rng(5).normal(0, 2, (3, 4, 5, 6)).astype(np.float32)
LAYERS: dict[str, Layer] = {}
FEEDS: dict[str, Mapping[str, Array]] = {}


def layer(kind: str) -> Callable[[Layer], Layer]:
    def enter(build: Layer) -> Layer:
        LAYERS[build.__name__] = build
        KINDS[build.__name__] = kind
        return build

    return enter


KINDS: dict[str, str] = {}


def net(build: Layer) -> Callable[[], object]:
    """``build`` between two parts of a net, its result named ``y``."""

    def whole() -> None:
        x = image([None, 4, 5, 6])
        hidden = tf.nn.relu(x * variable("scale", [6]) + variable("shift", [6]))
        tf.identity(build(hidden) * variable("after", [6]), "y")

    return whole


def without(x: Any) -> Any:
    return x


def floor_mask(x: Any, keep: Any, shape: Any = None) -> Any:
    """As TensorFlow before 1.13 wrote it."""
    noise = tf.random.uniform(tf.shape(x) if shape is None else shape)
    return tf.floor(keep + noise)


def old_dropout(x: Any, keep: Any, shape: Any = None) -> Any:
    return (x / keep) * floor_mask(x, keep, shape)


def new_dropout(x: Any, rate: Any) -> Any:
    """As TensorFlow 1.13 to 2.3 wrote it."""
    mask = tf.random.uniform(tf.shape(x)) >= rate
    return x * (1 / (1 - rate)) * tf.cast(mask, tf.float32)


def fed(name: str = "keep") -> Any:
    return v1.placeholder(tf.float32, None, name)


@layer("dropout")
def as_tensorflow_writes_it_today(x: Any) -> Any:
    return tf.nn.dropout(x, rate=0.3)


@layer("dropout")
def with_a_noise_shape(x: Any) -> Any:
    return tf.nn.dropout(x, rate=0.6, noise_shape=[tf.shape(x)[0], 1, 1, 6])


@layer("dropout")
def of_tensorflow_1_with_a_keep_probability(x: Any) -> Any:
    return v1.nn.dropout(x, keep_prob=0.7)


@layer("dropout")
def with_a_keep_probability_that_is_fed(x: Any) -> Any:
    return v1.nn.dropout(x, keep_prob=fed())


@layer("dropout")
def with_one_of_several_keep_probabilities_that_are_fed(x: Any) -> Any:
    return v1.nn.dropout(x, keep_prob=v1.placeholder(tf.float32, [None], "keep_each")[1])


@layer("dropout")
def with_a_keep_probability_that_has_a_default(x: Any) -> Any:
    return v1.nn.dropout(x, keep_prob=v1.placeholder_with_default(0.5, [], "keep"))


@layer("dropout")
def with_a_rate_that_is_computed(x: Any) -> Any:
    step = tf.cast(variable("step", [], trainable=False, value=7.0), tf.float32)
    return tf.nn.dropout(x, rate=tf.minimum(0.5, 0.01 * step))


@layer("dropout")
def stateless(x: Any) -> Any:
    return tf.nn.experimental.stateless_dropout(x, rate=0.4, seed=[1, 2])


@layer("dropout")
def with_a_floor(x: Any) -> Any:
    return old_dropout(x, 0.8)


@layer("dropout")
def with_a_floor_and_a_keep_probability_that_is_fed(x: Any) -> Any:
    return old_dropout(x, fed())


@layer("dropout")
def with_a_cast(x: Any) -> Any:
    return new_dropout(x, 0.25)


@layer("dropout")
def with_a_cast_and_a_rate_that_is_fed(x: Any) -> Any:
    return new_dropout(x, 1 - fed())


@layer("dropout")
def mask_first(x: Any) -> Any:
    return floor_mask(x, 0.8) * x / 0.8


@layer("dropout")
def mask_scaled_before(x: Any) -> Any:
    return x * (floor_mask(x, 0.8) / 0.8)


@layer("dropout")
def scaled_after_by_multiplication(x: Any) -> Any:
    return 1.25 * (x * floor_mask(x, 0.8))


@layer("dropout")
def chosen_by_where(x: Any) -> Any:
    return tf.where(tf.random.uniform(tf.shape(x)) < 0.6, x / 0.6, tf.zeros_like(x))


@layer("dropout")
def dropped_by_where(x: Any) -> Any:
    return tf.where(tf.random.uniform(tf.shape(x)) > 0.6, 0.0, x / 0.6)


@layer("dropout")
def kept_by_a_negation(x: Any) -> Any:
    dropped = tf.random.uniform(tf.shape(x)) < 0.4
    return x * tf.cast(tf.logical_not(dropped), tf.float32) / 0.6


@layer("dropout")
def uniform_over_another_range(x: Any) -> Any:
    return x * tf.cast(tf.random.uniform(tf.shape(x), -1.0, 3.0) < 2.0, tf.float32) / 0.75


@layer("dropout")
def twice_in_a_row(x: Any) -> Any:
    return tf.nn.dropout(old_dropout(x, 0.5), rate=0.2)


@layer("dropout")
def of_alpha(x: Any) -> Any:
    rate = 0.2
    kept = tf.cast(tf.random.uniform(tf.shape(x)) >= rate, tf.float32)
    a = ((1 - rate) * (1 + rate * ALPHA**2)) ** -0.5
    return a * (x * kept + ALPHA * (1 - kept)) - a * ALPHA * rate


@layer("dropout")
def of_paths_through_a_residual_block(x: Any) -> Any:
    branch = tf.tanh(x * variable("branch", [6]))
    return x + old_dropout(branch, 0.9, tf.stack([tf.shape(x)[0], 1, 1, 1]))


of_paths_through_a_residual_block.truth = lambda x: x + tf.tanh(x * variable("branch", [6]))  # type: ignore[attr-defined]


@layer("noise")
def normal_noise_added(x: Any) -> Any:
    return x + tf.random.normal(tf.shape(x), 0.0, 0.3)


@layer("noise")
def normal_noise_subtracted(x: Any) -> Any:
    return x - tf.random.truncated_normal(tf.shape(x), 0.0, 0.3)


@layer("noise")
def uniform_noise_added(x: Any) -> Any:
    return x + tf.random.uniform(tf.shape(x), -0.5, 0.5)


@layer("noise")
def normal_noise_around_one(x: Any) -> Any:
    return x * tf.random.normal(tf.shape(x), 1.0, 0.4)


@layer("noise")
def noise_whose_deviation_is_fed(x: Any) -> Any:
    return x + fed("deviation") * tf.random.normal(tf.shape(x))


@layer("dropout")
def of_keras(x: Any) -> Any:
    return tf.keras.layers.Dropout(0.35, seed=4)(x, training=True)


@layer("dropout")
def of_keras_over_channels(x: Any) -> Any:
    return tf.keras.layers.SpatialDropout2D(0.35, seed=4)(x, training=True)


@layer("dropout")
def of_keras_with_alpha(x: Any) -> Any:
    return tf.keras.layers.AlphaDropout(0.35, seed=4)(x, training=True)


@layer("noise")
def gaussian_noise_of_keras(x: Any) -> Any:
    return tf.keras.layers.GaussianNoise(0.2, seed=4)(x, training=True)


@layer("noise")
def gaussian_dropout_of_keras(x: Any) -> Any:
    return tf.keras.layers.GaussianDropout(0.2, seed=4)(x, training=True)


@layer("flip")
def flipped_by_image(x: Any) -> Any:
    mirrored = tf.random.uniform([tf.shape(x)[0], 1, 1, 1]) < 0.5
    return tf.where(mirrored, tf.reverse(x, [2]), x)


@layer("flip")
def flipped_both_ways(x: Any) -> Any:
    for axis in (1, 2):
        kept = tf.random.uniform([tf.shape(x)[0], 1, 1, 1]) >= 0.3
        x = tf.where(kept, x, tf.reverse(x, [axis]))
    return x


@layer("flip")
def flipped_as_tensorflow_flips_batches(x: Any) -> Any:
    """A product with the mask and one with its complement: neither is dropout."""
    return tf.image.random_flip_left_right(x, seed=3)


def stripped(build: Layer) -> tuple[Graph, list[str]]:
    """The net around ``build`` after the removal, frozen, and the kinds of the notes."""
    source = saved(net(build))
    graph, notes = remove_dropout(source.graph.pruned(["y:0"]))
    return frozen(source, graph), [note.kind for note in notes]


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_gone_and_the_values_are_those_without_it(name: str) -> None:
    build = LAYERS[name]
    graph, kinds = stripped(build)
    assert kinds == [f"{KINDS[name]}-removed"]
    forward = graph.pruned(["y:0"])
    assert not [node.name for node in graph if node.op in RANDOM]
    assert [node.name for node in forward if node.op.startswith("Placeholder")] == ["x"]
    [expected] = truth(net(getattr(build, "truth", without)), ["y:0"], {"x:0": X})
    [got] = run(forward, ["y:0"], {"x:0": X})
    np.testing.assert_array_equal(got, expected)


def test_dropout_in_a_loop_is_gone_and_the_values_are_those_without_it() -> None:
    def loop(drop: bool) -> Callable[[], object]:
        def whole() -> None:
            x, kernel = image([None, 6]), variable("kernel", [6, 6])

            def step(i: Any, state: Any) -> Any:
                state = old_dropout(state, keep) if drop else state
                return i + 1, tf.tanh(tf.matmul(state, kernel))

            keep = v1.placeholder(tf.float32, [], "keep")
            _, state = v1.while_loop(lambda i, _: i < 3, step, [0, x])
            tf.identity(state, "y")

        return whole

    x = X.reshape(-1, 6)
    source = saved(loop(drop=True))
    graph, notes = remove_dropout(source.graph.pruned(["y:0"], controls=True))
    assert [note.kind for note in notes] == ["dropout-removed"]
    assert "keep" not in graph.pruned(["y:0"])
    [expected] = truth(loop(drop=False), ["y:0"], {"x:0": x})
    [got] = run(frozen(source, graph).pruned(["y:0"], controls=True), ["y:0"], {"x:0": x})
    np.testing.assert_array_equal(got, expected)


# What is no inverted dropout


def test_dropout_is_replaced_by_its_average_when_it_is_not_divided_by_the_keep_probability() -> None:
    source = saved(net(lambda x: x * floor_mask(x, 0.8)))
    graph, [note] = remove_dropout(source.graph.pruned(["y:0"]))
    assert (note.level, note.kind) == ("warning", "dropout-unscaled")
    [expected] = truth(net(lambda x: x * 0.8), ["y:0"], {"x:0": X})
    [got] = run(frozen(source, graph).pruned(["y:0"]), ["y:0"], {"x:0": X})
    np.testing.assert_allclose(got, expected, rtol=1e-4)  # the average over 20,000 quantiles


def test_dropped_pixels_are_whole_again_when_the_data_itself_is_corrupted() -> None:
    def corrupted(mask: bool) -> Callable[[], object]:
        def whole() -> None:
            x = image([None, 6])
            tf.identity(dense(x * floor_mask(x, 0.8) if mask else x, 2, "a"), "y")

        return whole

    source = saved(corrupted(mask=True))
    graph, [note] = remove_dropout(source.graph.pruned(["y:0"]))
    assert note.kind == "dropout-removed"
    x = X.reshape(-1, 6)
    [expected] = truth(corrupted(mask=False), ["y:0"], {"x:0": x})
    [got] = run(frozen(source, graph).pruned(["y:0"]), ["y:0"], {"x:0": x})
    np.testing.assert_array_equal(got, expected)


def sampling_of_a_code(x: Any) -> Any:
    return x + tf.exp(x * variable("deviation", [6])) * tf.random.normal(tf.shape(x))


def noise_with_a_learned_strength(x: Any) -> Any:
    return x + variable("strength", [6]) * tf.random.normal(tf.shape(x))


def mask_of_unknown_average(x: Any) -> Any:
    return x * tf.floor(fed() + tf.random.uniform(tf.shape(x)))


def brightness_that_is_not_centred(x: Any) -> Any:
    return x + tf.random.uniform(tf.shape(x), 0.1, 0.9)


def product_of_two_random_masks(x: Any) -> Any:
    return x * (tf.floor(0.5 + tf.random.uniform(tf.shape(x))) * tf.random.uniform(tf.shape(x)))


def block_left_out_by_a_random_condition(x: Any) -> Any:
    return v1.cond(tf.random.uniform([]) < 0.8, lambda: x + tf.tanh(x), lambda: tf.identity(x))


@pytest.mark.parametrize(
    "build",
    [
        sampling_of_a_code,
        noise_with_a_learned_strength,
        mask_of_unknown_average,
        brightness_that_is_not_centred,
        product_of_two_random_masks,
        block_left_out_by_a_random_condition,
    ],
)
def test_random_numbers_stay_with_a_warning_when_they_are_no_layer_of_training(build: Layer) -> None:
    before = saved(net(build)).graph.pruned(["y:0"])
    after, [note] = remove_dropout(before)
    assert list(after) == list(before)
    assert (note.level, note.kind) == ("warning", "random-left")
    assert set(note.nodes) == {node.name for node in before if node.op in RANDOM}
    assert note.hint


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x * tf.cast(x > 1, tf.float32),
        lambda x: tf.where(x > 0.5, x, tf.zeros_like(x)),
        lambda x: x / 0.8 * tf.floor(tf.abs(x)),
    ],
    ids=["threshold", "where", "floor"],
)
def test_mask_made_of_the_data_stays(build: Layer) -> None:
    before = saved(net(build)).graph.pruned(["y:0"])
    after, notes = remove_dropout(before)
    assert list(after) == list(before)
    assert notes == ()


def test_name_of_the_layer_stays_when_its_result_is_an_output() -> None:
    def whole() -> None:
        old_dropout(image([None, 6]) + variable("shift", [6]), 0.5)

    source = saved(whole)
    last = next(node.output for node in source.graph if node.op == "Mul" and not source.graph.consumers(node.name))
    before = list(source.graph)
    graph, [note] = remove_dropout(source.graph.pruned([last]))
    assert list(source.graph) == before
    assert note.nodes == (last.removesuffix(":0"),)
    x = X.reshape(-1, 6)
    [got] = run(frozen(source, graph), [last], {"x:0": x})
    np.testing.assert_array_equal(got, x + source.variables["shift"].read())
