"""Each layer that Keras has, followed by its BatchNormalization, as Keras and TensorFlow write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from keras_networks import frozen, kept_names, randomise
from small_graphs import fold, ops, tf

from bnfold.inference import infer
from bnfold.load import load

layers = tf.keras.layers

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int | None, ...]]] = {
    "Conv1D": (lambda: layers.Conv1D(5, 3), (8, 3)),
    "Conv2D": (lambda: layers.Conv2D(5, 3, padding="same"), (8, 7, 3)),
    "Conv2D_of_unknown_size": (lambda: layers.Conv2D(5, 3, padding="same"), (None, None, 3)),
    "Conv2D_dilated": (lambda: layers.Conv2D(5, 3, dilation_rate=2), (8, 7, 3)),
    "Conv3D": (lambda: layers.Conv3D(5, 2), (5, 4, 3, 2)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), (8, 7, 3)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(5, 3, depth_multiplier=2), (8, 7, 3)),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(5, 3), (8, 3)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(5, 3, strides=2), (8, 3)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(5, 3, strides=2), (6, 7, 3)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(5, 2, strides=2), (3, 4, 5, 2)),
    "Dense": (lambda: layers.Dense(5), (3,)),
    "Dense_of_three_axes": (lambda: layers.Dense(5), (4, 3)),
    "EinsumDense": (lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d"), (4, 3)),
}


def model_of(shape: tuple[int | None, ...], *parts: Any) -> Any:
    inputs = x = layers.Input(shape)
    for part in parts:
        x = part(x)
    model = tf.keras.Model(inputs, x)
    randomise(model, seed=len(parts))
    return model


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_norm_after_a_layer_is_in_its_weights(name: str, biased: bool) -> None:
    make, shape = LAYERS[name]
    layer = make()
    if name == "EinsumDense" and not biased:
        layer = layers.EinsumDense("abc,cd->abd", output_shape=(None, 5))
    elif not biased:
        layer = type(layer).from_config({**layer.get_config(), "use_bias": False})
    model = model_of(shape, layer, layers.BatchNormalization(), layers.ReLU())
    folding = fold(frozen(model))
    assert kept_names(folding.fates) == []
    arithmetic = [op for op in ops(folding) if op in ("Mul", "AddV2", "Add", "Sub", "BiasAdd")]
    counts_shape = arithmetic.count("Mul") if "Transpose" in name else 0  # the output's size is computed at run time
    assert len(arithmetic) - counts_shape - arithmetic.count("AddV2") * bool(counts_shape) == 1


def test_norm_after_a_grouped_convolution_is_in_its_weights() -> None:
    """Keras puts it in a function of its own, for XLA, which the load stage inlines."""
    conv = layers.Conv2D(6, 3, groups=2)
    folding = fold(infer(load(model_of((8, 7, 4), conv, layers.BatchNormalization(), layers.ReLU()))))
    assert kept_names(folding.fates) == []
    assert [op for op in ops(folding) if op != "Identity"] == ["Conv2D", "BiasAdd", "Relu"]


def test_norm_in_mixed_precision_is_in_the_half_precision_weights() -> None:
    policy = tf.keras.mixed_precision.Policy("mixed_float16")
    conv = layers.Conv2D(5, 3, dtype=policy, name="conv")
    model = model_of((8, 7, 3), conv, layers.BatchNormalization(dtype=policy), layers.ReLU(dtype=policy))
    folding = fold(frozen(model), units=16)
    assert kept_names(folding.fates) == []
    assert [op for op in ops(folding) if op not in ("Cast", "Identity")] == ["Conv2D", "BiasAdd", "Relu"]


def test_constants_of_a_normalization_layer_are_in_the_dense_layer_after_it() -> None:
    normalization = layers.Normalization(mean=[3.0, -1.0, 20.0], variance=[4.0, 0.5, 9.0])
    model = model_of((3,), normalization, layers.Dense(5), layers.BatchNormalization(), layers.ReLU())
    folding = fold(frozen(model), units=256)
    assert kept_names(folding.fates) == []
    assert [op for op in ops(folding) if op != "Identity"] == ["MatMul", "BiasAdd", "Relu"]
    assert {other.into for other in folding.others} == {folding.fates[0].into}  # type: ignore[union-attr]


def test_norm_of_two_calls_of_a_model_is_folded_in_both() -> None:
    """A shared sub-model, called on two inputs: one kernel, two convolutions, the same norm twice."""
    conv, norm = layers.Conv2D(5, 3, name="conv"), layers.BatchNormalization(name="bn")
    left, right = layers.Input((8, 7, 3)), layers.Input((8, 7, 3))
    both = layers.Concatenate()([layers.ReLU()(norm(conv(x))) for x in (left, right)])
    model = tf.keras.Model([left, right], both)
    randomise(model, seed=4)
    folding = fold(frozen(model, calls=2))
    assert kept_names(folding.fates) == []
    assert folding.parameters_added == 0
