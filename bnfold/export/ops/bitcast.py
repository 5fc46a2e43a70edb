"""The same bits as another dtype."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.table import NUMBERS, lowers


@lowers("Bitcast", dtypes=NUMBERS)
def lower_bitcast(call: Call) -> str:
    """Integers of one width wrap into one another. Other dtypes of one width ONNX recasts since opset 26."""
    source, target = call.dtype(), call.out_dtype()
    if source == target:
        return call.input(0)
    if source.numpy is None or target.numpy is None or source.numpy.itemsize != target.numpy.itemsize:
        raise call.refusal(f"{source} and {target} differ in width")
    if source.is_integer and target.is_integer:
        return call.cast(call.input(0), target)
    if call.opset < 26:
        raise call.refusal(f"ONNX has no bits of {source} as {target} before opset 26", hint="export with opset 26")
    return call.emit("BitCast", call.input(0), to=target)
