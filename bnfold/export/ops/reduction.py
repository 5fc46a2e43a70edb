"""Reductions over axes, which are constants or computed."""

from __future__ import annotations

import numpy as np

from bnfold.export.axes import known_axes, stored_axes
from bnfold.export.call import Call
from bnfold.export.ints import LARGEST, Ints, counted, input_ints, run_time_shape
from bnfold.export.kernels import widening
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import from_ends, is_complex
from bnfold.export.order import order_kept
from bnfold.export.placement import Drops
from bnfold.export.steps import Step, repeated
from bnfold.export.table import COMPLEX, NUMBERS, lowers
from bnfold.graph import DType, TensorType
from bnfold.graph.dtypes import BOOL, FLOAT64, INT32, INT64

REDUCES = Drops(axes=1, keep="keep_dims")


@lowers("Sum", dtypes=(*NUMBERS, *COMPLEX), placement=REDUCES, onnx="ReduceSum")
@lowers("Mean", dtypes=(*NUMBERS, *COMPLEX), placement=REDUCES, onnx="ReduceMean")
@lowers("Prod", placement=REDUCES, onnx="ReduceProd")
def lower_reduction(call: Call) -> str:
    dtype = call.dtype()
    if is_complex(call):
        return reduced(call, call.input(0), part_dtype(dtype))
    wide = widening(call.fact("onnx"), dtype, call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime does not reduce {dtype}")
    return _under(call, wide, dtype)


@lowers("Max", placement=REDUCES, onnx="ReduceMax")
@lowers("Min", placement=REDUCES, onnx="ReduceMin")
def lower_extreme(call: Call) -> str:
    under = order_kept(call, call.fact("onnx"), call.input(0))
    result = reduced(call, under.value, under.wide)
    dtype, shape = call.dtype(), call.shape()
    if dtype.is_integer and under.wide not in (dtype, INT64) and (shape is None or not all(shape)):
        limits = np.iinfo(dtype.numpy)  # of nothing the largest is the least that there is: of the dtype, not the wider
        limit, other = (limits.min, "Max") if call.op == "Max" else (limits.max, "Min")
        result = call.emit(other, result, call.scalar(limit, under.wide))
    return under.back(result)


@lowers("EuclideanNorm", dtypes=(*NUMBERS, *COMPLEX), placement=REDUCES, onnx="ReduceL2")
def lower_norm(call: Call) -> str:
    """The root of the sum of the squares, which in TensorFlow wraps as integers do: of what is negative then, 0."""
    dtype = call.dtype()
    if dtype.is_floating:
        return _under(call, call.wide_dtype("ReduceL2", dtype), dtype)
    if is_complex(call):
        squares = call.emit("Mul", call.input(0), call.input(0))
        total = reduced(call, call.reduce("ReduceSum", squares, [-1], keepdims=True), part_dtype(dtype), "ReduceSum")
        root = call.emit("Sqrt", total)
        return call.emit("Concat", root, call.emit("Sub", root, root), axis=-1)
    wide = call.wide_dtype("ReduceSum", dtype)
    squares = call.cast(call.widened("Mul", call.input(0), call.input(0)), wide)
    total = call.cast(call.cast(reduced(call, squares, wide, "ReduceSum"), dtype), FLOAT64)
    root = call.emit("Sqrt", call.emit("Max", total, call.scalar(0, FLOAT64)))
    return call.cast(root, dtype)


@lowers("All", dtypes=("bool",), placement=REDUCES, onnx="ReduceProd")
@lowers("Any", dtypes=("bool",), placement=REDUCES, onnx="ReduceSum")
def lower_logical_reduction(call: Call) -> str:
    """On 0 and 1 the product is "all" and the sum "any", of no elements too."""
    return _under(call, INT32, BOOL)


def _under(call: Call, wide: DType, dtype: DType) -> str:
    value = call.input(0)
    if wide == dtype:
        return reduced(call, value, wide)
    return call.cast(reduced(call, call.cast(value, wide), wide), dtype)


def reduced(call: Call, value: str, dtype: DType, onnx: str = "") -> str:
    """``value``, which stands for input 0 and is of ``dtype``, reduced over the axes that are input 1."""
    onnx = onnx or call.fact("onnx")
    keepdims, axes = call.attr("keep_dims"), call.value(1)
    if axes is not None and not axes.size:
        return call.emit("Abs", value) if onnx == "ReduceL2" else value
    if axes is None or call.shape() is None:
        return _reduced_at_run_time(call, value, dtype, onnx)
    named = known_axes(call, axes)
    if onnx == "ReduceMean" and call.dtype().is_floating and any(call.known_shape()[axis] == 0 for axis in named):
        nothing = call.reduce("ReduceSum", value, stored_axes(call, named), keepdims=keepdims)
        return call.emit("Div", nothing, call.scalar(0, dtype))  # NaN, for which onnxruntime has 0
    return call.reduce(onnx, value, stored_axes(call, named), keepdims=keepdims)


def _reduced_at_run_time(call: Call, value: str, dtype: DType, onnx: str) -> str:
    """Over axes that are computed, or of a tensor of unknown rank."""
    keepdims, axes = call.attr("keep_dims"), _from_front(call, input_ints(call, 1).vector())
    if onnx == "ReduceL2":
        value = call.emit("Abs", value)  # for there may be no axes, and runtimes before 1.24 leave the sign then
    if onnx == "ReduceSum" or call.opset >= 18:
        return call.emit(onnx, value, axes.name, keepdims=keepdims, noop_with_empty_axes=1)
    if axes.known is not None:
        return call.emit(onnx, value, axes=axes.known.tolist(), keepdims=keepdims)
    if onnx == "ReduceMean":
        return _sum_over_count(call, value, dtype, axes)
    return _one_after_another(call, value, dtype, onnx, axes)


def _sum_over_count(call: Call, value: str, dtype: DType, axes: Ints) -> str:
    """A mean by way of the one reduction whose axes were always an input: of integers a mean of means is another."""
    total = call.emit("ReduceSum", value, axes.name, keepdims=call.attr("keep_dims"), noop_with_empty_axes=1)
    count = Ints(call, call.emit("Size", value)) // Ints(call, call.emit("Size", total)).at_least(1)
    if not call.dtype().is_floating:
        count = count.at_least(1)
    return call.emit("Div", total, call.cast(count.name, dtype))


def _from_front(call: Call, axes: Ints) -> Ints:
    """``axes`` where they are stored. What may be empty onnxruntime leaves whole along a negative axis."""
    shape = call.shape()
    if axes.known is None and shape is not None and not all(shape):
        return axes.from_front(len(shape))
    return from_ends(call, axes)  # the last axis of a complex tensor holds the two parts


def _one_after_another(call: Call, value: str, dtype: DType, onnx: str, axes: Ints) -> str:
    """Before opset 18 the axes of most reductions are attributes: a Loop takes one of them in each step.

    The axis is the middle one of three, to which the tensor is reshaped, and stays with size 1 in its place.
    """
    rank = Ints(call, call.emit("Shape", run_time_shape(call, value).name))
    places = axes.from_front(rank)

    zeros = {"allowzero": 1} if call.opset >= 14 else {}

    def write(step: Step, k: str, state: list[str]) -> tuple[str]:
        axis, shape = step("Gather", places.name, k), step("Shape", state[0])
        start, after = call.ints([0]), step("Add", axis, call.ints([1]))
        before = step("ReduceProd", step("Slice", shape, start, axis), axes=[0], keepdims=1)
        behind = step("Slice", shape, after, call.ints([LARGEST]))
        after = step("ReduceProd", behind, axes=[0], keepdims=1)
        whole = step("Concat", before, step("Gather", shape, axis), after, axis=0)
        result = step(onnx, step("Reshape", state[0], whole, **zeros), axes=[1], keepdims=1)
        kept = step("Concat", step("Slice", shape, start, axis), call.ints([1]), behind, axis=0)
        return (step("Reshape", result, kept, **zeros),)

    (result,) = repeated(call, run_time_shape(call, axes.name).name, [(value, TensorType(dtype, None))], write)
    if call.attr("keep_dims"):
        return result
    # Squeeze of no axes is of all that have size 1
    dropped = counted(call, 0, rank.scalar()).expanded(1).equals(places.expanded(0)).as_int()
    kept = Ints(call, call.reduce("ReduceSum", dropped.name, [1])).equals(0)
    sizes = call.emit("Compress", run_time_shape(call, result).name, kept.name, axis=0)
    return call.reshape_to(result, sizes)
