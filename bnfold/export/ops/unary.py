"""Functions of one number, elementwise."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.complex_functions import complex_function
from bnfold.export.exponentials import expm1, log1p
from bnfold.export.ops.complex import complex_mul, is_complex
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers


@lowers("Abs", placement=FOLLOWS, onnx="Abs")
@lowers("Ceil", dtypes=FLOATS, placement=FOLLOWS, onnx="Ceil")
@lowers("Floor", dtypes=FLOATS, placement=FOLLOWS, onnx="Floor")
@lowers("Rint", dtypes=FLOATS, placement=FOLLOWS, onnx="Round")
@lowers("Round", placement=FOLLOWS, onnx="Round")
@lowers("Exp", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Exp")
@lowers("Log", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Log")
@lowers("Sqrt", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Sqrt")
@lowers("Sigmoid", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Sigmoid")
@lowers("Tanh", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Tanh")
@lowers("Reciprocal", "Inv", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Reciprocal")
@lowers("Sign", dtypes=(*NUMBERS, *COMPLEX), placement=FOLLOWS, onnx="Sign")
@lowers("Neg", dtypes=(*NUMBERS, *COMPLEX), placement=FOLLOWS, onnx="Neg")
def lower_unary(call: Call) -> str:
    if is_complex(call) and call.op != "Neg":
        return complex_function(call, call.fact("onnx").lower())
    if call.op == "Round" and call.dtype().is_integer:
        return call.input(0)
    return call.widened(call.fact("onnx"), call.input(0))


@lowers("Square", dtypes=(*NUMBERS, *COMPLEX), placement=FOLLOWS)
def lower_square(call: Call) -> str:
    if is_complex(call):
        return complex_mul(call, call.input(0), call.input(0))
    return call.widened("Mul", call.input(0), call.input(0))


@lowers("Rsqrt", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS)
def lower_rsqrt(call: Call) -> str:
    if is_complex(call):
        return complex_function(call, "rsqrt")
    return call.widened("Reciprocal", call.widened("Sqrt", call.input(0)))


@lowers("Expm1", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS)
def lower_expm1(call: Call) -> str:
    if is_complex(call):
        return complex_function(call, "expm1")
    return expm1(call, call.dtype(), call.input(0))


@lowers("Log1p", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS)
def lower_log1p(call: Call) -> str:
    if is_complex(call):
        return complex_function(call, "log1p")
    return log1p(call, call.dtype(), call.input(0))
