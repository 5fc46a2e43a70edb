"""Comparisons and logic."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.numbering import same_texts
from bnfold.export.ops.complex import is_complex
from bnfold.export.order import extreme
from bnfold.export.placement import FOLLOWS, Follows
from bnfold.export.table import ANY, FLOATS, lowers
from bnfold.graph import Array
from bnfold.graph.dtypes import INT64


@lowers("Less", placement=FOLLOWS, onnx="Less")
@lowers("LessEqual", placement=FOLLOWS, onnx="LessOrEqual")
@lowers("Greater", placement=FOLLOWS, onnx="Greater")
@lowers("GreaterEqual", placement=FOLLOWS, onnx="GreaterOrEqual")
def lower_comparison(call: Call) -> str:
    return call.widened(call.fact("onnx"), *call.inputs())


@lowers("Equal", dtypes=ANY, placement=FOLLOWS)
def lower_equal(call: Call) -> str:
    return _equal(call)


@lowers("NotEqual", dtypes=ANY, placement=FOLLOWS)
def lower_not_equal(call: Call) -> str:
    return call.emit("Not", _equal(call))


def _equal(call: Call) -> str:
    """Complex numbers are equal where both parts are."""
    if call.dtype().name == "string":
        return same_texts(call, *call.inputs())
    same = call.widened("Equal", *call.inputs())
    if not is_complex(call):
        return same
    real, imaginary = call.emit_many("Split", same, call.ints([1, 1]), axis=-1, outputs=2)
    return call.squeeze(call.emit("And", real, imaginary), [-1])


@lowers("ApproximateEqual", dtypes=FLOATS, placement=FOLLOWS)
def lower_approximate_equal(call: Call) -> str:
    """Less far apart than the tolerance."""
    distance = call.widened("Abs", call.widened("Sub", *call.inputs()))
    return call.widened("Less", distance, call.scalar(call.attr("tolerance"), call.dtype()))


@lowers("LogicalAnd", dtypes=("bool",), placement=FOLLOWS, onnx="And")
@lowers("LogicalOr", dtypes=("bool",), placement=FOLLOWS, onnx="Or")
@lowers("LogicalNot", dtypes=("bool",), placement=FOLLOWS, onnx="Not")
def lower_logic(call: Call) -> str:
    return call.emit(call.fact("onnx"), *call.inputs())


@lowers("IsNan", dtypes=FLOATS, placement=FOLLOWS, onnx="IsNaN")
@lowers("IsInf", dtypes=FLOATS, placement=FOLLOWS, onnx="IsInf")
def lower_is(call: Call) -> str:
    return call.widened(call.fact("onnx"), call.input(0))


@lowers("IsFinite", dtypes=FLOATS, placement=FOLLOWS)
def lower_is_finite(call: Call) -> str:
    """|x| < ∞, which is false of NaN."""
    return call.widened("Less", call.widened("Abs", call.input(0)), call.scalar(float("inf"), call.dtype()))


@lowers("ClipByValue", placement=Follows(data=(0,)))
def lower_clip(call: Call) -> str:
    """The bounds are scalars, or have the value's shape. Where they cross the lower one wins; with Clip the upper."""
    value, low, high = call.inputs()
    if call.dtype() != INT64 and _are_ordered(call.value(1), call.value(2)):
        return call.widened("Clip", value, low, high)
    return extreme(call, "Max", extreme(call, "Min", value, _as_stored(call, high, 2)), _as_stored(call, low, 1))


def _are_ordered(lowest: Array | None, highest: Array | None) -> bool:
    """Are both bounds known scalars, and the lower one not above the other?"""
    if lowest is None or highest is None or lowest.ndim or highest.ndim:
        return False
    return bool(lowest <= highest)


def _as_stored(call: Call, bound: str, index: int) -> str:
    """``bound``, which is read as TensorFlow has it, in the layout of input 0."""
    if call.shape() is None or call.shape(index) is None or call.rank(index) < 2:
        return bound
    rank = call.rank(index)
    order = sorted(range(call.rank()), key=call.axis)
    if order == sorted(order):
        return bound
    return call.transpose(call.unsqueeze(bound, range(call.rank() - rank)), order)
