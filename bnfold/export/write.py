"""write: a ModelProto to disk, tensor by tensor.

``SerializeToString`` makes a second copy of the weights and ends at 2 GiB. A proto is a sequence of fields, so the
model without its initializers is serialised in one piece and the initializers follow, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

PROTO_LIMIT = 2**31 - 1
"""No protobuf message may be longer, in bytes."""

_PAGE = 4096
"""External tensors start at multiples of this, so that runtimes can map them into memory."""

_EXTERNAL = 1024
"""Bytes from which a tensor of a model that is too long for one proto moves to the data file."""

_GRAPH = ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_LENGTH_DELIMITED = 2


def write(model: ModelProto, path: str | Path, *, limit: int = PROTO_LIMIT) -> None:
    """Write ``model`` to ``path``.

    A model longer than ``limit`` bytes gets its tensors in a file beside it, ``<name>.data``; what the model file
    then says of them is relative, so that the two can be moved together.

    Parameters
    ----------
    model : onnx.ModelProto
        Not changed.
    path : str or Path
    limit : int
        In bytes.
    """
    path = Path(path)
    initializers = list(model.graph.initializer)
    with path.open("wb") as file:
        if model_size(model) <= limit:
            _write_model(file, model, initializers)
            return
        with path.with_name(path.name + ".data").open("wb") as data:
            _write_model(file, model, [_externalised(tensor, data, path.name + ".data") for tensor in initializers])


def model_size(model: ModelProto) -> int:
    """The length of the serialised model in bytes, also beyond what one proto can be."""
    return sum(map(len, _skeleton(model))) + sum(
        len(tensor.raw_data) + len(tensor.name) + 64 + sum(map(len, tensor.string_data))
        for tensor in model.graph.initializer
    )


def _skeleton(model: ModelProto) -> tuple[bytes, bytes]:
    """The serialised model without its graph, and the graph without its initializers."""
    return _without(model, "graph"), _without(model.graph, "initializer")


def _without(message: ModelProto | GraphProto, name: str) -> bytes:
    rest = type(message)()
    for field, value in message.ListFields():
        if field.name == name:
            continue
        if field.is_repeated:
            getattr(rest, field.name).extend(value)
        elif field.message_type is not None:
            getattr(rest, field.name).CopyFrom(value)
        else:
            setattr(rest, field.name, value)
    data: bytes = rest.SerializeToString(deterministic=True)
    return data


def _write_model(file: BinaryIO, model: ModelProto, initializers: list[TensorProto]) -> None:
    head, graph = _skeleton(model)
    sizes = [tensor.ByteSize() for tensor in initializers]
    framed = sum(len(_field(_INITIALIZER, size)) + size for size in sizes)
    file.write(head)
    file.write(_field(_GRAPH, len(graph) + framed))
    file.write(graph)
    for tensor, size in zip(initializers, sizes, strict=True):
        file.write(_field(_INITIALIZER, size))
        file.write(tensor.SerializeToString(deterministic=True))


def _field(number: int, length: int) -> bytes:
    """The tag and the length that stand before a nested message."""
    return bytes([*_varint(number << 3 | _LENGTH_DELIMITED), *_varint(length)])


def _varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


def _externalised(tensor: TensorProto, data: BinaryIO, location: str) -> TensorProto:
    """``tensor``, or where it is large what stands for it: its bytes are now in ``data``."""
    raw = tensor.raw_data
    if len(raw) < _EXTERNAL:
        return tensor
    data.write(b"\0" * (-data.tell() % _PAGE))
    entries = {"location": location, "offset": str(data.tell()), "length": str(len(raw))}
    data.write(raw)
    return TensorProto(
        name=tensor.name,
        data_type=tensor.data_type,
        dims=tensor.dims,
        data_location=TensorProto.EXTERNAL,
        external_data=[StringStringEntryProto(key=key, value=value) for key, value in entries.items()],
    )
