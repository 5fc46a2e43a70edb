"""Rows of the table: the ops with a kernel, which absorb a map for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bnfold.fold.algebra import Affine, Array
from bnfold.fold.kernels import input_factor, output_factor, response
from bnfold.fold.row import Kernel, Linear, Op, Refused


def _kernel_shape(op: Op, position: int) -> tuple[int, ...] | Refused:
    source = op.exact.source(op.node.inputs[position])
    if source is None:
        return op.refuse("its kernel is computed at run time")
    shape: tuple[int, ...] = source.attrs["value"].shape
    return shape


@dataclass(frozen=True)
class _Channels:
    """The channels of an input or output: their axis, and how many there are, if known."""

    op: Op
    place: str
    axis: int
    size: int | None

    def vectors(self, map_: Affine) -> tuple[Array, Array] | Refused:
        """Scale and shift of ``map_``, each of shape (size,)."""
        if self.size is None:
            return self.op.refuse(f"the number of channels of its {self.place} is not known")
        vectors = map_.along(self.axis, self.size)
        return vectors or self.op.refuse(f"the map varies along more than the channels of its {self.place}")

    def factor(self, of: Callable[[str, tuple[int, ...], Array], Array], layout: str, shape: tuple[int, ...]) -> Factor:
        """A map on these channels → the factor ``of`` a kernel of ``layout`` and ``shape``."""

        def factor(map_: Affine) -> Array | Refused:
            vectors = self.vectors(map_)
            return vectors if isinstance(vectors, Refused) else of(layout, shape, vectors[0])

        return factor


Factor = Callable[[Affine], "Array | Refused"]


def _on_axis(vector: Array, axis: int, rank: int) -> Array:
    return vector.reshape([-1 if a == axis else 1 for a in range(rank)])


# Convolutions

_LAYOUTS = {
    "Conv2D": ("HWIO", 0),
    "DepthwiseConv2dNative": ("HWIM", 0),
    "Conv3D": ("DHWIO", 0),
    "Conv2DBackpropInput": ("HWOI", 2),
    "Conv3DBackpropInputV2": ("DHWOI", 2),
}
"""Layout of the kernel, and which input is the data; the kernel is always input 1."""


def _convolution(op: Op) -> Kernel | Refused:
    layout, data = _LAYOUTS[op.node.op]
    shape = _kernel_shape(op, 1)
    if isinstance(shape, Refused):
        return shape
    axis, transposed = op.channel_axis, layout.endswith("OI")
    inputs = _Channels(op, "input", axis, _static(op.shape(data), axis))
    outputs = _Channels(op, "output", axis, _static(op.shape_out(), axis))

    def respond(kernel: Array, map_: Affine) -> Array | Refused:
        vectors = inputs.vectors(map_)
        if isinstance(vectors, Refused):
            return vectors
        shift = vectors[1]
        if shift.any() and (transposed or _reads_border(op, shape)):
            return op.refuse("it reads zeros beyond the border, where a shift other than 0 is missing")
        return _on_axis(response(layout, kernel, shift), axis, len(op.layout))

    scale_output, scale_input = outputs.factor(output_factor, layout, shape), inputs.factor(input_factor, layout, shape)
    return Kernel(data, 1, axis, scale_output, scale_input, respond, has_bias=True)


def _static(shape: tuple[int | None, ...] | None, axis: int) -> int | None:
    return None if shape is None else shape[axis]


def _reads_border(op: Op, kernel: tuple[int, ...]) -> bool:
    """Whether the convolution may read beyond its input's border."""
    padding = op.node.attrs["padding"]
    if padding == "VALID":
        return False
    if padding == "EXPLICIT":
        return any(op.node.attrs["explicit_paddings"])
    axes = [axis for axis, letter in enumerate(op.layout) if letter not in "NC"]
    strides, dilations = op.node.attrs["strides"], op.node.attrs.get("dilations") or [1] * len(op.layout)
    sizes = op.shape(0) or (None,) * len(op.layout)
    return any(
        _pads(sizes[axis], (extent - 1) * dilations[axis] + 1, strides[axis])
        for axis, extent in zip(axes, kernel, strict=False)
    )


