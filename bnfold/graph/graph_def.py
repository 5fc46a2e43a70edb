"""GraphDef ↔ Graph: TensorFlow's protos at the border, decoded once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

from bnfold.graph.dtypes import DType
from bnfold.graph.graph import Array, Function, FunctionRef, Graph, Node, node_name, output_index
from bnfold.graph.tensorflow import tensorflow


def from_graph_def(graph_def: Any) -> Graph:
    """Decode a ``GraphDef``, its function library included.

    Ops that TensorFlow does not know stay as they are; for the others the attributes that the writer left out
    are filled with their defaults. Reference dtypes lose their ``_ref``; private attributes (``_class``) go.
    A function that makes no sense is left out: training graphs carry many that inference never calls.
    """
    graph = Graph((_decode_node(proto) for proto in graph_def.node), producer=graph_def.versions.producer)
    results = {f.signature.name: [arg.name for arg in f.signature.output_arg] for f in graph_def.library.function}
    for function_def in graph_def.library.function:
        with suppress(KeyError, IndexError, TypeError, ValueError):  # of a data pipeline, most likely: nobody's loss
            function = _decode_function(function_def, graph_def.versions.producer, results)
            graph.functions[function.name] = function
    return graph


def to_graph_def(graph: Graph, *, without_values: Iterable[str] = ()) -> Any:
    """Encode ``graph`` as a ``GraphDef``.

    Parameters
    ----------
    graph : Graph
    without_values : iterable of str
        Names of Const nodes to write as Placeholders of the same dtype and static shape, so that large arrays
        are not copied into the proto.
    """
    from tensorflow.core.framework import graph_pb2

    hidden = set(without_values)
    graph_def = graph_pb2.GraphDef()
    graph_def.versions.producer = graph.producer
    for node in graph:
        _encode_node(_as_placeholder(node) if node.name in hidden else node, graph_def.node.add())
    for function in graph.functions.values():
        _encode_function(function, graph_def.library.function.add())
    return graph_def


def _as_placeholder(node: Node) -> Node:
    attrs = {"dtype": node.attrs["dtype"], "shape": tuple(node.attrs["value"].shape)}
    return Node(node.name, "Placeholder", attrs=attrs, controls=node.controls)


# Nodes


def _decode_node(proto: Any) -> Node:
    inputs = tuple(_decode_input(text) for text in proto.input if not text.startswith("^"))
    controls = tuple(node_name(text[1:]) for text in proto.input if text.startswith("^"))
    attrs = dict(_defaults(proto.op))
    attrs.update((key, _decode_attr(value)) for key, value in proto.attr.items() if not key.startswith("_"))
    return Node(proto.name, proto.op, inputs, attrs, controls)


def _decode_input(text: str) -> str:
    _, colon, index = text.rpartition(":")
    return text if colon and index.isdecimal() else f"{text}:0"


def _encode_node(node: Node, proto: Any) -> None:
    proto.name = node.name
    proto.op = node.op
    proto.input.extend(tensor.removesuffix(":0") for tensor in node.inputs)
    proto.input.extend(f"^{name}" for name in node.controls)
    for key, value in node.attrs.items():
        _encode_attr(value, proto.attr[key])


@cache
def _defaults(op: str) -> Mapping[str, Any]:
    definition = op_definition(op)
    if definition is None:
        return {}
    return {a.name: _decode_attr(a.default_value) for a in definition.attr if a.HasField("default_value")}


@cache
def op_definition(op: str) -> Any | None:
    """TensorFlow's ``OpDef`` of ``op``, or None for an op it does not know."""
    tensorflow()
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op)


# Attributes


