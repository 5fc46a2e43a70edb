"""Padding."""

from __future__ import annotations

import numpy as np

from bnfold.export.bodies import SAME
from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, counted, input_ints, shape_of, size_of
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex, paired, parts
from bnfold.export.placement import Follows
from bnfold.export.table import ANY, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT64, INT64, STRING

PADS = Follows(data=(0,), constant=(1,))


@lowers("Pad", "PadV2", dtypes=ANY, placement=PADS)
def lower_pad(call: Call) -> str:
    if call.dtype() == STRING:
        return _by_position(call, call.input(2) if call.arity > 2 else call.scalar("", STRING))
    fill = call.value(2) if call.arity > 2 else np.zeros(())
    if fill is None or fill.any():
        return _parts_padded(call) if is_complex(call) else _padded(call, call.input(2), mode="constant")
    # onnxruntime (Pad_Fusion, 1.31) takes a pad with 0 for the padding of a max pool, which is -∞; -0 it leaves alone
    dtype = part_dtype(call.dtype())
    if dtype.name.startswith(("bool", "uint")) or not _feeds_max_pool(call, call.node.output):
        return _padded(call, call.scalar(0, dtype), mode="constant")
    if dtype.is_floating:
        return _padded(call, call.scalar(-0.0, dtype), mode="constant")
    return call.cast(_padded(call, call.scalar(-0.0, FLOAT64), mode="constant", dtype=FLOAT64), dtype)


_SEEN_THROUGH = SAME | {"Transpose"}
"""Ops that may hand on the value that they get."""


def _feeds_max_pool(call: Call, tensor: str) -> bool:
    return any(
        reader.op.startswith("MaxPool") or (reader.op in _SEEN_THROUGH and _feeds_max_pool(call, reader.output))
        for reader in call.scope.graph.readers(tensor)
    )


@lowers("MirrorPad", dtypes=ANY, placement=PADS)
def lower_mirror_pad(call: Call) -> str:
    """REFLECT leaves out the border itself, as ONNX does; SYMMETRIC repeats it, which for one step is ONNX' edge."""
    paddings = call.value(1)
    if call.attr("mode") == "REFLECT":
        mode = "reflect"
    elif paddings is not None and paddings.max(initial=0) <= 1:
        mode = "edge"
    else:
        mode = "symmetric"
    return _by_position(call, mode=mode) if call.dtype() == STRING else _padded(call, "", mode=mode)


def _by_position(call: Call, fill: str = "", *, mode: str = "constant") -> str:
    """Texts, which onnxruntime does not pad: their positions are padded, that of ``fill`` being 0, and gathered."""
    shape = shape_of(call)
    texts = call.reshape(call.input(0), [-1])
    if fill:
        texts = call.emit("Concat", call.reshape(fill, [1]), texts, axis=0)
    first = 1 if fill else 0
    numbers = call.emit("Reshape", counted(call, first, shape.product() + first).name, shape.name)
    zero = call.scalar(0, INT64) if fill else ""
    return call.emit("Gather", texts, _padded(call, zero, mode=mode, dtype=INT64, value=numbers), axis=0)


def _parts_padded(call: Call) -> str:
    """Complex numbers with another than 0 around them: each part with its own."""
    fills = [call.emit("Gather", call.input(2), call.scalar(part, INT64), axis=0) for part in (0, 1)]
    halves = parts(call, call.input(0))
    real, imaginary = (
        _padded(call, fill, mode="constant", value=half) for fill, half in zip(fills, halves, strict=True)
    )
    return paired(call, real, imaginary)


def _padded(call: Call, fill: str, *, mode: str, dtype: DType | None = None, value: str = "") -> str:
    """In the dtype of the input, or in ``dtype``; ``value`` in the place of input 0, whose axes it has."""
    paddings = call.value(1)
    value = value or call.input(0)
    if paddings is not None and not paddings.any():
        return value
    if mode == "symmetric":
        return _mirrored(call, value)
    beside = [[0, 0]] if is_complex(call) else []  # nothing goes beside the two parts of a number, on the last axis
    if paddings is not None:
        pairs = [*call.per_axis(paddings.tolist()), *beside]
        pads = Ints(call, [pair[side] for side in (0, 1) for pair in pairs])
    else:
        rows = input_ints(call, 1).name
        rows = call.emit("Concat", rows, call.constant(np.array(beside, np.int64), "parts"), axis=0) if beside else rows
        pads = Ints(call, call.transpose(rows, (1, 0))).vector()
    value = value if dtype is None else call.cast(value, dtype)
    return moved(call, "Pad", [value, pads.name, fill], dtype or part_dtype(call.dtype()), values=(0, 2), mode=mode)


def _mirrored(call: Call, value: str) -> str:
    """Each padded axis is gathered from the positions -before … size + after, thrown back at both ends."""
    paddings = input_ints(call, 1)
    for axis in range(call.rank()):
        before, after = paddings.take([axis]).reshaped([2])[0], paddings.take([axis]).reshaped([2])[1]
        if before.known == 0 and after.known == 0:
            continue
        stored = call.axis(axis)
        size = size_of(call, 0, axis).scalar()
        positions = counted(call, -before, size + after)
        low = (positions < 0).where(-positions - 1, positions)
        source = (low >= size).where(size * 2 - low - 1, low)
        value = call.emit("Gather", value, source.name, axis=stored)
    return value
