"""Entries picked by their positions."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.placement import Follows
from bnfold.export.table import ALL, COMPLEX, lowers
from bnfold.graph.dtypes import INT64

ANY = (*ALL, *COMPLEX)


@lowers("Gather", dtypes=ANY)
def lower_gather(call: Call) -> str:
    return call.emit("Gather", call.input(0), call.input(1), axis=0)


@lowers("GatherV2", dtypes=ANY, placement=Follows(data=(0,), constant=(2,)))
def lower_gather_v2(call: Call) -> str:
    """The axis gives way to those of the indices; the first ``batch_dims`` axes of both go together."""
    axis = int(call.constant_value(2, "axis"))
    batch = call.attr("batch_dims")
    if batch:
        batch = batch % call.rank(1)
    if batch:
        return _batched(call, axis % call.rank(), batch)
    if call.shape() is None:
        return call.emit("Gather", call.input(0), call.input(1), axis=axis)
    return call.emit("Gather", call.input(0), call.input(1), axis=call.axis(axis))


def _batched(call: Call, axis: int, batch: int) -> str:
    """GatherND takes the batch axes along; the axis gathered from must come right after them, and goes back after."""
    rank, width = call.rank(), call.rank(1)
    front = [*range(batch), axis, *(other for other in range(batch, rank) if other != axis)]
    value = call.transpose(call.input(0), [call.axis(own) for own in front])
    at = call.unsqueeze(call.cast(call.input(1), INT64), [width])
    result = call.emit("GatherND", value, at, batch_dims=batch)
    inner = width - batch
    between = axis - batch
    moved = [*range(batch + inner, batch + inner + between)]
    after = [*range(batch + inner + between, batch + inner + rank - batch - 1)]
    return call.transpose(result, [*range(batch), *moved, *range(batch, batch + inner), *after])


@lowers("GatherNd", dtypes=ANY)
def lower_gather_nd(call: Call) -> str:
    batch = call.attr("batch_dims", 0)
    return call.emit("GatherND", call.input(0), call.cast(call.input(1), INT64), batch_dims=batch)
