"""The same bits as another dtype."""

from __future__ import annotations

import numpy as np

from bnfold.export.bits import bits_of, from_bits, unsigned
from bnfold.export.call import Call
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.table import COMPLEX, NUMBERS, lowers
from bnfold.graph import DType

UINT64 = DType.named("uint64")


@lowers("Bitcast", dtypes=(*NUMBERS, *COMPLEX))
def lower_bitcast(call: Call) -> str:
    """Numbers of several widths have a last axis for the parts of the wider one, the least part first."""
    source, target = call.dtype(), call.out_dtype()
    if part_dtype(source) == part_dtype(target):  # complex numbers are stored as pairs of floats
        return call.input(0)
    if source.numpy is None or target.numpy is None or source.name in COMPLEX or target.name in COMPLEX:
        raise call.refusal(f"ONNX has no bits of {source} as {target}")
    before, after = source.numpy.itemsize, target.numpy.itemsize
    bits = bits_of(call, call.input(0), source)
    if before > after:
        bits = _taken_apart(call, bits, before // after, target)
    elif before < after:
        bits = _put_together(call, bits, after // before, source, target)
    return from_bits(call, bits, target)


def _taken_apart(call: Call, bits: str, count: int, target: DType) -> str:
    """``count`` parts on a new last axis; a Cast keeps the low bits."""
    assert target.numpy is not None
    shifts = np.arange(count, dtype=np.uint64) * np.uint64(8 * target.numpy.itemsize)
    wide = call.emit("Unsqueeze", call.cast(bits, UINT64), call.ints([-1]))
    shifted = call.emit("BitShift", wide, call.constant(shifts), direction="RIGHT")
    return call.cast(shifted, unsigned(target))


def _put_together(call: Call, bits: str, count: int, source: DType, target: DType) -> str:
    """The parts on the last axis as one number."""
    assert source.numpy is not None
    shifts = np.arange(count, dtype=np.uint64) * np.uint64(8 * source.numpy.itemsize)
    shifted = call.emit("BitShift", call.cast(bits, UINT64), call.constant(shifts), direction="LEFT")
    parts = call.emit_many("Split", shifted, call.ints([1] * count), axis=-1, outputs=count)
    whole = parts[0]
    for part in parts[1:]:
        whole = call.emit("Add", whole, part)
    return call.cast(call.squeeze(whole, [-1]), unsigned(target))
