"""Products with a matrix, and biases."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.placement import Follows
from bnfold.export.table import NUMBERS, lowers


@lowers("MatMul", dtypes=NUMBERS)
def lower_matmul(call: Call) -> str:
    operands = [_operand(call, 0, call.attr("transpose_a")), _operand(call, 1, call.attr("transpose_b"))]
    return call.widened("MatMul", *operands)


def _operand(call: Call, index: int, transposed: bool) -> str:
    if not transposed:
        return call.input(index)
    array = call.value(index)
    if array is not None:
        return call.constant(np.ascontiguousarray(array.T), call.node.inputs[index])
    return call.transpose(call.input(index), (1, 0))


@lowers("BiasAdd", placement=Follows(data=(0,)))
def lower_bias_add(call: Call) -> str:
    """Adds along the channel axis, which data_format names: the last one, or axis 1."""
    channels = call.axis(1 if call.attr("data_format") == "NCHW" else -1)
    bias = call.value(1)
    if bias is not None and (linear := _adopt_linear(call, 0, channels)) is not None:
        return _with_bias(linear, call.constant(bias, call.node.inputs[1]))
    shape = [-1 if axis == channels else 1 for axis in range(call.rank(0))]
    if channels == call.rank(0) - 1:
        return call.widened("Add", call.input(0), call.input(1))
    if bias is not None:
        return call.widened("Add", call.input(0), call.constant(bias.reshape(shape), call.node.inputs[1]))
    return call.widened("Add", call.input(0), call.reshape(call.input(1), shape))
