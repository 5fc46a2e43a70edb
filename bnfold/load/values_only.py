"""Checkpoints that hold values and no graph: TensorFlow 2's object checkpoints, and Keras' weight files.

The graph is traced from the model that the user passes along. The values are bound to its variables without being
assigned to them: the user's model stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bnfold.errors import LoadError
from bnfold.graph import Array, DType, node_name
from bnfold.graph.stages import SourceModel
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.checkpoint_files import checkpoint_files
from bnfold.load.fingerprint import fingerprint
from bnfold.load.keras_legacy import RENAMED_VARIABLES
from bnfold.load.keras_model import is_keras_file, is_keras_model
from bnfold.load.memory import source_in_memory
from bnfold.load.protos import parse
from bnfold.load.reasons import reason
from bnfold.load.request import Request
from bnfold.load.saver import SavedAs
from bnfold.load.tensor_file import TensorFile
from bnfold.load.traced import Value
from bnfold.load.variables import refuse_misfit, renamed

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_OTHER_MODEL = "pass the model that the checkpoint was saved from, built the same way"


def load_values(request: Request) -> SourceModel:
    """The graph of ``request.model`` with the values in the checkpoint at ``request.path``.

    Raises
    ------
    LoadError
        When the model cannot be traced, or the checkpoint is damaged or belongs to another model.
    TypeError
        When ``request.model`` is no model.
    """
    if is_keras_file(request.path):
        return _load_keras_weights(request)
    files, notes = checkpoint_files(request.path, graph=False)
    label = files.prefix.name
    tensors = TensorFile(files.pattern, files.data, label, compressed=files.index is None)
    keys = _keys(tensors, request.model, request.rename_variables)
    source = source_in_memory(request.model, _reading(tensors, keys, label))
    if source.variables and not any(variable.key for variable in source.variables.values()):
        raise LoadError(f"none of the model's variables is in the checkpoint {label}", hint=_OTHER_MODEL)
    return replace(
        source,
        path=request.path,
        kind="checkpoint",
        label=label,
        step=files.step,
        fingerprint=fingerprint(files.all),
        notes=notes,
    )


def _reading(tensors: TensorFile, keys: Callable[[Any], str | None], label: str) -> Callable[[Any], Value]:
    def value_of(variable: Any) -> Value:
        key, name = keys(variable), node_name(variable.name)
        dtype = DType.of_tf(variable.dtype.as_datatype_enum)
        shape = tuple(variable.shape) if variable.shape.rank is not None else None

        def read() -> Array:
            if key is None:
                raise LoadError(f"{name} is not in the checkpoint {label}", hint=_OTHER_MODEL, node=name)
            refuse_misfit(name, SavedAs(key), dtype, shape, tensors, label)
            return tensors.read(key)

        return key, read

    return value_of


def _keys(tensors: TensorFile, model: Any, rename: Mapping[str, str]) -> Callable[[Any], str | None]:
    """What finds a variable's key: by its place in the model's object tree, else by its name."""
    by_object: dict[int, str] = {}
    by_name: dict[str, str | None] = {key: key for key in tensors.shapes}
    if _OBJECT_GRAPH in tensors:
        proto = parse(tensors.read(_OBJECT_GRAPH).item(), "protobuf.trackable_object_graph", "TrackableObjectGraph")
        if proto is None:
            raise LoadError("the checkpoint's description of its objects is corrupt", hint="copy the checkpoint again")
        by_object = _matched(proto.nodes, model, set(rename.values()))
        for name, key in _named(proto.nodes):
            by_name[name] = None if name in by_name else key  # two of one name: neither is known by it

    def key_of(variable: Any) -> str | None:
        name = renamed(node_name(variable.name), rename)
        scope, slash, last = name.rpartition("/")
        old = f"{scope}{slash}{RENAMED_VARIABLES.get(last, last)}"
        key = by_object.get(id(variable)) or by_name.get(name) or by_name.get(old)
        return key if key in tensors else None

    return key_of


def _named(nodes: Any) -> Iterator[tuple[str, str]]:
    for node in nodes:
        for attribute in node.attributes:
            if attribute.name == _VALUE and attribute.full_name:
                yield attribute.full_name, attribute.checkpoint_key


def _matched(nodes: Any, model: Any, places: Container[str]) -> dict[int, str]:
    """Keys by the ``id`` of the tf.Variable, from walking the saved tree of objects and the model's side by side.

    The model was saved as the root, or under some name in a ``tf.train.Checkpoint``: the start that matches most
    is the right one, of several that match alike the one named in ``places``.

    Raises
    ------
    LoadError
        When several match alike and none of them was named.
    """
    if not len(nodes):
        return {}
    starts = {"": 0, **{child.local_name: child.node_id for child in nodes[0].children}}
    found = {place: _walk(nodes, start, model) for place, start in starts.items() if 0 <= start < len(nodes)}
    most = max(len(keys) for keys in found.values())
    best = {frozenset(keys.values()): place for place, keys in found.items() if len(keys) == most}
    if len(best) > 1 and most:
        named = [place for place in best.values() if place in places]
        if len(named) != 1:
            raise LoadError(
                f"the checkpoint holds {len(best)} such models: {', '.join(best.values())}",
                hint=f"say which: rename_variables={{'': '{next(iter(best.values()))}'}}",
            )
        return found[named[0]]
    return found[next(iter(best.values()))]


def _walk(nodes: Any, start: int, model: Any) -> dict[int, str]:
    view = tensorflow().train.TrackableView
    trackable = tensorflow().__internal__.tracking.Trackable
    keys: dict[int, str] = {}
    seen: set[int] = set()
    stack = [(start, model)]
    while stack:
        number, thing = stack.pop()
        if id(thing) in seen or not 0 <= number < len(nodes):
            continue
        seen.add(id(thing))
        for attribute in nodes[number].attributes:
            if attribute.name == _VALUE:
                keys[id(_tf_variable(thing))] = attribute.checkpoint_key
        children = view.children(thing) if isinstance(thing, trackable) else {}
        stack.extend(
            (child.node_id, children[child.local_name])
            for child in nodes[number].children
            if child.local_name in children
        )
    return keys


def _tf_variable(thing: Any) -> Any:
    """The tf.Variable in a variable of Keras 3, which wraps one; any other is its own."""
    return thing if isinstance(thing, tensorflow().Variable) else getattr(thing, "value", thing)


def _load_keras_weights(request: Request) -> SourceModel:
    model, path = request.model, request.path
    if not is_keras_model(model):
        raise LoadError(f"{path.name} is a Keras file", hint="pass the Keras model its weights belong to as model=")
    before = model.get_weights()
    try:
        model.load_weights(str(path))
        values = {id(_tf_variable(v)): _tf_variable(v).numpy().copy() for v in model.variables}
    except Exception as error:  # Keras wraps what goes wrong in any of a dozen exceptions
        raise LoadError(f"Keras cannot load the weights in {path.name}: {reason(error)}", hint=_OTHER_MODEL) from error
    finally:
        model.set_weights(before)
    source = source_in_memory(model, lambda v: (node_name(v.name), lambda: values[id(v)]))
    return replace(source, path=path, label=path.name, fingerprint=fingerprint([path]))
