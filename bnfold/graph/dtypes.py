"""Element types: one row each, with TensorFlow's, numpy's and ONNX's word for it."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class DType:
    """An element type.

    Attributes
    ----------
    name : str
        TensorFlow's name, without ``_ref``.
    tf : int
        Number in TensorFlow's ``types.proto``.
    numpy : numpy.dtype or None
        None for handles, which have no array form.
    onnx : int or None
        Number in ONNX' ``TensorProto.DataType``; None where ONNX has no such type.
    """

    name: str
    tf: int
    numpy: np.dtype | None
    onnx: int | None

    def __repr__(self) -> str:
        return self.name

    @property
    def is_floating(self) -> bool:
        return self.name in ("float16", "bfloat16", "float32", "float64")

    @property
    def is_integer(self) -> bool:
        return self.numpy is not None and self.numpy.kind in "iu"

    @staticmethod
    def of_tf(number: int) -> DType:
        """The type with TensorFlow's ``number``; reference types (above 100) map to their value type."""
        return _BY_TF[number - 100 if number > 100 else number]

    @staticmethod
    def of_numpy(dtype: np.dtype | type) -> DType:
        """The type whose arrays have ``dtype``; numpy's string kinds are TensorFlow's ``string``."""
        dtype = np.dtype(dtype)
        if dtype.kind in "SUO":
            return STRING
        return _BY_NUMPY[dtype]

    @staticmethod
    def of_onnx(number: int) -> DType:
        return _BY_ONNX[number]

    @staticmethod
    def named(name: str) -> DType:
        return _BY_NAME[name.removesuffix("_ref")]


_ROWS = (
    DType("float32", 1, np.dtype(np.float32), 1),
    DType("float64", 2, np.dtype(np.float64), 11),
    DType("int32", 3, np.dtype(np.int32), 6),
    DType("uint8", 4, np.dtype(np.uint8), 2),
    DType("int16", 5, np.dtype(np.int16), 5),
    DType("int8", 6, np.dtype(np.int8), 3),
    DType("string", 7, np.dtype(object), 8),
    DType("complex64", 8, np.dtype(np.complex64), 14),
    DType("int64", 9, np.dtype(np.int64), 7),
    DType("bool", 10, np.dtype(np.bool_), 9),
    DType("qint8", 11, None, None),
    DType("quint8", 12, None, None),
    DType("qint32", 13, None, None),
    DType("bfloat16", 14, np.dtype(ml_dtypes.bfloat16), 16),
    DType("qint16", 15, None, None),
    DType("quint16", 16, None, None),
    DType("uint16", 17, np.dtype(np.uint16), 4),
    DType("complex128", 18, np.dtype(np.complex128), 15),
    DType("float16", 19, np.dtype(np.float16), 10),
    DType("resource", 20, None, None),
    DType("variant", 21, None, None),
    DType("uint32", 22, np.dtype(np.uint32), 12),
    DType("uint64", 23, np.dtype(np.uint64), 13),
    DType("float8_e5m2", 24, np.dtype(ml_dtypes.float8_e5m2), 19),
    DType("float8_e4m3fn", 25, np.dtype(ml_dtypes.float8_e4m3fn), 17),
    DType("int4", 29, np.dtype(ml_dtypes.int4), 22),
    DType("uint4", 30, np.dtype(ml_dtypes.uint4), 21),
    DType("invalid", 0, None, None),
)

_BY_TF = {row.tf: row for row in _ROWS}
_BY_NAME = {row.name: row for row in _ROWS}
_BY_NUMPY = {row.numpy: row for row in _ROWS if row.numpy is not None}
_BY_ONNX = {row.onnx: row for row in _ROWS if row.onnx is not None}

FLOAT32 = _BY_NAME["float32"]
FLOAT64 = _BY_NAME["float64"]
FLOAT16 = _BY_NAME["float16"]
INT32 = _BY_NAME["int32"]
INT64 = _BY_NAME["int64"]
BOOL = _BY_NAME["bool"]
STRING = _BY_NAME["string"]
RESOURCE = _BY_NAME["resource"]
