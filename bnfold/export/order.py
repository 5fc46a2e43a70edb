"""Values under another dtype in which the larger one is still the larger: for kernels that compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfold.export.kernels import widening
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64

if TYPE_CHECKING:
    from bnfold.export.call import Call

_HALF = -(2**63)


@dataclass(frozen=True)
class Carried:
    """``value``, of ``dtype``, carried under ``wide``."""

    call: Call
    value: str
    dtype: DType
    wide: DType

    def back(self, result: str) -> str:
        """``result``, some of the values, in the dtype that they had."""
        if self.wide == self.dtype:
            return result
        return self.call.cast(_moved(self.call, result) if self.dtype.name == "uint64" else result, self.dtype)


def order_kept(call: Call, op: str, value: str, dtype: DType | None = None) -> Carried:
    """``value`` (of input 0's dtype, or ``dtype``) under one that onnxruntime's ``op`` takes.

    No dtype is wider than uint64: its numbers less 2⁶³ are those of int64.
    """
    dtype = dtype or call.dtype()
    wide = widening(op, dtype, call.opset)
    if wide is None and dtype.name == "uint64":
        return Carried(call, _moved(call, call.cast(value, INT64)), dtype, INT64)
    if wide is None:
        raise call.refusal(f"onnxruntime has no {op} for {dtype} or a wider dtype")
    return Carried(call, value if wide == dtype else call.cast(value, wide), dtype, wide)


def extreme(call: Call, op: str, x: str, y: str, dtype: DType | None = None) -> str:
    """Max or Min (``op``) of two values, elementwise.

    onnxruntime's own (1.31) compares the lower halves of int64 with the same upper half as int32.
    """
    dtype = dtype or call.dtype()
    if dtype != INT64:
        return call.widened(op, x, y, dtype=dtype)
    chosen = call.emit("Greater" if op == "Max" else "Less", x, y)
    return call.emit("Where", chosen, x, y)


def _moved(call: Call, value: str) -> str:
    return call.emit("Add", value, call.constant(np.array(_HALF, np.int64)))
