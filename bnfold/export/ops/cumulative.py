"""Running sums, products and the like along an axis."""

from __future__ import annotations

import math

import numpy as np

from bnfold.export.along import along_computed
from bnfold.export.call import Call
from bnfold.export.ints import Ints, joined, run_time_shape
from bnfold.export.kernels import widening
from bnfold.export.onnx_graph import OnnxNode, part_dtype
from bnfold.export.ops.complex import is_complex
from bnfold.export.scope import Scope
from bnfold.export.steps import Step
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers
from bnfold.graph import Array, DType, Shape, TensorType
from bnfold.graph.dtypes import INT64


@lowers("Cumsum", dtypes=(*NUMBERS, *COMPLEX))
def lower_cumsum(call: Call) -> str:
    dtype, axis = part_dtype(call.dtype()), call.value(1)
    wide = widening("CumSum", dtype, call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime has no CumSum for {dtype}")
    at = call.cast(call.input(1), INT64) if axis is None else call.scalar(_known(call, axis), INT64)
    value = call.cast(call.input(0), wide) if wide != dtype else call.input(0)
    total = call.emit("CumSum", value, at, exclusive=call.attr("exclusive"), reverse=call.attr("reverse"))
    return total if wide == dtype else call.cast(total, dtype)


def _known(call: Call, axis: Array) -> int:
    """Counted from the start, which the two floats of a complex number do not change."""
    number = int(axis.item())
    if call.shape() is not None:
        return number % call.rank()
    return number - 1 if number < 0 and is_complex(call) else number


@lowers("Cumprod", dtypes=(*NUMBERS, *COMPLEX), neutral=1)
@lowers("CumulativeLogsumexp", dtypes=FLOATS, neutral=-math.inf)
def lower_scan(call: Call) -> str:
    """A Scan along the axis, which carries what came before: ``carry' = carry · x`` or ``log(e^carry + e^x)``."""
    dtype = part_dtype(call.dtype())
    wide = _wide(call, dtype)
    value = call.cast(call.input(0), wide) if wide != dtype else call.input(0)
    axis = call.value(1)
    if 0 in (call.shape() or ()):
        return call.emit("Identity", call.input(0))  # onnxruntime divides by the size of what it scans
    if axis is not None and call.shape() is not None:
        result = _scanned(call, value, call.known_shape(), int(axis.item()) % call.rank(), wide)
    elif is_complex(call):
        raise call.refusal("its axis is computed at run time, along which onnxruntime does not scan complex numbers")
    else:
        along = along_computed(call, value)
        result = along.whole(_scanned(call, along.value, (None, None, None), 1, wide))
    return result if wide == dtype else call.cast(result, dtype)


def _scanned(call: Call, value: str, shape: Shape, axis: int, dtype: DType) -> str:
    """``value``, which has TensorFlow's ``shape``, scanned along ``axis``."""
    others = [other for other in range(len(shape)) if other != axis]
    sizes = [shape[other] for other in others]
    item = TensorType(dtype, (*sizes, 2) if is_complex(call) else tuple(sizes))
    whole = Ints(call, sizes) if None not in sizes else run_time_shape(call, value).take(others)
    if is_complex(call):
        one = call.constant(np.array([call.fact("neutral"), 0], dtype.numpy))
        neutral = call.emit("Expand", one, joined(call, whole, [2]).name)
    else:
        neutral = call.emit("Expand", call.scalar(call.fact("neutral"), dtype), whole.name)
    body = _body(call, item)
    reverse = [int(call.attr("reverse"))]
    _, result = call.emit_many(
        "Scan",
        neutral,
        value,
        outputs=2,
        body=body.onnx,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
        scan_input_directions=reverse,
        scan_output_directions=reverse,
    )
    return result


def _wide(call: Call, dtype: DType) -> DType:
    """bfloat16 and the short integers in what onnxruntime multiplies, and half in float32: bodies get no help."""
    narrow = dtype.name in ("float16", "bfloat16")
    wide = DType.named("float32") if narrow else widening("ReduceProd", dtype, call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime does not multiply {dtype}")
    return wide


def _body(call: Call, item: TensorType) -> Scope:
    body = call.body("step")
    carry, x = body.add_input("carry", item), body.add_input("x", item)
    step = Step(call, body)
    if call.op == "CumulativeLogsumexp":
        after = _log_sum(call, step, carry, x, item.dtype)
    elif is_complex(call):
        after = _complex_product(call, step, carry, x)
    else:
        after = step("Mul", carry, x)
    body.add_output(after, item)
    body.add_output(carry if call.attr("exclusive") else after, item)
    return body


def _complex_product(call: Call, step: Step, x: str, y: str) -> str:
    """(a + bi)(c + di) = (a + bi) c + (-b + ai) d"""
    real, imaginary = step.body.names.take("real"), step.body.names.take("imaginary")
    step.body.onnx.add(OnnxNode("Split", [y, call.ints([1, 1])], [real, imaginary], {"axis": -1}, real))
    turned = step("Gather", x, call.ints([1, 0]), axis=-1)
    turned = step("Mul", turned, call.constant(np.array([-1, 1], part_dtype(call.dtype()).numpy)))
    return step("Add", step("Mul", x, real), step("Mul", turned, imaginary))


def _log_sum(call: Call, step: Step, a: str, b: str, dtype: DType) -> str:
    """log(e^a + e^b) = max + log(1 + e^(min - max)); of two infinities the difference is taken as 0."""
    high, low = step("Max", a, b), step("Min", a, b)
    apart = step("Where", step("Equal", high, low), call.scalar(0, dtype), step("Sub", low, high))
    return step("Add", high, step("Log", step("Add", call.scalar(1, dtype), step("Exp", apart))))
