"""Keras models: files of Keras 3 and of its forerunners, and models in memory; always called with training=False."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph.stages import SourceModel
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.fingerprint import fingerprint
from bnfold.load.keras_legacy import tolerant_layers
from bnfold.load.keras_names import named_by_layers
from bnfold.load.reasons import reason
from bnfold.load.request import Request
from bnfold.load.traced import Value, held, source_of

REFUSED_LAYERS: Mapping[str, str] = {
    "Lambda": "it is Python code inside the file, which is never executed",
    "TorchModuleWrapper": "it is a pickle inside the file, which is never executed",
    "TFSMLayer": "it is another model, at a path that the file names",
    "JaxLayer": "it is a JAX program inside the file",
    "FlaxLayer": "it is a JAX program inside the file",
}
"""Layers that would run, or fetch, something that the file brings along, and why each is refused."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_CONFIG = "config.json"
_METADATA = "metadata.json"
_LARGEST_CONFIG = 1 << 28
_DENSEST = 100
"""Bytes that one byte of a ``.keras`` file may unpack to. Keras does not compress; what deflates best does to 1000."""


def load_keras_file(request: Request) -> SourceModel:
    """The model in a ``.keras`` or ``.h5`` file, traced in inference mode.

    Raises
    ------
    LoadError
        When the file is damaged, holds weights only, has a layer that would run code from the file, or one that is
        not of Keras and not among ``custom_objects``.
    """
    path = request.path
    refuse_code(read_config(path), path.name, request.custom_objects)
    model = _build(path, request.custom_objects)
    source = keras_source(model, label=path.name)
    return replace(source, path=path, fingerprint=fingerprint([path]))


def keras_source(model: Any, *, label: str | None = None, value_of: Callable[[Any], Value] = held) -> SourceModel:
    """The `SourceModel` of a Keras model in memory; ``value_of`` says where the value of a ``tf.Variable`` is."""
    function = trace_keras_model(model)
    names = {_layer_of(tensor): None for tensor in getattr(model, "outputs", None) or ()}
    outputs = tuple(names) if len(names) == len(function.outputs) else None
    label = label or str(model.name)
    source = source_of(function, kind="keras model", label=label, outputs=outputs, value_of=value_of)
    return named_by_layers(source, model) if "keras" in _libraries(model) else source


def _layer_of(tensor: Any) -> str:
    """The name of the layer that gives a symbolic tensor: ``operation`` in Keras 3, ``layer`` before."""
    history = getattr(tensor, "_keras_history", None)
    layer = getattr(history, "operation", None) or getattr(history, "layer", None)
    return str(getattr(layer, "name", tensor.name))


def is_keras_model(model: Any) -> bool:
    """Whether ``model`` is a model of Keras 3 or tf_keras; neither is imported to find out."""
    return bool(_libraries(model))


def _libraries(model: Any) -> set[str]:
    """Which of Keras 3 and tf_keras the class of ``model`` derives from."""
    bases = (base for base in type(model).__mro__ if base.__name__ == "Model")
    return {base.__module__.partition(".")[0] for base in bases} & {"keras", "tf_keras"}


def trace_keras_model(model: Any) -> Any:
    """The ConcreteFunction of ``model(inputs, training=False)``.

    Raises
    ------
    LoadError
        When the model has no shapes yet, or runs on another backend than TensorFlow.
    """
    tf = tensorflow()
    specs = _input_specs(model)

    def infer(inputs: Any) -> Any:
        return model(inputs, training=False)

    try:
        return tf.function(infer).get_concrete_function(specs)
    except Exception as error:  # tracing runs the user's layers: whatever they raise is the reason
        hint = (
            "some layers want to know all sizes: load the model in Python, and pass "
            "tf.function(lambda x: model(x, training=False), input_signature=[...]) with them"
        )
        raise LoadError(f"the Keras model {model.name} cannot be traced: {reason(error)}", hint=hint) from error


def _input_specs(model: Any) -> Any:
    """What ``model`` is called with: a TensorSpec, or a list, tuple or dict of them."""
    tf = tensorflow()
    inputs = getattr(model, "input", None)
    inputs = getattr(model, "inputs", None) if inputs is None else inputs  # a Sequential may have the second only
    if inputs is not None:
        inputs = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else inputs
        return tf.nest.map_structure(lambda x: tf.TensorSpec(tuple(x.shape), x.dtype, name=_input_name(x)), inputs)
    shape = (model.get_build_config() or {}).get("input_shape") if hasattr(model, "get_build_config") else None
    if isinstance(shape, (tuple, list)) and shape and all(size is None or isinstance(size, int) for size in shape):
        return tf.TensorSpec((None, *shape[1:]), "float32", name="input")
    raise LoadError(
        f"the Keras model {model.name} has no input shape yet",
        hint="call it on a sample, or pass tf.function(lambda x: model(x, training=False), input_signature=[...])",
    )


def _input_name(tensor: Any) -> str:
    return str(tensor.name).partition(":")[0]


# Files


