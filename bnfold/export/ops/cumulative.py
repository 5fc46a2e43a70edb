"""Running sums, products and the like along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnfold.export.call import Call
from bnfold.export.ints import joined, sizes_of
from bnfold.export.kernels import widening
from bnfold.export.onnx_graph import OnnxNode, part_dtype
from bnfold.export.scope import Scope
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers
from bnfold.graph import DType, TensorType
from bnfold.graph.dtypes import INT64


@lowers("Cumsum", dtypes=(*NUMBERS, *COMPLEX))
def lower_cumsum(call: Call) -> str:
    dtype, axis = part_dtype(call.dtype()), call.value(1)
    wide = widening("CumSum", dtype, call.opset)
    if wide is None:
        raise call.refusal(f"onnxruntime has no CumSum for {dtype}")
    at = call.cast(call.input(1), INT64) if axis is None else call.scalar(int(axis) % call.rank(), INT64)
    value = call.cast(call.input(0), wide) if wide != dtype else call.input(0)
    total = call.emit("CumSum", value, at, exclusive=call.attr("exclusive"), reverse=call.attr("reverse"))
    return total if wide == dtype else call.cast(total, dtype)


@lowers("Cumprod", dtypes=NUMBERS, neutral=1)
@lowers("CumulativeLogsumexp", dtypes=FLOATS, neutral=-math.inf)
def lower_scan(call: Call) -> str:
    """A Scan along the axis, which carries what came before: ``carry' = carry · x`` or ``log(e^carry + e^x)``."""
    dtype = call.dtype()
    wide = _wide(call, dtype)
    axis = int(call.constant_value(1, "axis")) % call.rank()
    others = [other for other in range(call.rank()) if other != axis]
    sizes = sizes_of(call, 0, others)
    value = call.cast(call.input(0), wide) if wide != dtype else call.input(0)
    neutral = call.emit("Expand", call.scalar(call.fact("neutral"), wide), joined(call, sizes).name)
    shape = call.known_shape()
    item = TensorType(wide, tuple(shape[other] for other in others))
    body = _body(call, item)
    _, result = call.emit_many(
        "Scan",
        neutral,
        value,
        outputs=2,
        body=body.onnx,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
        scan_input_directions=[int(call.attr("reverse"))],
        scan_output_directions=[int(call.attr("reverse"))],
    )
    return result if wide == dtype else call.cast(result, dtype)


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

    def emit(op: str, *inputs: str, **attrs: object) -> str:
        name = body.names.take(f"{body.onnx.name}/{op}")
        body.onnx.add(OnnxNode(op, list(inputs), [name], attrs, name))
        return name

    after = emit("Mul", carry, x) if call.op == "Cumprod" else _log_sum(call, emit, carry, x, item.dtype)
    body.add_output(after, item)
    body.add_output(carry if call.attr("exclusive") else after, item)
    return body


def _log_sum(call: Call, emit: Callable[..., str], a: str, b: str, dtype: DType) -> str:
    """log(e^a + e^b) = max + log(1 + e^(min - max)); of two infinities the difference is taken as 0."""
    high, low = emit("Max", a, b), emit("Min", a, b)
    apart = emit("Where", emit("Equal", high, low), call.scalar(0, dtype), emit("Sub", low, high))
    return emit("Add", high, emit("Log", emit("Add", call.scalar(1, dtype), emit("Exp", apart))))