def _pads(size: int | None, extent: int, stride: int) -> bool:
    """Whether SAME pads an axis of ``size`` for a window of ``extent``: TensorFlow's formula (tf.nn, "Padding")."""
    if extent == 1 or size is None:
        return extent > 1
    return (-(-size // stride) - 1) * stride + extent > size


# Matrix products

_TRANSPOSES = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMul": ("adj_x", "adj_y"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
    "BatchMatMulV3": ("adj_x", "adj_y"),
}


def _matrix_product(op: Op) -> Kernel | Refused:
    position = 1 if op.exact.source(op.node.inputs[1]) is not None else 0
    shape = _kernel_shape(op, position)
    if isinstance(shape, Refused):
        return shape
    output, operand = op.shape_out(), op.shape(1 - position)
    if output is None or operand is None:
        return op.refuse("its rank is not known")
    flips = [bool(op.node.attrs.get(name)) for name in _TRANSPOSES[op.node.op]]
    layout = "IO" if (position == 1) != flips[position] else "OI"
    output_axis = len(output) - (1 if position == 1 else 2)
    input_axis = len(operand) - (1 if (position == 1) != flips[1 - position] else 2)
    inputs = _Channels(op, "input", input_axis, operand[input_axis])
    outputs = _Channels(op, "output", output_axis, output[output_axis])

    def respond(kernel: Array, map_: Affine) -> Array | Refused:
        vectors = inputs.vectors(map_)
        if isinstance(vectors, Refused):
            return vectors
        if vectors[1].any() and any(size != 1 for size in shape[:-2]):
            return op.refuse("its kernel differs from one matrix of the batch to the next")
        matrix = kernel.reshape(-1, *kernel.shape[-2:])[0]
        return _on_axis(response(layout, matrix, vectors[1]), output_axis, len(output))

    scale_output, scale_input = outputs.factor(output_factor, layout, shape), inputs.factor(input_factor, layout, shape)
    has_bias = op.node.op == "MatMul" and position == 1
    return Kernel(1 - position, position, output_axis, scale_output, scale_input, respond, has_bias)


# Einsum


def _einsum(op: Op) -> Kernel | Refused:
    equation = op.node.attrs["equation"].replace(" ", "")
    terms, _, result = equation.partition("->")
    operands = terms.split(",")
    if "..." in equation or len(operands) != 2 or "->" not in equation:
        return op.refuse(f"its equation {equation} is not a product of two named operands")
    if any(len(set(term)) != len(term) for term in (*operands, result)):
        return op.refuse(f"its equation {equation} takes a diagonal")
    position = 1 if op.exact.source(op.node.inputs[1]) is not None else 0
    shape = _kernel_shape(op, position)
    if isinstance(shape, Refused):
        return shape
    letters, data_letters = operands[position], operands[1 - position]
    contracted = set(data_letters) - set(result)
    if not set(data_letters) & set(letters) or contracted - set(letters):
        return op.refuse(f"its equation {equation} sums over more than the kernel's axes")

    def onto_kernel(array: Array, term: str) -> Array | Refused:
        """``array``, whose axes are ``term``, with the kernel's axes."""
        loose = [letter for letter, size in zip(term, array.shape, strict=True) if size > 1 and letter not in letters]
        if loose:
            return op.refuse("the map varies along an axis that its kernel does not have")
        return _renamed(array, term, letters)

    def respond(kernel: Array, map_: Affine) -> Array | Refused:
        shift = onto_kernel(map_.shift, data_letters)
        if isinstance(shift, Refused):
            return shift
        weighted = kernel * shift
        summed = weighted.sum(axis=tuple(i for i, x in enumerate(letters) if x not in result))
        return _renamed(summed, "".join(x for x in letters if x in result), result)

    return Kernel(
        1 - position,
        position,
        len(result) - 1,
        lambda map_: onto_kernel(map_.scale, result),
        lambda map_: onto_kernel(map_.scale, data_letters),
        respond,
        has_bias=False,
    )


def _renamed(array: Array, term: str, wanted: str) -> Array:
    """``array``, whose axes are ``term``, with the axes ``wanted``; an axis that is not wanted has size 1."""
    order = [term.index(x) for x in wanted if x in term] + [i for i, x in enumerate(term) if x not in wanted]
    moved = array.transpose(order)
    sizes = iter(moved.shape)
    return moved.reshape([next(sizes) if x in term else 1 for x in wanted])


LINEAR = (
    Linear(
        "convolution",
        ("Conv2D", "DepthwiseConv2dNative", "Conv3D"),
        ("s·conv(x, k) + t = conv(x, k·s) + t", "conv(s·x + t, k) = conv(x, k·s) + conv(t, k)"),
        "the kernel is constant; forward, the window stays inside the border or t = 0",
        _convolution,
    ),
    Linear(
        "transposed convolution",
        ("Conv2DBackpropInput", "Conv3DBackpropInputV2"),
        ("s·convᵀ(x, k) + t = convᵀ(x, k·s) + t", "convᵀ(s·x, k) = convᵀ(x, k·s)"),
        "the kernel is constant; forward, t = 0, since how many taps meet differs from pixel to pixel",
        _convolution,
    ),
    Linear(
        "matrix product",
        ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"),
        ("s·(x @ k) + t = x @ (k·s) + t", "(s·x + t) @ k = x @ (s·k) + t @ k"),
        "one operand is constant, and the map varies along the features alone",
        _matrix_product,
    ),
    Linear(
        "einsum",
        ("Einsum",),
        ("s·einsum(x, k) + t = einsum(x, k·s) + t", "einsum(s·x + t, k) = einsum(x, s·k) + einsum(t, k)"),
        "one operand is constant, and the map varies along axes that the constant has too",
        _einsum,
    ),
)
