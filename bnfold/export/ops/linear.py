"""Products with a matrix, and biases."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.flattening import row_order
from bnfold.export.ints import Ints, as_ints, joined, run_time_shape
from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.ops.complex import is_complex
from bnfold.export.ops.matmul import complex_product
from bnfold.export.placement import FOLLOWS, Follows
from bnfold.export.table import COMPLEX, NUMBERS, lowers
from bnfold.graph.dtypes import FLOAT32


@lowers("MatMul", dtypes=(*NUMBERS, *COMPLEX))
def lower_matmul(call: Call) -> str:
    if is_complex(call):
        x, y = (_transposed(call, index, call.attr(name)) for index, name in enumerate(("transpose_a", "transpose_b")))
        return complex_product(call, x, y, lambda a, b: call.emit("MatMul", a, b))
    return call.widened("MatMul", _operand(call, 0, call.attr("transpose_a")), _matrix(call))


def _transposed(call: Call, index: int, transposed: bool) -> str:
    """A complex matrix; transposing does not conjugate it."""
    return call.transpose(call.input(index), (1, 0, 2)) if transposed else call.input(index)


@lowers("SparseMatMul", dtypes=("float32", "bfloat16"))
def lower_sparse_matmul(call: Call) -> str:
    """A product of matrices of which many entries are 0, which are multiplied as well."""
    operands = (_operand(call, index, call.attr(name)) for index, name in enumerate(("transpose_a", "transpose_b")))
    return call.emit("MatMul", *(call.cast(operand, FLOAT32) for operand in operands))


def _matrix(call: Call) -> str:
    """The second operand, its rows in the order in which the columns of the first are stored."""
    array, flat = call.value(1), call.scope.graph.find_producer(call.node.inputs[0])
    if array is not None and flat is not None:
        order = row_order(call.scope.graph, flat.output, call.scope.layouts.of(flat).inputs[:1])
        if order is not None:
            rows = array.T if call.attr("transpose_b") else array
            return call.constant(rows[order], call.node.inputs[1])
    return _operand(call, 1, call.attr("transpose_b"))


def _operand(call: Call, index: int, transposed: bool) -> str:
    if not transposed:
        return call.input(index)
    array = call.value(index)
    if array is not None:
        return call.constant(array.T, call.node.inputs[index])
    return call.transpose(call.input(index), (1, 0))


@lowers("BiasAdd", "BiasAddV1", dtypes=(*NUMBERS, *COMPLEX), placement=Follows(data=(0,)))
def lower_bias_add(call: Call) -> str:
    """Adds along the channel axis, which data_format names: the last one, or axis 1."""
    if call.shape() is None:
        return call.widened("Add", call.input(0), _bias_of_unknown_rank(call))
    channels = call.axis(1 if call.attr("data_format") == "NCHW" else -1)
    bias = call.value(1)
    if bias is not None and (linear := _adopt_linear(call, 0, channels)) is not None:
        return _with_bias(linear, call.constant(bias, call.node.inputs[1]))
    shape = [-1 if axis == channels else 1 for axis in range(call.rank(0))]
    if channels == call.rank(0) - 1:
        return call.widened("Add", call.input(0), call.input(1))
    if bias is not None:
        return call.widened("Add", call.input(0), call.constant(bias.reshape(shape), call.node.inputs[1]))
    parts = [2] if is_complex(call) else []
    return call.widened("Add", call.input(0), call.reshape(call.input(1), [*shape, *parts]))


def _bias_of_unknown_rank(call: Call) -> str:
    """With an axis of size 1 for each spatial one, where they come after the channels."""
    if call.attr("data_format") != "NCHW":
        return call.input(1)
    spatial = Ints(call, call.emit("Shape", run_time_shape(call, call.input(0)).name)) - 2
    ones = as_ints(call, 1).spread(spatial)
    if is_complex(call):
        return call.emit(
            "Reshape", call.input(1), joined(call, [-1], ones.entries(1), [2]).name
        )  # the parts are no axis
    return call.emit("Reshape", call.input(1), joined(call, [-1], ones).name)


@lowers("Add", "AddV2", dtypes=(*NUMBERS, *COMPLEX, "string"), placement=FOLLOWS)
def lower_add(call: Call) -> str:
    """Complex numbers add part by part, and broadcast as numbers do: their last axis has size 2 in both.

    A constant that has one number for each channel of a convolution or product becomes its bias.
    """
    if call.dtype().name == "string":
        if call.opset < 20:
            raise call.refusal("ONNX joins strings since opset 20", hint="export with opset 20 or later")
        return call.emit("StringConcat", *call.inputs())
    for data, other in ((0, 1), (1, 0)):
        bias, axis = call.value(other), _lone_axis(call, data, other)
        if bias is not None and axis is not None and (linear := _adopt_linear(call, data, axis)) is not None:
            return _with_bias(linear, call.constant(bias.reshape(-1), call.node.inputs[other]))
    return call.widened("Add", *call.inputs())


def _lone_axis(call: Call, data: int, other: int) -> int | None:
    """The stored axis of input ``data`` along which the constant ``other`` varies, if it is only one, and as long."""
    bias, shape = call.value(other), call.shape(data)
    if bias is None or shape is None or bias.ndim > len(shape):
        return None
    axes = [axis - bias.ndim for axis, size in enumerate(bias.shape) if size != 1]
    return call.axis(axes[0], data) if len(axes) == 1 and shape[axes[0]] == bias.size else None


def _adopt_linear(call: Call, index: int, channels: int) -> OnnxNode | None:
    """What makes input ``index``, if it is a convolution or product that can take a bias along ``channels``."""
    maker = call.scope.maker(call.input(index))
    if maker is None or channels != 1 or len(maker.inputs) != 2:
        return None
    if maker.op == "MatMul" and (call.rank(index) != 2 or not call.dtype(index).is_floating):
        return None
    return call.adopt(index, "Conv", "ConvTranspose", "MatMul")


def _with_bias(linear: OnnxNode, bias: str) -> str:
    if linear.op == "MatMul":
        linear.op = "Gemm"
    linear.inputs.append(bias)
    return linear.outputs[0]
