"""Resizes of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, joined, run_time_shape, sizes_of
from bnfold.export.kernels import KERNELS
from bnfold.export.ops.sampling import area_weights, cubic_weights, kernel_weights, nearest
from bnfold.export.placement import SPATIAL
from bnfold.export.reals import Reals
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph import Array, Node
from bnfold.graph.dtypes import FLOAT32

HEIGHT, WIDTH = 1, 2
"""TensorFlow's axes."""


@lowers("ResizeBilinear", dtypes=NUMBERS, placement=SPATIAL)
def lower_resize_bilinear(call: Call) -> str:
    """TensorFlow computes in float32 and gives float32, whatever comes in."""
    return _resize(call, as_float32(call), mode="linear")


def as_float32(call: Call, index: int = 0) -> str:
    value = call.input(index)
    return value if call.dtype(index) == FLOAT32 else call.cast(value, FLOAT32)


@lowers("ResizeNearestNeighbor", dtypes=NUMBERS, placement=SPATIAL)
def lower_resize_nearest(call: Call) -> str:
    """A Resize where onnxruntime's rounding is known to pick TensorFlow's pixels, else a Gather for each axis."""
    sizes, wanted = sizes_of(call, 0, [HEIGHT, WIDTH]), input_ints(call, 1)
    exact = all(_picks_the_same(call, sizes, wanted, axis) for axis in (0, 1))
    if exact and call.dtype().name in KERNELS["Resize"]:
        rounding = "floor" if _coordinates(call) == "asymmetric" else "round_prefer_ceil"
        return _resize(call, call.input(0), mode="nearest", nearest_mode=rounding)
    value = call.input(0)
    for axis in (0, 1):
        value = call.emit("Gather", value, nearest(call, sizes[axis], wanted[axis]).name, axis=2 + axis)
    return value


@lowers("ResizeBicubic", dtypes=NUMBERS, placement=SPATIAL, weights=cubic_weights)
@lowers("ResizeArea", dtypes=NUMBERS, placement=SPATIAL, weights=area_weights)
def lower_resize_by_weights(call: Call) -> str:
    """Both axes are mixed by matrices: TensorFlow's coefficients are not those of ONNX' Resize."""
    weights: Callable[[Call, Ints, Ints], Reals] = call.fact("weights")
    sizes, wanted = sizes_of(call, 0, [HEIGHT, WIDTH]), input_ints(call, 1)
    return _mixed(call, *(weights(call, sizes[axis], wanted[axis]) for axis in (0, 1)))


@lowers("ScaleAndTranslate", dtypes=NUMBERS, placement=SPATIAL)
def lower_scale_and_translate(call: Call) -> str:
    """Resizing with antialiasing, and with other kernels than those of the other resizes."""
    sizes, wanted = sizes_of(call, 0, [HEIGHT, WIDTH]), input_ints(call, 1)
    return _mixed(call, *(kernel_weights(call, axis, sizes[axis], wanted[axis]) for axis in (0, 1)))


def _mixed(call: Call, rows: Reals, columns: Reals) -> str:
    value = call.emit("MatMul", rows.name, as_float32(call))
    return call.emit("MatMul", value, _transposed(columns).name)


def _transposed(matrix: Reals) -> Reals:
    if matrix.known is not None:
        return Reals(matrix.call, matrix.known.T)
    return Reals(matrix.call, matrix.call.transpose(matrix.name, [1, 0]))


def _coordinates(call: Call) -> str:
    """ONNX' word for how pixels of the output map to the input."""
    if call.attr("half_pixel_centers"):
        return "half_pixel"
    return "align_corners" if call.attr("align_corners") else "asymmetric"