def _decode_attr(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "list":
        return _decode_list(value.list)
    return _DECODE[kind](getattr(value, kind))


def _decode_list(items: Any) -> list[Any]:
    for kind, decode in _DECODE.items():
        if kind != "placeholder" and (values := getattr(items, kind)):
            return [decode(item) for item in values]
    return []


def _decode_text(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def _decode_shape(proto: Any) -> tuple[int | None, ...] | None:
    if proto.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in proto.dim)


def _decode_tensor(proto: Any) -> Array:
    array: Array = tensorflow().make_ndarray(proto)
    return array


def _decode_function_ref(proto: Any) -> FunctionRef:
    return FunctionRef(proto.name, {key: _decode_attr(value) for key, value in proto.attr.items()})


_DECODE: dict[str, Any] = {
    "s": _decode_text,
    "i": int,
    "f": float,
    "b": bool,
    "type": DType.of_tf,
    "shape": _decode_shape,
    "tensor": _decode_tensor,
    "func": _decode_function_ref,
    "placeholder": str,
}


def _encode_attr(value: Any, proto: Any) -> None:
    match value:
        case bool():
            proto.b = value
        case int() | np.integer():
            proto.i = int(value)
        case float() | np.floating():
            proto.f = float(value)
        case str():
            proto.s = value.encode()
        case bytes():
            proto.s = value
        case DType():
            proto.type = value.tf
        case None | tuple():
            _encode_shape(value, proto.shape)
        case np.ndarray():
            proto.tensor.CopyFrom(_encode_tensor(value))
        case FunctionRef():
            _encode_function_ref(value, proto.func)
        case list():
            _encode_list(value, proto.list)
        case _:
            raise TypeError(f"no attribute holds a {type(value).__name__}")


def _encode_list(items: list[Any], proto: Any) -> None:
    proto.SetInParent()
    for item in items:
        match item:
            case bool():
                proto.b.append(item)
            case int() | np.integer():
                proto.i.append(int(item))
            case float() | np.floating():
                proto.f.append(float(item))
            case str():
                proto.s.append(item.encode())
            case bytes():
                proto.s.append(item)
            case DType():
                proto.type.append(item.tf)
            case None | tuple():
                _encode_shape(item, proto.shape.add())
            case np.ndarray():
                proto.tensor.add().CopyFrom(_encode_tensor(item))
            case FunctionRef():
                _encode_function_ref(item, proto.func.add())
            case _:
                raise TypeError(f"no list attribute holds a {type(item).__name__}")


def _encode_shape(shape: tuple[int | None, ...] | None, proto: Any) -> None:
    proto.SetInParent()
    if shape is None:
        proto.unknown_rank = True
        return
    for size in shape:
        proto.dim.add().size = -1 if size is None else size


_PLAIN = frozenset({"float32", "float64", "int32", "int64", "int16", "int8", "uint8", "uint32", "uint64"})
"""Dtypes whose arrays TensorFlow writes as their bytes, unless it is a single number."""


def _encode_tensor(array: Array) -> Any:
    if array.size < 2 or not array.dtype.isnative or array.dtype.name not in _PLAIN:
        return tensorflow().make_tensor_proto(array, shape=array.shape)
    from tensorflow.core.framework import tensor_pb2

    proto = tensor_pb2.TensorProto(dtype=DType.of_numpy(array.dtype).tf, tensor_content=array.tobytes())
    _encode_shape(array.shape, proto.tensor_shape)
    return proto


def _encode_function_ref(ref: FunctionRef, proto: Any) -> None:
    proto.name = ref.name
    for key, value in ref.attrs.items():
        _encode_attr(value, proto.attr[key])


# Functions. A FunctionDef names a tensor "node:output_argument:index" where a GraphDef says "node:index".


def _decode_function(proto: Any, producer: int, results: Mapping[str, list[str]]) -> Function:
    """``results`` are the result names of each function: a legacy call has the function's name for its op."""
    signature = proto.signature
    arguments = [
        Node(arg.name, "Placeholder", attrs={"dtype": DType.of_tf(arg.type), "shape": _argument_shape(proto, position)})
        for position, arg in enumerate(signature.input_arg)
    ]
    names = {arg.name for arg in signature.input_arg}
    offsets = {
        node.name: {result: index for index, result in enumerate(results[node.op])}
        if node.op in results
        else _output_offsets(node)
        for node in proto.node_def
    }

    def tensor(text: str) -> str:
        if text in names:
            return f"{text}:0"
        name, *rest = text.split(":")
        if len(rest) < 2:
            return f"{name}:{rest[0] if rest and rest[0].isdecimal() else 0}"
        return f"{name}:{offsets[name].get(rest[0], 0) + int(rest[1])}"

    graph = Graph(arguments, producer=producer)
    for node_def in proto.node_def:
        node = _decode_node(node_def)
        inputs = tuple(tensor(text) for text in node_def.input if not text.startswith("^"))
        graph.add(Node(node.name, node.op, inputs, node.attrs, node.controls))
    outputs = tuple(tensor(proto.ret[arg.name]) for arg in signature.output_arg)
    return Function(signature.name, graph, tuple(f"{arg.name}:0" for arg in signature.input_arg), outputs)


def _argument_shape(proto: Any, position: int) -> tuple[int | None, ...] | None:
    shapes = proto.arg_attr[position].attr.get("_output_shapes") if position in proto.arg_attr else None
    return _decode_shape(shapes.list.shape[0]) if shapes is not None and shapes.list.shape else None


def _output_offsets(node_def: Any) -> dict[str, int]:
    """Flat index of the first tensor of each output argument of ``node_def``."""
    definition = op_definition(node_def.op)
    if definition is None:
        return {}
    offsets: dict[str, int] = {}
    total = 0
    for arg in definition.output_arg:
        offsets[arg.name] = total
        total += _argument_length(arg, node_def.attr)
    return offsets


def _argument_length(arg: Any, attrs: Any) -> int:
    if arg.number_attr:
        return int(attrs[arg.number_attr].i)
    if arg.type_list_attr:
        return len(attrs[arg.type_list_attr].list.type)
    return 1


def _encode_function(function: Function, proto: Any) -> None:
    proto.signature.name = function.name
    arguments = {node_name(tensor) for tensor in function.inputs}
    node_defs = {}
    for position, tensor in enumerate(function.inputs):
        node = function.graph[node_name(tensor)]
        arg = proto.signature.input_arg.add()
        arg.name = node.name
        arg.type = node.attrs["dtype"].tf
        _encode_shape(node.attrs["shape"], proto.arg_attr[position].attr["_output_shapes"].list.shape.add())
    for node in function.graph:
        if node.name not in arguments:
            node_defs[node.name] = proto.node_def.add()
            _encode_node(node, node_defs[node.name])
    offsets = {name: _output_offsets(node_def) for name, node_def in node_defs.items()}

    def text(tensor: str) -> str:
        name, index = node_name(tensor), output_index(tensor)
        if name in arguments:
            return name
        argument, first = max(((a, o) for a, o in offsets[name].items() if o <= index), key=lambda pair: pair[1])
        return f"{name}:{argument}:{index - first}"

    for node in function.graph:
        if node.name in node_defs:
            node_def = node_defs[node.name]
            node_def.ClearField("input")
            node_def.input.extend(text(tensor) for tensor in node.inputs)
            node_def.input.extend(f"^{name}" for name in node.controls)
    for position, tensor in enumerate(function.outputs):
        producer = node_name(tensor)
        arg = proto.signature.output_arg.add()
        arg.name = f"output_{position}"
        arg.type = _tensor_type(function, tensor, node_defs.get(producer))
        proto.ret[arg.name] = text(tensor)


def _tensor_type(function: Function, tensor: str, node_def: Any | None) -> int:
    node = function.graph[node_name(tensor)]
    if node_def is None or node.op in ("Const", "Placeholder"):
        return int(node.attrs["dtype"].tf)
    index = output_index(tensor)
    position = 0
    for arg in op_definition(node.op).output_arg:  # type: ignore[union-attr]
        length = _argument_length(arg, node_def.attr)
        if index < position + length:
            if arg.type_list_attr:
                return int(node_def.attr[arg.type_list_attr].list.type[index - position])
            return int(node_def.attr[arg.type_attr].type if arg.type_attr else arg.type)
        position += length
    raise ValueError(f"{tensor} is not an output of a {node.op}")
