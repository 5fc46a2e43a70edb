"""Tensors made of one value, or of values that follow one another."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import input_ints
from bnfold.export.placement import FOLLOWS, Follows
from bnfold.export.table import ALL, lowers


@lowers("Fill", dtypes=ALL)
def lower_fill(call: Call) -> str:
    return moved(call, "Expand", [call.input(1), input_ints(call, 0).name], call.out_dtype())


@lowers("ZerosLike", dtypes=ALL, placement=FOLLOWS, value=0)
@lowers("OnesLike", dtypes=ALL, placement=FOLLOWS, value=1)
def lower_like(call: Call) -> str:
    dtype = call.dtype()
    value = call.scalar(call.fact("value") if dtype.name != "string" else "", dtype)
    return moved(call, "Expand", [value, call.emit("Shape", call.input(0))], dtype)


@lowers("Tile", dtypes=ALL, placement=Follows(data=(0,), constant=(1,)))
def lower_tile(call: Call) -> str:
    times = call.value(1)
    if times is None:
        return moved(call, "Tile", [call.input(0), input_ints(call, 1).name], call.dtype())
    if (times == 1).all():
        return call.input(0)
    return moved(call, "Tile", [call.input(0), call.ints(call.per_axis(times.tolist()))], call.dtype())
