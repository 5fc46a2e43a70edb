"""write: a model to disk, tensor by tensor.

``SerializeToString`` makes a second copy of the weights and ends at 2 GiB. A proto is a sequence of fields, so the
model without its initializers is serialised in one piece and the initializers follow, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

from bnfold.export.initializers import head_of, raw_data, raw_size
from bnfold.export.lowered import Lowered
from bnfold.graph import Array

PROTO_LIMIT = 2**31 - 2**24
"""Bytes of a model that one file holds: no protobuf message may be longer than 2³¹ - 1, and metadata may come."""

_PAGE = 4096
"""External tensors start at multiples of this, so that runtimes can map them into memory."""

_EXTERNAL = 1024
"""Bytes from which a tensor of a model that is too long for one proto moves to the data file."""

_GRAPH = ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_RAW_DATA = TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number
_INITIALIZER = GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_LENGTH_DELIMITED = 2


@dataclass(frozen=True)
class _Payload:
    """An initializer to be written.

    Attributes
    ----------
    head : TensorProto
        All of it but its ``raw_data``.
    size : int
        Length of that, in bytes.
    raw : callable
        Gives it.
    """

    head: TensorProto
    size: int
    raw: Callable[[], bytes | Array]

    @property
    def length(self) -> int:
        """Of the serialised initializer, in bytes."""
        length: int = self.head.ByteSize()
        return length + (len(_field(_RAW_DATA, self.size)) + self.size if self.size else 0)


@dataclass(frozen=True)
class Place:
    """Where the bytes of an initializer are: from ``offset`` on in the file at ``path``."""

    path: Path
    offset: int


def write(model: ModelProto | Lowered, path: str | Path, *, limit: int | None = None) -> dict[str, Place]:
    """Write ``model`` to ``path``.

    A model longer than ``limit`` bytes gets its tensors in a file beside it, ``<name>.data``; what the model file
    then says of them is relative, so that the two can be moved together. The ``metadata_props`` come last, and
    `add_metadata` can add them later.

    Parameters
    ----------
    model : onnx.ModelProto or Lowered
        Not changed.
    path : str or Path
    limit : int, optional
        `PROTO_LIMIT` when absent.

    Returns
    -------
    dict of str to Place
        By the initializer's name.
    """
    path = Path(path)
    shell, payloads = _taken_apart(model)
    with path.open("wb") as file:
        if model_size(model) <= (PROTO_LIMIT if limit is None else limit):
            return _write_model(file, path, shell, payloads)
        beside = path.with_name(path.name + ".data")
        places: dict[str, Place] = {}
        with beside.open("wb") as data:
            payloads = [_externalised(payload, data, beside, places) for payload in payloads]
        return places | _write_model(file, path, shell, payloads)


def add_metadata(model: ModelProto, path: str | Path) -> None:
    """Append the ``metadata_props`` of ``model`` to the model file at ``path``, which was written without them.

    The fields of a proto may come in any order, so nothing needs to be written anew.
    """
    with Path(path).open("ab") as file:
        file.write(_only(model, "metadata_props"))


def model_size(model: ModelProto | Lowered) -> int:
    """The length of the serialised model in bytes, also beyond what one proto can be."""
    shell, payloads = _taken_apart(model)
    head, graph, tail = _skeleton(shell)
    framed = len(graph) + _framed(payloads)
    return len(head) + len(_field(_GRAPH, framed)) + framed + len(tail)


def _taken_apart(model: ModelProto | Lowered) -> tuple[ModelProto, list[_Payload]]:
    """The model, whose initializers are not looked at, and its initializers."""
    if isinstance(model, ModelProto):
        return model, [_payload_of_tensor(tensor) for tensor in model.graph.initializer]
    return model.shell, [_payload_of_array(name, array) for name, array in model.weights.items()]


def _payload_of_tensor(tensor: TensorProto) -> _Payload:
    return _Payload(TensorProto.FromString(_without(tensor, "raw_data")), len(tensor.raw_data), lambda: tensor.raw_data)


def _payload_of_array(name: str, array: Array) -> _Payload:
    size = 0 if array.dtype == object else raw_size(array)
    return _Payload(head_of(name, array), size, lambda: raw_data(array))


def _skeleton(model: ModelProto) -> tuple[bytes, bytes, bytes]:
    """The serialised model without its graph, the graph without its initializers, and the metadata."""
    return (
        _without(model, "graph", "metadata_props"),
        _without(model.graph, "initializer"),
        _only(model, "metadata_props"),
    )


def _only(model: ModelProto, name: str) -> bytes:
    return _without(model, *(field.name for field, _ in model.ListFields() if field.name != name))


def _without(message: ModelProto | GraphProto | TensorProto, *names: str) -> bytes:
    rest = type(message)()
    for field, value in message.ListFields():
        if field.name in names:
            continue
        if field.is_repeated:
            getattr(rest, field.name).extend(value)
        elif field.message_type is not None:
            getattr(rest, field.name).CopyFrom(value)
        else:
            setattr(rest, field.name, value)
    data: bytes = rest.SerializeToString(deterministic=True)
    return data


def _write_model(file: BinaryIO, path: Path, shell: ModelProto, payloads: list[_Payload]) -> dict[str, Place]:
    places = {}
    head, graph, tail = _skeleton(shell)
    file.write(head)
    file.write(_field(_GRAPH, len(graph) + _framed(payloads)))
    file.write(graph)
    for payload in payloads:
        file.write(_field(_INITIALIZER, payload.length))
        file.write(payload.head.SerializeToString(deterministic=True))
        if payload.size:
            file.write(_field(_RAW_DATA, payload.size))
            places[payload.head.name] = Place(path, file.tell())
            file.write(payload.raw())  # type: ignore[arg-type]  # an array of bytes is a buffer
    file.write(tail)
    return places


def _framed(payloads: list[_Payload]) -> int:
    """What the initializers take in the serialised graph, in bytes."""
    lengths = [payload.length for payload in payloads]
    return sum(len(_field(_INITIALIZER, length)) + length for length in lengths)


def _field(number: int, length: int) -> bytes:
    """The tag and the length that stand before a nested message."""
    return bytes([*_varint(number << 3 | _LENGTH_DELIMITED), *_varint(length)])


def _varint(value: int) -> Iterator[int]:
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value


def _externalised(payload: _Payload, data: BinaryIO, path: Path, places: dict[str, Place]) -> _Payload:
    """``payload``, or where it is large what stands for it: its bytes are now in ``data``."""
    if payload.size < _EXTERNAL:
        return payload
    data.write(b"\0" * (-data.tell() % _PAGE))
    places[payload.head.name] = Place(path, data.tell())
    entries = {"location": path.name, "offset": str(data.tell()), "length": str(payload.size)}
    data.write(payload.raw())  # type: ignore[arg-type]  # an array of bytes is a buffer
    head = TensorProto(
        name=payload.head.name,
        data_type=payload.head.data_type,
        dims=payload.head.dims,
        data_location=TensorProto.EXTERNAL,
        external_data=[StringStringEntryProto(key=key, value=value) for key, value in entries.items()],
    )
    return _Payload(head, 0, bytes)
