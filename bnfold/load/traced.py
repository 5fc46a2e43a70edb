"""Functions in memory, traced by TensorFlow: their graph, and the variables that they captured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bnfold.errors import LoadError
from bnfold.graph import Array, DType, Graph, Node, Shape, constant, node_name
from bnfold.graph.stages import Signature, SourceModel, Variable
from bnfold.graph.tensorflow import tensorflow
from bnfold.load.functions import Inlined, behind_copies, inline_calls
from bnfold.load.protos import decode_graph
from bnfold.load.reasons import reason
from bnfold.load.resources import pass_by_value
from bnfold.load.tables import fill_live_tables

_SIGNATURE = "serving_default"


def concrete_function(function: Any) -> Any:
    """The one graph that ``function`` stands for.

    Parameters
    ----------
    function : tf.function with an input signature, ConcreteFunction, or tf.Module whose call is one of these

    Raises
    ------
    LoadError
        When the shapes of the arguments are not known, or tracing fails.
    TypeError
        When ``function`` is nothing of the kind.
    """
    if hasattr(function, "captured_inputs") and hasattr(function, "structured_outputs"):
        return function
    if isinstance(function, tensorflow().Module) and callable(function):
        function = function.__call__
    if hasattr(function, "get_concrete_function"):
        return _trace(function)
    if callable(function):
        raise LoadError(
            f"{name_of(function)} is a plain function, and nothing says what shapes it takes",
            hint="wrap it: tf.function(f, input_signature=[tf.TensorSpec((None, 224, 224, 3))])",
        )
    raise TypeError(f"neither a path nor a model: {type(function).__name__}")


def _trace(function: Any) -> Any:
    try:
        return function.get_concrete_function()
    except Exception as error:  # tracing runs the user's code: whatever it raises is the reason
        raise LoadError(
            f"{name_of(function)} cannot be traced without arguments: {reason(error)}",
            hint="give it an input_signature, or pass f.get_concrete_function(tf.TensorSpec(...))",
        ) from error


Value = tuple[str | None, Callable[[], Array]]
"""Where the value of a variable is: its key in a checkpoint (or just its name), and what reads it."""


def held(variable: Any) -> Value:
    """The value that the ``tf.Variable`` has now."""

    def read() -> Array:
        value: Array = variable.numpy()
        return value

    return node_name(variable.name), read


def source_of(
    function: Any,
    *,
    kind: str,
    label: str,
    outputs: tuple[str, ...] | None = None,
    value_of: Callable[[Any], Value] = held,
) -> SourceModel:
    """The `SourceModel` of a ConcreteFunction.

    Parameters
    ----------
    function : ConcreteFunction
    kind, label : str
    outputs : tuple of str, optional
        Names of the outputs in the signature, in order.
    value_of : callable
        Where to find the value of a ``tf.Variable``.
    """
    graph = decode_graph(function.graph.as_graph_def(), label)
    variables = _bind_captures(graph, function, value_of)
    flat = inline_calls(graph)
    tables = fill_live_tables(flat.graph, {inside.op.name: outside for outside, inside in function.graph.captures})
    flat = replace(flat, graph=pass_by_value(tables))
    return SourceModel(
        path=None,
        kind=kind,
        label=label,
        graph=flat.graph,
        variables=variables,
        signatures=(_signature(function, flat, outputs),),
        fingerprint=_fingerprint(flat.graph, variables) if value_of is held else "",
    )


def _bind_captures(graph: Graph, function: Any, value_of: Callable[[Any], Value]) -> dict[str, Variable]:
    """Put a handle or a constant in the place of each placeholder through which a function sees what it captured."""
    by_handle = {id(variable.handle): variable for variable in function.graph.variables}
    bound: dict[int, str] = {}
    variables: dict[str, Variable] = {}
    for outside, inside in function.graph.captures:
        place = inside.op.name
        variable = by_handle.get(id(outside))
        if variable is not None:
            if id(variable) not in bound:
                node = graph.add(_handle(graph.fresh_name(node_name(variable.name)), variable))
                bound[id(variable)] = node.output
                key, read = value_of(variable)
                variables[node.name] = Variable(node.name, key, node.attrs["dtype"], node.attrs["shape"], read)
            graph.redirect(f"{place}:0", bound[id(variable)])
            graph.remove(place)
        elif inside.dtype not in (tensorflow().resource, tensorflow().variant) and hasattr(outside, "numpy"):
            graph.replace(constant(place, np.asarray(outside.numpy()), DType.of_tf(inside.dtype.as_datatype_enum)))
    return variables


def _handle(name: str, variable: Any) -> Node:
    attrs = {"dtype": DType.of_tf(variable.dtype.as_datatype_enum), "shape": _shape(variable.shape)}
    return Node(name, "VarHandleOp", attrs={**attrs, "shared_name": name, "container": ""})


def _shape(shape: Any) -> Shape | None:
    return None if shape.rank is None else tuple(shape.as_list())


def _signature(function: Any, flat: Inlined, outputs: tuple[str, ...] | None) -> Signature:
    places = function.inputs[: len(function.inputs) - len(function.captured_inputs)]
    inputs = {tensor.op.name: tensor.name for tensor in places if tensor.dtype != tensorflow().resource}
    names = outputs or _output_names(function)
    tensors = [behind_copies(flat.graph, flat.tensor(tensor.name)) for tensor in function.outputs]
    return Signature(_SIGNATURE, inputs, dict(zip(names, tensors, strict=True)))


def _output_names(function: Any) -> tuple[str, ...]:
    structured = function.structured_outputs
    if isinstance(structured, Mapping) and len(structured) == len(function.outputs):
        return tuple(str(name) for name in sorted(structured))
    return tuple(f"output_{index}" for index in range(len(function.outputs)))


def _fingerprint(graph: Graph, variables: Mapping[str, Variable]) -> str:
    """SHA-256 over the ops and the values: a model in memory has no file, and its trace has names that count up."""
    digest = hashlib.sha256()
    for node in graph:
        digest.update(f"{node.op}\n".encode())
    for name in sorted(variables):
        value = variables[name].read()
        digest.update(f"{name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def name_of(function: Any) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)
