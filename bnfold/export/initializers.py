"""Constants as initializers: each array once, however many nodes read it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
from onnx import TensorProto

from bnfold.graph import Array, DType

_SAMPLE = 1024
"""Elements looked at before two arrays of the same dtype and shape are compared in full."""


class Initializers:
    """The constants of a model: views of the source's arrays until they are written, so that nothing is copied twice.

    Parameters
    ----------
    take_name : callable
        Gives a unique name for a stem.
    """

    def __init__(self, take_name: Callable[[str], str]) -> None:
        self._take_name = take_name
        self._arrays: dict[str, Array] = {}
        self._alike: dict[tuple[str, tuple[int, ...], bytes], list[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def add(self, array: Array, stem: str) -> str:
        """The name of an initializer that holds ``array``: a new one, or one that has the same content.

        Complex numbers become two floats on a last axis.
        """
        array = np.asarray(array)
        if array.dtype.kind == "c":
            array = np.stack([array.real, array.imag], axis=-1)
        key = (array.dtype.str + array.dtype.name, array.shape, _sample(array))
        for name in self._alike.setdefault(key, []):
            if _same(array, self._arrays[name]):
                return name
        name = self._take_name(stem)
        self._alike[key].append(name)
        self._arrays[name] = array
        return name

    def array(self, name: str) -> Array | None:
        """The array behind an initializer, or None if ``name`` is not one. Read only."""
        return self._arrays.get(name)

    def among(self, wanted: Collection[str]) -> Iterator[tuple[str, Array]]:
        """The initializers whose names are in ``wanted``, in the order they came."""
        return ((name, array) for name, array in self._arrays.items() if name in wanted)


def to_tensor(name: str, array: Array) -> TensorProto:
    """``array`` as an initializer."""
    proto = head_of(name, array)
    if array.dtype != object:
        proto.raw_data = raw_data(array).tobytes()
    return proto


def head_of(name: str, array: Array) -> TensorProto:
    """``array`` as an initializer whose ``raw_data`` is yet to come; texts have none."""
    proto = TensorProto(name=name, data_type=DType.of_numpy(array.dtype).onnx, dims=array.shape)
    if array.dtype == object:
        proto.string_data.extend(_bytes(item) for item in array.flat)
    return proto


def raw_size(array: Array) -> int:
    """How many bytes `raw_data` gives."""
    return (array.size + 1) // 2 if _is_packed(array) else array.nbytes


def raw_data(array: Array) -> Array:
    """The bytes of ``array`` in C order, not copied where that is how it lies in memory."""
    return _packed(array) if _is_packed(array) else np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _is_packed(array: Array) -> bool:
    return DType.of_numpy(array.dtype).onnx in (TensorProto.INT4, TensorProto.UINT4)


def _packed(array: Array) -> Array:
    """Two to a byte, the first in the low half."""
    nibbles = array.reshape(-1).astype(np.uint8) & 0x0F
    padded = np.concatenate([nibbles, np.zeros(len(nibbles) % 2, np.uint8)])
    bytes_: Array = padded[::2] | padded[1::2] << 4
    return bytes_


def _bytes(item: object) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


def _sample(array: Array) -> bytes:
    """Some bytes that equal arrays share."""
    if array.dtype == object or not array.size:
        return b""
    step = max(1, array.size // _SAMPLE)
    return array.flat[::step].tobytes()


def _same(first: Array, second: Array) -> bool:
    if first.dtype == object:
        return [_bytes(item) for item in first.flat] == [_bytes(item) for item in second.flat]
    if first is second or first.size <= _SAMPLE:
        return True  # the sample was all of it
    return bool(np.array_equal(_bits(first), _bits(second)))


def _bits(array: Array) -> Array:
    """``array`` as unsigned integers, so that NaN equals itself and −0 differs from 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