def _resize(call: Call, value: str, **attrs: Any) -> str:
    """A Resize of ``value`` (N, C, height, width) to the node's size.

    Sizes and scales are of all four axes: onnxruntime's own optimiser mistakes a Resize with ``axes``.
    """
    attrs["coordinate_transformation_mode"] = _coordinates(call)
    wanted = input_ints(call, 1)
    if (factors := _factors(call, wanted)) is not None:
        scales = call.constant(np.array([1, 1, *factors], np.float32))
        return call.emit("Resize", value, "", scales, **attrs)
    shape = call.known_shape(0)
    leading = [shape[0], shape[3]] if None not in (shape[0], shape[3]) else None
    first = Ints(call, leading) if leading else run_time_shape(call, value).entries(0, 2)
    if call.shape(1) != (2,):  # the checker takes a length that is not known for 0
        wanted = wanted.reshaped([2])
    return call.emit("Resize", value, "", "", joined(call, first, wanted).name, **attrs)


def _factors(call: Call, wanted: Ints) -> Array | None:
    """Output size ÷ input size of both axes, where it is known."""
    sizes = sizes_of(call, 0, [HEIGHT, WIDTH])
    if sizes.known is None or wanted.known is None:
        return _written_factors(call)
    pairs = zip(sizes.known.tolist(), wanted.known.tolist(), strict=True)
    return np.array([_factor(size, out) for size, out in pairs], np.float32)


def _factor(size: int, wanted: int) -> np.float32:
    """``wanted / size``, rounded so that the size it gives, cut to an integer in float32 or in float64, is right."""
    factor = np.float32(wanted) / np.float32(size)
    return factor if size * float(factor) >= wanted else np.nextafter(factor, np.float32(np.inf))


def _picks_the_same(call: Call, sizes: Ints, wanted: Ints, axis: int) -> bool:
    """Does onnxruntime's arithmetic give TensorFlow's pixels on ``axis``?

    It divides by the inverse of TensorFlow's factor, which rounds differently: that is found out for sizes that are
    known. A factor that the graph itself states is taken to be a small one, for which it does not matter.
    """
    ours = nearest(call, sizes[axis], wanted[axis]).known
    size, out = sizes[axis].number(), wanted[axis].number()
    if ours is None or size is None or out is None:
        return _written_factors(call) is not None
    return bool(np.array_equal(ours, _runtime_pixels(_coordinates(call), size, out)))


def _runtime_pixels(coordinates: str, size: int, wanted: int) -> Array:
    """What onnxruntime's Resize of one axis copies, in its own float32 arithmetic."""
    steps, factor = np.arange(wanted, dtype=np.float32), _factor(size, wanted)
    if coordinates == "align_corners":
        place = steps * np.float32(size - 1) / np.float32(max(wanted - 1, 1))
    elif coordinates == "half_pixel":
        place = (steps + np.float32(0.5)) / factor - np.float32(0.5)
    else:
        place = steps / factor
    rounded = np.floor(place) if coordinates == "asymmetric" else np.floor(place + np.float32(0.5))
    pixels: Array = np.clip(rounded, 0, size - 1).astype(np.int64)
    return pixels


# Up-sampling layers write size = shape(image)[1:3] * factor: then the factor is known, whatever the size.


def _written_factors(call: Call) -> Array | None:
    """Output size ÷ input size of both axes, where the size is computed from the image's own by a constant."""
    graph = call.scope.graph
    if call.attr("align_corners") or call.value(1) is not None:
        return None
    product = graph.find_producer(call.node.inputs[1])
    if product is None or product.op != "Mul":
        return None
    for own, other in (product.inputs, product.inputs[::-1]):
        factors = graph.value(other)
        if factors is not None and factors.size in (1, 2) and _is_size_of(call, graph.find_producer(own)):
            return np.array([*factors.ravel(), *factors.ravel()][:2], np.float32)
    return None


def _is_size_of(call: Call, cut: Node | None) -> bool:
    """Is it ``shape(image)[1:3]``?"""
    graph = call.scope.graph
    if cut is None or cut.op != "StridedSlice":
        return False
    shape = graph.find_producer(cut.inputs[0])
    if shape is None or shape.op != "Shape" or shape.inputs[0] != call.node.inputs[0]:
        return False
    bounds = [graph.value(tensor) for tensor in cut.inputs[1:]]
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    if any(cut.attrs.get(mask) for mask in masks) or any(bound is None for bound in bounds):
        return False
    return [bound.tolist() for bound in bounds if bound is not None] == [[1], [3], [1]]
