"""Angles, and hyperbolic functions."""

from __future__ import annotations

from bnfold.export.angles import atan2, trigonometric
from bnfold.export.call import Call
from bnfold.export.complex_functions import complex_function
from bnfold.export.ops.complex import is_complex
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import COMPLEX, FLOATS, lowers


@lowers("Sin", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Sin")
@lowers("Cos", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Cos")
@lowers("Tan", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Tan")
@lowers("Asin", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Asin")
@lowers("Acos", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Acos")
@lowers("Atan", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Atan")
@lowers("Sinh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Sinh")
@lowers("Cosh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Cosh")
@lowers("Asinh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Asinh")
@lowers("Acosh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Acosh")
@lowers("Atanh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Atanh")
def lower_trigonometric(call: Call) -> str:
    if is_complex(call):
        return complex_function(call, call.op.lower())
    return trigonometric(call, call.fact("onnx"), call.input(0), call.dtype())


@lowers("Atan2", dtypes=FLOATS, placement=FOLLOWS)
def lower_atan2(call: Call) -> str:
    return atan2(call, call.input(0), call.input(1), call.dtype())
