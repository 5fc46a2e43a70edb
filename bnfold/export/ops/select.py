"""Values chosen by a condition, and where a condition is true."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.ints import Ints, joined, run_time_shape, shape_of
from bnfold.export.kernels import KERNELS
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import is_complex
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import ANY, lowers
from bnfold.graph import Shape
from bnfold.graph.dtypes import BOOL, INT32


@lowers("SelectV2", dtypes=ANY, placement=FOLLOWS)
def lower_select_v2(call: Call) -> str:
    condition, then, other = call.inputs()
    if is_complex(call, 1):
        condition = call.unsqueeze(condition, [-1])
    return selected(call, condition, then, other, part_dtype(call.dtype(1)))


@lowers("Select", dtypes=ANY, placement=FOLLOWS)
def lower_select(call: Call) -> str:
    """The condition has the shape of the values, or is a scalar, or a vector that chooses along axis 0."""
    shape, values, dtype = call.shape(0), call.shape(1), part_dtype(call.dtype(1))
    if _ranks_may_differ(shape, values):
        condition = _with_rank_of_values(call)
    elif shape is not None and len(shape) == 1 and call.rank(1) > 1:
        first, rank = call.axis(0, 1), call.rank(1)
        vector = call.scope.read(call.node.inputs[0])
        condition = call.unsqueeze(vector, [axis for axis in range(rank) if axis != first])
    else:
        condition = call.input(0)
    then, other = call.input(1), call.input(2)
    if is_complex(call, 1):
        condition = call.unsqueeze(condition, [-1])
    return selected(call, condition, then, other, dtype)


def _ranks_may_differ(condition: Shape | None, values: Shape | None) -> bool:
    """Whether only the run tells if the condition is a vector that chooses along axis 0 of more axes."""
    if values is None:
        return condition is None or len(condition) == 1
    return condition is None and len(values) > 1


def _with_rank_of_values(call: Call) -> str:
    """The condition with as many axes of size one behind its own as the values have more."""
    own, values = shape_of(call, 0), shape_of(call, 1)
    more = run_time_shape(call, values.name) - run_time_shape(call, own.name)
    ones = call.emit("Expand", call.ints([1]), more.name)
    return call.emit("Reshape", call.input(0), joined(call, own, Ints(call, ones)).name)


@lowers("Where", dtypes=ANY)
def lower_where(call: Call) -> str:
    """The positions of what is not 0, one in a row."""
    value = call.input(0)
    if is_complex(call):
        halves = call.cast(call.cast(value, BOOL), INT32)
        value = call.cast(call.reduce("ReduceMax", halves, [-1]), BOOL)
    elif call.dtype().name not in KERNELS["NonZero"]:
        value = call.cast(value, BOOL)
    return call.emit("Transpose", call.emit("NonZero", value), perm=[1, 0])
