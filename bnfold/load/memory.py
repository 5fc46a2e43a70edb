"""Models handed to the API as Python objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bnfold.graph.stages import SourceModel
from bnfold.load.keras_model import is_keras_model, keras_source
from bnfold.load.traced import Value, concrete_function, held, name_of, source_of


def source_in_memory(model: Any, value_of: Callable[[Any], Value] = held) -> SourceModel:
    """The `SourceModel` of a Keras model, a ``tf.function``, a ConcreteFunction or a tf.Module with a traced call.

    ``value_of`` says where the value of each ``tf.Variable`` is: in it, unless said.

    Raises
    ------
    LoadError
        When it cannot be traced.
    TypeError
        When it is nothing of the kind.
    """
    if is_keras_model(model):
        return keras_source(model, value_of=value_of)
    return source_of(concrete_function(model), kind="function", label=name_of(model), value_of=value_of)
