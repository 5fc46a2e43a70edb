"""Reductions over axes, which are constants or computed."""

from __future__ import annotations

from bnfold.export.axes import known_axes, stored_axes
from bnfold.export.call import Call
from bnfold.export.ints import input_ints
from bnfold.export.kernels import widening
from bnfold.export.ops.complex import is_complex
from bnfold.export.placement import Drops
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import BOOL, INT32

REDUCES = Drops(axes=1, keep="keep_dims")


@lowers("Sum", dtypes=(*NUMBERS, *COMPLEX), placement=REDUCES, onnx="ReduceSum")
@lowers("Mean", dtypes=(*NUMBERS, *COMPLEX), placement=REDUCES, onnx="ReduceMean")
@lowers("Prod", placement=REDUCES, onnx="ReduceProd")
@lowers("Max", placement=REDUCES, onnx="ReduceMax")
@lowers("Min", placement=REDUCES, onnx="ReduceMin")
@lowers("EuclideanNorm", dtypes=FLOATS, placement=REDUCES, onnx="ReduceL2")
def lower_reduction(call: Call) -> str:
    dtype = call.dtype()
    if is_complex(call):
        return reduced(call, call.input(0))
    wide = widening(call.fact("onnx"), dtype, call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime does not reduce {dtype}")
    return _under(call, wide, dtype)


@lowers("All", dtypes=("bool",), placement=REDUCES, onnx="ReduceProd")
@lowers("Any", dtypes=("bool",), placement=REDUCES, onnx="ReduceSum")
def lower_logical_reduction(call: Call) -> str:
    """On 0 and 1 the product is "all" and the sum "any", of no elements too."""
    return _under(call, INT32, BOOL)


def _under(call: Call, wide: DType, dtype: DType) -> str:
    value = call.input(0)
    if wide == dtype:
        return reduced(call, value)
    return call.cast(reduced(call, call.cast(value, wide)), dtype)


def reduced(call: Call, value: str) -> str:
    """``value``, which stands for input 0, reduced over the axes that are input 1."""
    onnx, keepdims, axes = call.fact("onnx"), call.attr("keep_dims"), call.value(1)
    if axes is not None and not axes.size:
        return call.emit("Abs", value) if onnx == "ReduceL2" else value
    if axes is None or call.shape() is None:
        return _reduced_at_run_time(call, value)
    return call.reduce(onnx, value, stored_axes(call, known_axes(call, axes)), keepdims=keepdims)


def _reduced_at_run_time(call: Call, value: str) -> str:
    onnx, keepdims, axes = call.fact("onnx"), call.attr("keep_dims"), input_ints(call, 1)
    if onnx != "ReduceSum" and call.opset < 18:
        if axes.known is None:
            raise call.refusal("its axes are computed, which ONNX has since opset 18", hint="export with opset 18")
        return call.emit(onnx, value, axes=axes.known.reshape(-1).tolist(), keepdims=keepdims)
    return call.emit(onnx, value, axes.vector().name, keepdims=keepdims, noop_with_empty_axes=1)
