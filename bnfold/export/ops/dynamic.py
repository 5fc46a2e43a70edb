"""Tensors dealt out into parts, and put together from them, by numbers computed when the model runs."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, input_ints, joined, run_time_shape, shape_of, sizes_of
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ANY, lowers


@lowers("DynamicPartition", dtypes=ANY)
def lower_dynamic_partition(call: Call) -> tuple[str, ...]:
    """Part p is the rows whose number is p."""
    shape, data = call.shape(1), call.input(0)
    numbers = input_ints(call, 1)
    if shape is None or len(shape) != 1:
        rest = _row_shape(call, 1, 0)
        data = call.emit("Reshape", data, joined(call, [-1], rest, [2] if is_complex(call) else []).name)
        numbers = numbers.vector()
    return tuple(
        moved(call, "Compress", [data, numbers.equals(part).name], call.dtype(), axis=0)
        for part in range(call.attr("num_partitions"))
    )


@lowers("DynamicStitch", "ParallelDynamicStitch", dtypes=ANY)
def lower_dynamic_stitch(call: Call) -> str:
    """Row i of the result is the row with index i; where there are several, the last."""
    count = call.arity // 2
    rest = _rest(call, count)
    indices = joined(call, *(input_ints(call, index).vector() for index in range(count)))
    rows = [call.emit("Reshape", call.input(count + index), joined(call, [-1], rest).name) for index in range(count)]
    data = rows[0] if count == 1 else call.emit("Concat", *rows, axis=0)
    shape = joined(call, (joined(call, [-1], indices).max() + 1).vector(), rest)
    dtype = call.dtype(count)
    base = moved(call, "Expand", [call.scalar("" if dtype.name == "string" else 0, dtype), shape.name], dtype)
    return moved(call, "ScatterND", [base, indices.expanded(1).name, data], dtype, values=(0, 2))


def _rest(call: Call, count: int) -> Ints:
    """The shape of a row, as the first data tensor that is known well enough says."""
    known = [i for i in range(count) if call.shape(i) is not None and call.shape(count + i) is not None]
    index = known[0] if known else 0
    rest = _row_shape(call, index, count + index)
    return joined(call, rest, [2] if is_complex(call, count + index) else [])


def _row_shape(call: Call, numbers: int, data: int) -> Ints:
    """The shape of what input ``data`` has for each entry of input ``numbers``."""
    shape = call.shape(numbers)
    if shape is not None and call.shape(data) is not None:
        return sizes_of(call, data, range(len(shape), call.rank(data)))
    rank = run_time_shape(call, run_time_shape(call, call.input(numbers)).name) if shape is None else len(shape)
    return shape_of(call, data).entries(rank)