def is_keras_file(path: Path) -> bool:
    """Whether ``path`` is a file of the two containers that Keras uses: zip and HDF5."""
    return path.is_file() and (_starts_with(path, _HDF5) or _starts_with(path, _ZIP))


def read_config(path: Path) -> Any:
    """The architecture that a Keras file describes, as parsed JSON; nothing is built from it.

    Raises
    ------
    LoadError
        When the file is damaged or holds weights only.
    """
    text = _config_in_hdf5(path) if _starts_with(path, _HDF5) else _config_in_zip(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise LoadError(f"the model description in {path.name} is not JSON", hint=_COPY) from None


_COPY = "the file is damaged or was not copied whole; copy it again"


def _config_in_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > max(_LARGEST_CONFIG, _DENSEST * path.stat().st_size):
                raise LoadError(f"{path.name} claims to unpack to {unpacked} bytes", hint=_COPY)
            if archive.getinfo(_CONFIG).file_size > _LARGEST_CONFIG:
                raise LoadError(f"{path.name} claims a model description of more than 256 MiB", hint=_COPY)
            return archive.read(_CONFIG).decode()
    except KeyError:
        hint = "pass a .keras file as model.save() writes it"
        raise LoadError(f"{path.name} is a zip archive without a Keras model", hint=hint) from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise LoadError(f"{path.name} cannot be unpacked: {reason(error)}", hint=_COPY) from None


def _config_in_hdf5(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise LoadError(f"{path.name} cannot be read as HDF5: {reason(error)}", hint=_COPY) from None
    if config is None:
        raise LoadError(
            f"{path.name} holds weights only, no model",
            hint="from Python: bnfold.convert(weights, model=...) with the Keras model they were saved from",
        )
    return config.decode(errors="replace") if isinstance(config, bytes) else str(config)


def refuse_code(config: Any, label: str, custom_objects: Mapping[str, Any]) -> None:
    """Refuse a description with a layer that would run code from the file, wherever it is nested.

    Keras' own safe mode does so too, for some formats and versions; this does not depend on which is installed.

    Raises
    ------
    LoadError
    """
    for entry in _entries(config):
        kind = entry.get("class_name")
        if not isinstance(kind, str):
            continue
        kind = kind.rpartition(">")[2]
        if kind == "__lambda__" or (kind in REFUSED_LAYERS and kind not in custom_objects):
            inner = entry.get("config")
            name = inner.get("name", kind) if isinstance(inner, Mapping) else kind
            raise LoadError(
                f"{label} has a {kind.strip('_')} layer, {name}: {REFUSED_LAYERS.get(kind, REFUSED_LAYERS['Lambda'])}",
                hint="build the model in Python, load its weights, and pass the model itself to bnfold.convert",
                node=str(name),
            )


def _entries(config: Any) -> Iterator[Mapping[str, Any]]:
    stack = [config]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _build(path: Path, custom_objects: Mapping[str, Any]) -> Any:
    """The model object, by the Keras that wrote the file where that is installed."""
    hint = "pass its own layers as custom_objects={'Name': Class} from Python; or the model itself, loaded by you"
    keras, layers = _keras(), dict(custom_objects)
    if _is_keras_2(path):
        if (tf_keras := _tf_keras()) is not None:
            keras = tf_keras
        else:
            layers = {**tolerant_layers(keras), **layers}
            hint += "; or install tf_keras, which reads all files of Keras 2"
    try:
        with _with_suffix(path) as name, keras.utils.custom_object_scope(layers):
            return keras.models.load_model(name, compile=False, safe_mode=True)
    except Exception as error:  # Keras wraps what goes wrong in any of a dozen exceptions
        raise LoadError(f"Keras cannot load {path.name}: {reason(error)}", hint=hint) from error


def _is_keras_2(path: Path) -> bool:
    """Whether Keras 2 wrote the file; it says so itself, and one that does not is older still."""
    if _starts_with(path, _HDF5):
        import h5py

        with h5py.File(path, "r") as file:
            version = file.attrs.get("keras_version", "2")
        return str(version.decode() if isinstance(version, bytes) else version).startswith(("1", "2"))
    with zipfile.ZipFile(path) as archive:
        try:
            version = json.loads(archive.read(_METADATA)).get("keras_version", "3")
        except (KeyError, ValueError, AttributeError, zipfile.BadZipFile):
            version = "3"
    return str(version).startswith("2")


@contextmanager
def _with_suffix(path: Path) -> Iterator[str]:
    """Keras goes by the name of a file, not by its content: give it the name that fits."""
    suffix = ".h5" if _starts_with(path, _HDF5) else ".keras"
    if path.suffix == suffix:
        yield str(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"model{suffix}"
        link.symlink_to(path.resolve())
        yield str(link)


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _tf_keras() -> Any | None:
    try:
        import tf_keras
    except ImportError:
        return None
    return tf_keras


def _keras() -> Any:
    tensorflow()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise LoadError(
            f"Keras runs on {keras.backend.backend()} here",
            hint="set the environment variable KERAS_BACKEND=tensorflow",
        )
    return keras
