"""Diagonals of matrices: taken, set, made into matrices, and the band around the main one.

Diagonal ``d`` holds the entries with column - row = d. A band from ``lower`` to ``upper`` is stored as
``upper - lower + 1`` rows, the uppermost diagonal first, each as long as the longest; a shorter one stands at the left
or at the right of its row, by ``align``, and the rest is padding.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import Ints, counted, input_ints, joined, run_time_shape
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex
from bnfold.export.table import ANY, lowers
from bnfold.graph import Shape


@dataclass(frozen=True)
class Band:
    """The diagonals from ``lower`` to ``upper`` of a matrix of ``rows`` × ``columns``, all scalars.

    Attributes
    ----------
    left_above, left_below : bool
        Whether diagonals above, and below, the main one stand at the left; it does if either does.
    """

    lower: Ints
    upper: Ints
    rows: Ints
    columns: Ints
    left_above: bool
    left_below: bool

    @property
    def count(self) -> Ints:
        return self.upper - self.lower + 1

    @property
    def longest(self) -> Ints:
        return (self.rows + self.upper.at_most(0)).at_most(self.columns - self.lower.at_least(0))

    def length(self, diagonal: Ints) -> Ints:
        return (self.rows + diagonal.at_most(0)).at_most(self.columns - diagonal.at_least(0))

    def offset(self, diagonal: Ints) -> Ints:
        """Where a diagonal starts in its row."""
        right = self.longest - self.length(diagonal)
        if self.left_above and self.left_below:
            return right * 0
        if self.left_above or self.left_below:
            left = diagonal >= 0 if self.left_above else diagonal <= 0
            return left.where(0, right)
        return right


def _aligned(call: Call) -> tuple[bool, bool]:
    """V3 says how; V2 and V1 have all at the left."""
    above, below = call.attr("align", "LEFT_LEFT").split("_")
    return above == "LEFT", below == "LEFT"


def _limits(call: Call, index: int | None) -> tuple[Ints, Ints]:
    """The lowest and the highest diagonal, which are one if only one is given."""
    if index is None or call.shape(index) in ((), (1,)):
        only = Ints(call, 0) if index is None else input_ints(call, index).scalar()
        return only, only
    both = input_ints(call, index)
    return both[0], both[-1]


def _is_one(lower: Ints, upper: Ints, diagonals: Shape | None, matrix: Shape | None) -> bool:
    """Whether the band is stored without an axis for its diagonals, since it has but one."""
    if lower is upper:
        return True
    if lower.known is not None and upper.known is not None:
        return lower.number() == upper.number()
    return diagonals is not None and matrix is not None and len(diagonals) < len(matrix)


@lowers("MatrixDiagPart", dtypes=ANY)
@lowers("MatrixDiagPartV2", "MatrixDiagPartV3", dtypes=ANY, k=1)
def lower_diag_part(call: Call) -> str:
    """Entry n of a stored diagonal is n - offset along it; what falls outside is padding."""
    lower, upper = _limits(call, call.fact("k"))
    sizes = _last_sizes(call, 2)
    band = Band(lower, upper, sizes[0], sizes[1], *_aligned(call))
    diagonal = (upper - counted(call, 0, band.count)).expanded(1)
    along = counted(call, 0, band.longest).expanded(0) - band.offset(diagonal)
    inside = (along >= 0) & (along < band.length(diagonal))
    row, column = along - diagonal.at_most(0), along + diagonal.at_least(0)
    source = inside.where(row * band.columns + column, 0)
    if _is_one(lower, upper, call.out_shape(), call.shape(0)):
        source, inside = source.reshaped([-1]), inside.reshaped([-1])
    taken = call.emit("Gather", _flattened(call, 0), source.name, axis=_last_axis(call))
    if inside.known is not None and inside.known.all():
        return taken
    return _chosen(call, inside, taken, call.input(2) if call.arity > 2 else _zero(call))


def _flattened(call: Call, index: int) -> str:
    """Input ``index`` with its last two axes made one."""
    value, shape = call.input(index), call.shape(index)
    if shape is not None and None not in shape:
        sizes = Ints(call, [*shape[:-2], -1, *_pair(call)])
    else:
        sizes = joined(call, run_time_shape(call, value).entries(0, -2 - len(_pair(call))), [-1], _pair(call))
    return call.emit("Reshape", value, sizes.name)


def _pair(call: Call) -> list[int]:
    """What stands after the axes of complex numbers: their two parts."""
    return [2] if is_complex(call) else []


def _last_axis(call: Call) -> int:
    return -2 if is_complex(call) else -1


def _last_sizes(call: Call, count: int) -> Ints:
    """The last ``count`` sizes of input 0, whose rank need not be known."""
    shape = call.shape()
    if shape is not None and None not in shape[-count:]:
        return Ints(call, shape[-count:])
    pair = len(_pair(call))
    return run_time_shape(call, call.input(0)).take([axis - pair for axis in range(-count, 0)])


def _zero(call: Call) -> str:
    return call.scalar(0, part_dtype(call.dtype()))


def _chosen(call: Call, inside: Ints, then: str, other: str) -> str:
    """``then`` where ``inside``, whose axes are the last ones of the matrices."""
    if is_complex(call):
        inside = inside.expanded(-1)
    return selected(call, inside.name, then, other, part_dtype(call.dtype()))


@lowers("MatrixDiag", dtypes=ANY)
@lowers("MatrixDiagV2", "MatrixDiagV3", dtypes=ANY, k=1)
def lower_diag(call: Call) -> str:
    """The band in a matrix of the size asked for, or of the smallest that holds it; the rest is padding."""
    lower, upper = _limits(call, call.fact("k"))
    longest = _last_sizes(call, 1)[0]
    rows, columns = longest - upper.at_most(0), longest + lower.at_least(0)
    if call.arity > 3:
        rows, columns = _sized(input_ints(call, 2), input_ints(call, 3), rows, columns)
    band = Band(lower, upper, rows, columns, *_aligned(call))
    padding = call.input(4) if call.arity > 4 else _zero(call)
    return _placed(call, 0, band, padding)


def _sized(rows: Ints, columns: Ints, least_rows: Ints, least_columns: Ints) -> tuple[Ints, Ints]:
    """-1 is the least that holds the band; where both are, the matrix is square."""
    square = least_rows.at_least(least_columns)
    both = (rows < 0) & (columns < 0)
    return (
        (rows < 0).where(both.where(square, least_rows), rows),
        (columns < 0).where(both.where(square, least_columns), columns),
    )


@lowers("MatrixSetDiag", dtypes=ANY)
@lowers("MatrixSetDiagV2", "MatrixSetDiagV3", dtypes=ANY, k=2)
def lower_set_diag(call: Call) -> str:
    lower, upper = _limits(call, call.fact("k"))
    sizes = _last_sizes(call, 2)
    return _placed(call, 1, Band(lower, upper, sizes[0], sizes[1], *_aligned(call)), call.input(0))


def _placed(call: Call, index: int, band: Band, other: str) -> str:
    """The diagonals that are input ``index`` in their places of a matrix, ``other`` elsewhere."""
    row, column = counted(call, 0, band.rows).expanded(1), counted(call, 0, band.columns).expanded(0)
    diagonal = column - row
    inside = (diagonal >= band.lower) & (diagonal <= band.upper)
    place = (band.upper - diagonal) * band.longest + row.at_most(column) + band.offset(diagonal)
    source = inside.where(place, 0)
    matrix = call.out_shape() if index == 0 else call.shape(0)
    if _is_one(band.lower, band.upper, call.shape(index), matrix):
        placed = call.emit("Gather", call.input(index), source.name, axis=_last_axis(call))
    else:
        placed = call.emit("Gather", _flattened(call, index), source.name, axis=_last_axis(call))
    return _chosen(call, inside, placed, other)


@lowers("MatrixBandPart", dtypes=ANY)
def lower_band_part(call: Call) -> str:
    """The entries at most ``num_lower`` below and ``num_upper`` above the main diagonal; negative is all of them."""
    sizes = _last_sizes(call, 2)
    row, column = counted(call, 0, sizes[0]).expanded(1), counted(call, 0, sizes[1]).expanded(0)
    below, above = input_ints(call, 1), input_ints(call, 2)
    inside = ((below < 0) | (row - column <= below)) & ((above < 0) | (column - row <= above))
    if inside.known is not None and inside.known.all():
        return call.input(0)
    return _chosen(call, inside, call.input(0), _zero(call))


@lowers("Diag", dtypes=ANY)
def lower_tensor_diag(call: Call) -> str:
    """A tensor of shape s as the diagonal of one of shape s + s."""
    shape = _shape(call)
    count = shape.product()
    place = counted(call, 0, count)
    on = place.expanded(0).equals(place.expanded(1))
    flat = call.reshape(call.input(0), [-1, *_pair(call)])
    matrix = _chosen(call, on, flat, _zero(call))
    return call.emit("Reshape", matrix, joined(call, shape, shape, _pair(call)).name)


@lowers("DiagPart", dtypes=ANY)
def lower_tensor_diag_part(call: Call) -> str:
    shape = _shape(call)
    known = call.shape()
    half = len(known) // 2 if known is not None else run_time_shape(call, shape.name) // 2
    shape = shape.entries(0, half)
    count = shape.product()
    flat = call.reshape(call.input(0), [-1, *_pair(call)])
    taken = call.emit("Gather", flat, (counted(call, 0, count) * (count + 1)).name, axis=0)
    return call.emit("Reshape", taken, joined(call, shape, _pair(call)).name)


def _shape(call: Call) -> Ints:
    """The shape of input 0, in TensorFlow's terms."""
    shape = call.shape()
    if shape is not None and None not in shape:
        return Ints(call, shape)
    sizes = run_time_shape(call, call.input(0))
    return sizes.entries(0, -1) if is_complex(call) else sizes
