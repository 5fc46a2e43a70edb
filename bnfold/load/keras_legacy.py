"""Files of Keras 2 (tf.keras up to TensorFlow 2.15, and tf_keras) read by Keras 3: what it takes no more."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
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

MODELS = frozenset({"Model", "Functional", "Sequential"})
"""Classes of a layer that is a model."""

_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")
"""Arguments of any layer that matter while it is trained; they too have other arguments in Keras 3."""


def tolerant_layers(keras: Any) -> dict[str, Any]:
    """Stand-ins for Keras 3's layers, by Keras 2's names, that read what Keras 2 wrote; for ``custom_objects``.

    An argument with a value that did mean something is passed on, and Keras says what it thinks of it.
    """
    base, hard_sigmoid = keras.layers.Layer, _hard_sigmoid(keras)
    classes = {name: c for name, c in vars(keras.layers).items() if isinstance(c, type) and issubclass(c, base)}
    layers = {name: _tolerant(layer, LEFT_OUT.get(name, {}), hard_sigmoid) for name, layer in classes.items()}
    layers.update((old, layers[new]) for old, new in RENAMED.items())
    layers["Model"] = layers["Functional"] = _functional(keras)
    # Layers that wrap others write them down and read them again: then by the name that the function has itself.
    layers["hard_sigmoid"] = layers[hard_sigmoid.__name__] = hard_sigmoid
    return layers


def _hard_sigmoid(keras: Any) -> Any:
    """Keras 2 meant ``clip(0.2 x + 0.5, 0, 1)`` by the name, Keras 3 means ``clip(x / 6 + 0.5, 0, 1)``."""

    def hard_sigmoid_of_keras_2(x: Any) -> Any:
        return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)

    return hard_sigmoid_of_keras_2


def _functional(keras: Any) -> Any:
    """A net of layers, some of them models, as Keras 2 writes it."""
    base = keras.models.Model

    def from_config(cls: type, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        return base.from_config(_recounted(_with_one_output(config)), custom_objects=custom_objects)

    return type("Functional", (base,), {"from_config": classmethod(from_config)})


def _with_one_output(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keras 2 wrote the one output of a net as a list, and gave it without."""
    outputs = config.get("output_layers")
    if isinstance(outputs, list) and len(outputs) == 1 and isinstance(outputs[0], list):
        return {**config, "output_layers": outputs[0]}
    return dict(config)


def _recounted(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the calls of the models in it counted from 0: in Keras 2 the making of a model was one, too.

    What its outputs are read from Keras 3 recounts itself, but for a Sequential.
    """
    layers = config.get("layers", ())
    models = {layer["name"]: layer["class_name"] for layer in layers if layer.get("class_name") in MODELS}
    nodes = [*(layer.get("inbound_nodes") for layer in layers), config.get("output_layers")]
    calls = list(_calls(nodes, models))
    made = {name for name in models if min((index for called, index in calls if called == name), default=0) > 0}
    sequential = {name for name in made if models[name] == "Sequential"}
    recounted = [{**layer, "inbound_nodes": _less_one(layer.get("inbound_nodes"), made)} for layer in layers]
    return {**config, "layers": recounted, "output_layers": _less_one(config.get("output_layers"), sequential)}


def _calls(node: Any, models: Container[str]) -> Iterator[tuple[str, int]]:
    """The calls of ``models`` that ``node``, lists of ``[layer, call, output]``, names."""
    if _is_call(node):
        if node[0] in models:
            yield node[0], node[1]
    elif isinstance(node, list):
        for part in node:
            yield from _calls(part, models)


def _less_one(node: Any, models: Container[str]) -> Any:
    if _is_call(node):
        return [node[0], node[1] - 1, *node[2:]] if node[0] in models else node
    return [_less_one(part, models) for part in node] if isinstance(node, list) else node


def _is_call(node: Any) -> bool:
    return isinstance(node, list) and len(node) > 2 and isinstance(node[0], str) and isinstance(node[1], int)


def _tolerant(layer: Any, ignored: Mapping[str, Any], hard_sigmoid: Any) -> Any:
    def from_config(cls: type, config: Mapping[str, Any]) -> Any:
        return layer.from_config(_as_written_by_keras_3(_kept(config, ignored), hard_sigmoid))

    return type(layer.__name__, (layer,), {"from_config": classmethod(from_config)})


def _as_written_by_keras_3(config: Mapping[str, Any], hard_sigmoid: Any) -> dict[str, Any]:
    """``config`` of one layer in Keras 3's words.

    Keras 3 does the same for most layers, but not for those that others wrap; and of a layer that begins a model it
    takes the shape that Keras 2 wrote with the batch for one without.
    """
    written = {key: value for key, value in config.items() if key != "batch_input_shape"}
    if written.get("input_shape") is not None:
        written["input_shape"] = written["input_shape"][1:]
    if isinstance(axis := written.get("axis"), list) and len(axis) == 1:
        [written["axis"]] = axis
    activations = {key for key, value in written.items() if key.endswith("activation") and value == "hard_sigmoid"}
    return {**written, **dict.fromkeys(activations, hard_sigmoid)}


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
