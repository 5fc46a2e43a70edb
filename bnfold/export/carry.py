"""Ops that only move values, for dtypes that onnxruntime does not move: under another dtype that loses nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from bnfold.export.onnx_graph import part_dtype
from bnfold.graph import DType

if TYPE_CHECKING:
    from bnfold.export.call import Call

_ALL = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool string"

_MOVES = {
    op: frozenset(dtypes.split())
    for op, dtypes in {
        "Where": "float16 float32 float64 int32 int64 uint8 string",
        "Pad": "float16 float32 float64 int8 int32 int64 uint8 uint32 uint64 bool",
        "Expand": _ALL,
        "Tile": _ALL,
        "OneHot": "float32 int32 int64 string",
        "Trilu": "float32 float64 int32 int64 bool",
        "ReverseSequence": _ALL,
        "Compress": _ALL,
        "Unique": "float32 float64 int8 int64 string",
        "ScatterND": _ALL,
    }.items()
}
"""The dtypes of onnxruntime's CPU kernels, from 1.23 on; an op that is not here moves everything."""

_CARRIERS = {
    "bool": ("uint8", "int8", "int32", "int64"),
    "int8": ("int32", "int64"),
    "uint8": ("int32", "int64"),
    "int16": ("int32", "int64", "float32"),
    "uint16": ("int32", "int64", "float32"),
    "int32": ("int64",),
    "uint32": ("int64",),
    "uint64": ("int64",),
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "float32": ("float64",),
    "float64": (),
}
"""Where each dtype fits in; uint64 wraps into int64 and back."""


def carrier(op: str, dtype: DType) -> DType | None:
    """``dtype`` if onnxruntime's ``op`` moves it, else one that holds its every value, else None."""
    kernels = _MOVES.get(op)
    if kernels is None or dtype.name in kernels:
        return dtype
    return next((DType.named(name) for name in _CARRIERS.get(dtype.name, ()) if name in kernels), None)


def moved(
    call: Call, op: str, inputs: Sequence[str], dtype: DType, *, values: Collection[int] = (0,), **attrs: Any
) -> str:
    """Emit ``op``, which moves values of ``dtype``: those at the positions ``values`` of its inputs.

    Of complex numbers it moves pairs; what names shapes or axes must know of the last one.
    """
    dtype = part_dtype(dtype)
    under = carrier(op, dtype)
    if under is None:
        raise call.refusal(f"onnxruntime has no {op} for {dtype}")
    if under == dtype:
        return call.emit(op, *inputs, **attrs)
    carried = [
        call.cast(value, under) if value and position in values else value for position, value in enumerate(inputs)
    ]
    return call.cast(call.emit(op, *carried, **attrs), dtype)


def selected(call: Call, condition: str, then: str, other: str, dtype: DType) -> str:
    """``then`` where ``condition`` (a bool) is true, else ``other``; all broadcast."""
    return moved(call, "Where", [condition, then, other], dtype, values=(1, 2))
