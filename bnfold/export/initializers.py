"""Constants as initializers: each array once, however many nodes read it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from bnfold.graph import Array, DType

_SAMPLE = 1024
"""Elements looked at before two arrays of the same dtype and shape are compared in full."""


class Initializers:
    """The constants of a model, written into protos as they come, so that no second copy stays behind.

    Parameters
    ----------
    take_name : callable
        Gives a unique name for a stem.
    """

    def __init__(self, take_name: Callable[[str], str]) -> None:
        self._take_name = take_name
        self._protos: dict[str, TensorProto] = {}
        self._alike: dict[tuple[str, tuple[int, ...], bytes], list[str]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._protos

    def add(self, array: Array, stem: str) -> str:
        """The name of an initializer that holds ``array``: a new one, or one that has the same content.

        Complex numbers become two floats on a last axis.
        """
        array = np.asarray(array)
        if array.dtype.kind == "c":
            array = np.stack([array.real, array.imag], axis=-1)
        key = (array.dtype.str + array.dtype.name, array.shape, _sample(array))
        for name in self._alike.setdefault(key, []):
            if _same(array, self._protos[name]):
                return name
        name = self._take_name(stem)
        self._alike[key].append(name)
        self._protos[name] = _tensor_proto(name, array)
        return name

    def array(self, name: str) -> Array | None:
        """The array behind an initializer, or None if ``name`` is not one. Read only."""
        return _array(self._protos[name]) if name in self._protos else None

    def protos(self, wanted: set[str]) -> list[TensorProto]:
        """The initializers among ``wanted``, in the order they came."""
        return [proto for name, proto in self._protos.items() if name in wanted]


def _sample(array: Array) -> bytes:
    """Some bytes that equal arrays share."""
    if array.dtype == object or not array.size:
        return b""
    step = max(1, array.size // _SAMPLE)
    return np.ascontiguousarray(array.flat[::step]).tobytes()


def _same(array: Array, proto: TensorProto) -> bool:
    if array.dtype == object:
        return list(_tensor_proto("", array).string_data) == list(proto.string_data)
    if array.size <= _SAMPLE:
        return True  # the sample was all of it
    return bool(np.array_equal(_bits(array), _bits(_array(proto))))


def _bits(array: Array) -> Array:
    """``array`` as unsigned integers, so that NaN equals itself and −0 differs from 0."""
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def _tensor_proto(name: str, array: Array) -> TensorProto:
    dtype = DType.of_numpy(array.dtype)
    proto = TensorProto(name=name, data_type=dtype.onnx, dims=array.shape)
    if array.dtype == object:
        proto.string_data.extend(item if isinstance(item, bytes) else str(item).encode() for item in array.flat)
    else:
        proto.raw_data = array.tobytes()
    return proto


def _array(proto: TensorProto) -> Array:
    dtype = DType.of_onnx(proto.data_type).numpy
    if proto.data_type == TensorProto.STRING:
        return np.array(list(proto.string_data), dtype=object).reshape(tuple(proto.dims))
    return np.frombuffer(proto.raw_data, dtype).reshape(tuple(proto.dims))
