"""Sets in the rows of tensors: what is in both, in one of them, in either; how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from bnfold.export.call import Call
from bnfold.export.carry import carrier, moved
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape, shape_of, strides_of
from bnfold.export.ops.sparse import dot
from bnfold.export.table import lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import INT64

ELEMENTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "string")


@dataclass(frozen=True)
class _Sets:
    """One set for each row.

    Attributes
    ----------
    rows : Ints
        The row of each entry, as a number.
    values : str
        The entries, a vector.
    shape : Ints
        Of the tensor: its last axis holds the sets.
    """

    rows: Ints
    values: str
    shape: Ints

    @property
    def count(self) -> Ints:
        """The number of rows."""
        return self.shape.entries(0, -1).product()


def _dense(call: Call, index: int) -> _Sets:
    shape = shape_of(call, index)
    values = call.emit("Reshape", call.input(index), call.ints([-1]))
    each = counted(call, 0, run_time_shape(call, values).scalar())
    return _Sets(each // shape[-1].at_least(1), values, shape)


def _sparse(call: Call, index: int) -> _Sets:
    """Inputs ``index`` and the two after it: places, values, shape."""
    places, shape = input_ints(call, index), input_ints(call, index + 2)
    group = Ints(call, call.emit("Slice", places.name, call.ints([0]), call.ints([-1]), call.ints([1])))
    return _Sets(dot(call, group, strides_of(call, shape.entries(0, -1), None)), call.input(index + 1), shape)


@lowers("DenseToDenseSetOperation", dtypes=ELEMENTS, sparse=(False, False))
@lowers("DenseToSparseSetOperation", dtypes=ELEMENTS, sparse=(False, True))
@lowers("SparseToSparseSetOperation", dtypes=ELEMENTS, sparse=(True, True))
def lower_set_operation(call: Call) -> tuple[str, str, str]:
    """Entries become keys, ``row · (number of values) + (number of this value)``: sorted, they are the result.

    Places, values and shape of a sparse tensor, in each row the entries in order.
    """
    first_is_sparse, second_is_sparse = call.fact("sparse")
    first = _sparse(call, 0) if first_is_sparse else _dense(call, 0)
    place = 3 if first_is_sparse else 1
    second = _sparse(call, place) if second_is_sparse else _dense(call, place)
    dtype = call.dtype(1 if first_is_sparse else 0)
    numbers, distinct = _numbered(call, [first.values, second.values], dtype)
    size = run_time_shape(call, distinct).scalar()
    keys = [
        _unique(call, (sets.rows * size + number).name)[0]
        for sets, number in zip((first, second), numbers, strict=True)
    ]
    result = _combined(call, keys, call.attr("set_operation"))
    values = call.emit("Gather", distinct, (result % size.at_least(1)).name, axis=0)
    places, widest = _places(call, result // size.at_least(1), first.shape)
    return places.name, values, joined(call, first.shape.entries(0, -1), widest).name


@lowers("SetSize", dtypes=ELEMENTS)
def lower_set_size(call: Call) -> str:
    """How many different entries each row has."""
    sets = _sparse(call, 0)
    (number,), distinct = _numbered(call, [sets.values], call.dtype(1))
    size = run_time_shape(call, distinct).scalar()
    keys = Ints(call, _unique(call, (sets.rows * size + number).name)[0])
    rows, _, _, counts = _unique(call, (keys // size.at_least(1)).name)
    zeros = call.emit("Expand", call.scalar(0, INT64), sets.count.vector().name)
    found = call.emit("ScatterND", zeros, call.unsqueeze(rows, [1]), counts)
    shaped = call.emit("Reshape", found, sets.shape.entries(0, -1).name)
    return call.cast(shaped, call.out_dtype())


def _unique(call: Call, value: str) -> tuple[str, ...]:
    """What is in a vector, in order; where each came first; where each entry is among them; how often each is there."""
    return call.emit_many("Unique", value, outputs=4, sorted=1)


def _numbered(call: Call, values: list[str], dtype: DType) -> tuple[list[Ints], str]:
    """Each entry as the number of its value among those of all of them, in order; and these values."""
    under = carrier("Unique", dtype)
    if under is None:
        raise call.refusal(f"onnxruntime has no Unique for {dtype}")
    carried = [call.cast(value, under) for value in values]
    both = call.emit("Concat", *carried, axis=0) if len(carried) > 1 else carried[0]
    distinct, _, where, _ = _unique(call, both)
    ends, numbers = Ints(call, [0]), []
    for value in values:
        start, ends = ends, ends + run_time_shape(call, value)
        numbers.append(Ints(call, where).entries(start, ends))
    return numbers, call.cast(distinct, dtype)


def _combined(call: Call, keys: list[str], operation: str) -> Ints:
    """Of two vectors of keys, each in them once, those that belong to the result, in order."""
    both, first, _, counts = _unique(call, call.emit("Concat", *keys, axis=0))
    if operation == "union":
        return Ints(call, both)
    if operation == "intersection":
        kept = Ints(call, counts) > 1
    else:
        of_the_first = Ints(call, first) < run_time_shape(call, keys[0])
        kept = (Ints(call, counts) < 2) & (of_the_first if operation == "a-b" else ~of_the_first)
    return Ints(call, moved(call, "Compress", [both, kept.name], INT64, axis=0))


def _places(call: Call, rows: Ints, shape: Ints) -> tuple[Ints, Ints]:
    """Where entries in these ``rows``, which are sorted, stand; and the size of the largest row, as a vector."""
    _, first, where, counts = _unique(call, rows.name)
    column = counted(call, 0, run_time_shape(call, rows.name).scalar()) - Ints(call, first).take(Ints(call, where))
    outer = shape.entries(0, -1)
    group = (rows.expanded(1) // strides_of(call, outer, None)) % outer
    places = Ints(call, call.emit("Concat", group.name, column.expanded(1).name, axis=1))
    return places, joined(call, [0], Ints(call, counts)).max().vector()
