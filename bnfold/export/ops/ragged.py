"""Ragged tensors: rows of many lengths, held as their values and where each row starts (its splits)."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape, shape_of, strides_of
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ALL, ANY, NUMBERS, lowers
from bnfold.graph.dtypes import INT64, STRING


def _rows_of(call: Call, values: Ints, splits: Ints) -> Ints:
    """The row in which each of ``values`` (positions) is: how many rows end at it or before."""
    ended = (splits.entries(1).expanded(0) <= values.expanded(1)).as_int()
    return Ints(call, call.reduce("ReduceSum", ended.name, [1]))


def _lengths(splits: Ints) -> Ints:
    return splits.entries(1) - splits.entries(0, -1)


def _widest(call: Call, splits: Ints) -> Ints:
    """The length of the longest row, as a vector of one; 0 where there is none."""
    return joined(call, [0], _lengths(splits)).max().vector()


def _places(call: Call, levels: list[Ints]) -> tuple[Ints, Ints]:
    """For each value its place, a row of a matrix; and the shape of the dense tensor that holds them all."""
    at = counted(call, 0, levels[-1][-1])
    columns = []
    for splits in reversed(levels):
        row = _rows_of(call, at, splits)
        columns.append(at - splits.take(row))
        at = row
    columns.append(at)
    matrix = call.emit("Concat", *(column.expanded(1).name for column in reversed(columns)), axis=1)
    rows = run_time_shape(call, levels[0].name) - 1
    return Ints(call, matrix), joined(call, rows, *(_widest(call, splits) for splits in levels))


@lowers("RaggedTensorToSparse", dtypes=ALL)
def lower_ragged_to_sparse(call: Call) -> tuple[str, str, str]:
    """Inputs: the splits of each level, the outermost first, then the values."""
    last = call.arity - 1
    places, shape = _places(call, [input_ints(call, index) for index in range(last)])
    if call.rank(last) == 1:
        return places.name, call.input(last), shape.name
    inner = shape_of(call, last).entries(1)
    size, count = inner.product(), run_time_shape(call, places.name)[0]
    each = counted(call, 0, count * size)
    within = (each % size).expanded(1) // strides_of(call, inner, call.rank(last) - 1) % inner
    whole = call.emit("Concat", places.take(each // size).name, within.name, axis=1)
    return whole, call.emit("Reshape", call.input(last), call.ints([-1])), joined(call, shape, inner).name


@lowers("RaggedTensorToTensor", dtypes=ANY)
def lower_ragged_to_tensor(call: Call) -> str:
    """Each row is filled up with the default, and cut or filled further to the shape asked for (-1: as it is)."""
    levels, dtype = _levels(call), call.dtype(1)
    places, ragged = _places(call, levels)
    inner = Ints(call, call.emit("Shape", call.input(1))).entries(1)
    natural = joined(call, ragged, inner)
    asked = input_ints(call, 0)
    if is_complex(call, 1) and call.shape(0) != ():
        asked = joined(call, asked, [-1])
    as_it_is = call.shape(0) == () or (asked.known is not None and (asked.known < 0).all())
    target = natural if as_it_is else (asked < 0).where(natural, asked)
    room = natural if as_it_is else natural.at_least(target)
    base = moved(call, "Expand", [call.input(2), room.name], dtype)
    filled = moved(call, "ScatterND", [base, places.name, call.input(1)], dtype, values=(0, 2))
    return filled if as_it_is else call.emit("Slice", filled, (target * 0).name, target.name)


def _levels(call: Call) -> list[Ints]:
    """The splits of each level, which come as such or as the row of each value."""
    kinds, levels = call.attr("row_partition_types"), []
    rows: Ints | None = None
    for index, kind in enumerate(kinds, start=3):
        tensor = input_ints(call, index)
        if kind == "FIRST_DIM_SIZE":
            rows = tensor.scalar()
            continue
        if kind == "VALUE_ROWIDS" and rows is not None:
            before = tensor.expanded(0) < counted(call, 0, rows + 1).expanded(1)
            tensor = Ints(call, call.reduce("ReduceSum", before.as_int().name, [1]))
        elif kind != "ROW_SPLITS":
            raise call.refusal(f"its rows are told by {kind}")
        levels.append(tensor)
        rows = tensor[-1]
    return levels


@lowers("RaggedRange", dtypes=NUMBERS)
def lower_ragged_range(call: Call) -> tuple[str, str]:
    """Row r runs from start r by delta r up to limit r: ⌈(limit - start) / delta⌉ numbers, if that is more than 0."""
    dtype, names = call.dtype(0), [call.input(index) for index in range(3)]
    span = call.widened("Sub", names[1], names[0])
    if dtype.is_floating:
        count = Ints(call, call.cast(call.widened("Ceil", call.widened("Div", span, names[2])), INT64))
    else:
        wide, step = Ints(call, call.cast(span, INT64)), Ints(call, call.cast(names[2], INT64))
        count = (step > 0).where(wide + step - 1, -wide - step - 1) // (step > 0).where(step, -step)
    count = count.at_least(0)
    if not any(call.shape(index) for index in range(3)):
        count = count.vector()
    else:
        names = [_spread(call, index, name, count) for index, name in enumerate(names)]
    total = Ints(call, call.emit("CumSum", count.name, call.scalar(0, INT64)))
    splits = joined(call, [0], total)
    at = counted(call, 0, splits[-1])
    row = _rows_of(call, at, splits)
    steps = call.cast((at - splits.take(row)).name, dtype)
    start, delta = (_picked(call, name, row) for name in (names[0], names[2]))
    values = call.widened("Add", start, call.widened("Mul", steps, delta))
    target = call.out_dtype(0)
    return splits.name if target == INT64 else call.cast(splits.name, target), values


def _spread(call: Call, index: int, name: str, count: Ints) -> str:
    """A scalar, or the only entry of a vector, for every row."""
    return call.emit("Expand", name, run_time_shape(call, count.name).name) if call.shape(index) in ((), (1,)) else name


def _picked(call: Call, name: str, row: Ints) -> str:
    return call.emit("Gather", call.reshape(name, [-1]), row.name, axis=0)


@lowers("RaggedGather", dtypes=ALL)
def lower_ragged_gather(call: Call) -> tuple[str, ...]:
    """Whole rows: inputs are the splits of each level, the values, and the indices, whose own axes come first.

    The rows that are picked at one level are runs of rows at the next.
    """
    depth = call.attr("PARAMS_RAGGED_RANK")
    positions = input_ints(call, depth + 1)
    rows = positions.vector()
    results = [_uniform(call, positions, axis) for axis in range(1, call.rank(depth + 1))]
    for level in range(depth):
        old = input_ints(call, level)
        lengths = _lengths(old).take(rows)
        splits = joined(call, [0], Ints(call, call.emit("CumSum", lengths.name, call.scalar(0, INT64))))
        at = counted(call, 0, splits[-1])
        row = _rows_of(call, at, splits)
        rows = old.take(rows).take(row) + at - splits.take(row)
        results.append(splits)
    target, dtype = call.out_dtype(0), call.dtype(depth)
    outer = [split.name if target == INT64 else call.cast(split.name, target) for split in results]
    if dtype == STRING:  # of which onnxruntime's Gather (1.31) moves only the first of each row
        return *outer, call.emit("GatherND", call.input(depth), rows.expanded(1).name)
    return *outer, call.emit("Gather", call.input(depth), rows.name, axis=0)


def _uniform(call: Call, positions: Ints, axis: int) -> Ints:
    """The splits of rows that all have the size of ``axis`` of the indices."""
    shape = shape_of(call, call.attr("PARAMS_RAGGED_RANK") + 1)
    return counted(call, 0, shape.entries(0, axis).product() + 1) * shape[axis]
