"""Files of Keras 2 (tf.keras up to TensorFlow 2.15, and tf_keras) read by Keras 3: what it takes no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, str] = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
}
"""Class in Keras 2 → class in Keras 3."""

_ONE_GROUP = {"groups": 1}
_BATCH_MAJOR = {"time_major": False}
_DROPOUT = {"trainable": ..., "noise_shape": None}
_RANDOM = {"rng_type": ...}

LEFT_OUT: Mapping[str, Mapping[str, Any]] = {
    "Conv1DTranspose": _ONE_GROUP,
    "Conv2DTranspose": _ONE_GROUP,
    "Conv3DTranspose": _ONE_GROUP,
    "DepthwiseConv1D": _ONE_GROUP,
    "DepthwiseConv2D": _ONE_GROUP,
    "SeparableConv1D": _ONE_GROUP,
    "SeparableConv2D": _ONE_GROUP,
    "LSTM": _BATCH_MAJOR,
    "GRU": _BATCH_MAJOR,
    "SimpleRNN": _BATCH_MAJOR,
    "RNN": _BATCH_MAJOR,
    "ConvLSTM1D": _BATCH_MAJOR,
    "ConvLSTM2D": _BATCH_MAJOR,
    "ConvLSTM3D": _BATCH_MAJOR,
    "SpatialDropout1D": _DROPOUT,
    "SpatialDropout2D": _DROPOUT,
    "SpatialDropout3D": _DROPOUT,
    "RandomContrast": _RANDOM,
    "RandomCrop": _RANDOM,
    "RandomFlip": _RANDOM,
    "RandomRotation": _RANDOM,
    "RandomTranslation": _RANDOM,
    "RandomZoom": _RANDOM,
}
"""Class → arguments that Keras 2 wrote and Keras 3 refuses, with the value at which they change nothing (…: any)."""


RENAMED_VARIABLES: Mapping[str, str] = {"kernel": "depthwise_kernel"}
"""Last part of a variable's name in Keras 3 → what some layers of Keras 2 called it."""

_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
"""Arguments of any layer that matter while it is trained; they too have other arguments in Keras 3."""


def tolerant_layers(keras: Any) -> dict[str, Any]:
    """Stand-ins for Keras 3's layers, by Keras 2's names, that read what Keras 2 wrote; for ``custom_objects``.

    An argument with a value that did mean something is passed on, and Keras says what it thinks of it.
    """
    base = keras.layers.Layer
    classes = {name: c for name, c in vars(keras.layers).items() if isinstance(c, type) and issubclass(c, base)}
    layers = {name: _tolerant(layer, LEFT_OUT.get(name, {})) for name, layer in classes.items()}
    layers.update((old, layers[new]) for old, new in RENAMED.items())
    layers["hard_sigmoid"] = _hard_sigmoid(keras)
    return layers


def _hard_sigmoid(keras: Any) -> Any:
    """Keras 2 meant ``clip(0.2 x + 0.5, 0, 1)`` by the name, Keras 3 means ``clip(x / 6 + 0.5, 0, 1)``."""

    def hard_sigmoid(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return hard_sigmoid


def _tolerant(layer: Any, ignored: Mapping[str, Any]) -> Any:
    def from_config(cls: type, config: Mapping[str, Any]) -> Any:
        return layer.from_config(_kept(config, ignored))

    return type(layer.__name__, (layer,), {"from_config": classmethod(from_config)})


def _kept(config: Mapping[str, Any], ignored: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` without what meant nothing, in the layers that it wraps too."""
    kept = {key: value for key, value in config.items() if not _means_nothing(ignored, key, value)}
    for key, value in kept.items():
        if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
            inner = LEFT_OUT.get(str(value.get("class_name")), {})
            kept[key] = {**value, "config": _kept(value["config"], inner)}
    return kept


def _means_nothing(ignored: Mapping[str, Any], key: str, value: Any) -> bool:
    if key.endswith(_OF_TRAINING):
        return True
    return key in ignored and (ignored[key] is ... or value == ignored[key])
