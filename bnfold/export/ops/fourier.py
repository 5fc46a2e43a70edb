"""Fourier transforms of the last axis, or the last two.

A transform of a known size is one product: on the numbers' two floats, n pairs to m pairs, it is a real linear map.
Large sizes, and those known only when the model runs, go to ONNX' DFT.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, joined, run_time_shape
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import conjugate
from bnfold.export.table import COMPLEX, FLOATS, lowers
from bnfold.graph import Array, DType
from bnfold.graph.dtypes import INT64

_LARGEST_PRODUCT = 512
_LARGEST_ODD_PRODUCT = 2048
"""Beyond these sizes, powers of two and others, a fast transform wins; onnxruntime's of the others is less exact."""


@lowers("FFT", dtypes=COMPLEX, axes=1)
@lowers("FFT2D", dtypes=COMPLEX, axes=2)
@lowers("FFT3D", dtypes=COMPLEX, axes=3)
@lowers("IFFT", dtypes=COMPLEX, axes=1, inverse=True)
@lowers("IFFT2D", dtypes=COMPLEX, axes=2, inverse=True)
@lowers("IFFT3D", dtypes=COMPLEX, axes=3, inverse=True)
def lower_fft(call: Call) -> str:
    value, shape = call.input(0), call.shape(0)
    if shape is None:
        return _from_the_end(call, value, range(-2, -2 - call.fact("axes"), -1))
    for axis in range(len(shape) - call.fact("axes"), len(shape)):
        value = _along(call, value, axis, shape[axis])
    return value


def _along(call: Call, value: str, axis: int, size: int | None) -> str:
    """One complex axis of ``value``, which has as many axes as input 0 and the pair."""
    inverse, rank = bool(call.fact("inverse")), call.rank()
    if size is None or _is_fast(call, size):
        return _dft(call, value, axis, inverse=inverse)
    order = [*(other for other in range(rank) if other != axis), axis, rank]
    back = [order.index(other) for other in range(rank + 1)]
    dtype = part_dtype(call.out_dtype())
    return call.transpose(_mapped(call, call.transpose(value, order), _pairs(_waves(size, inverse)), rank, dtype), back)


def _is_fast(call: Call, size: int) -> bool:
    """Whether a transform is better left to ONNX' DFT."""
    limit = _LARGEST_ODD_PRODUCT if size & (size - 1) else _LARGEST_PRODUCT
    return size > limit and call.opset >= 17


def _waves(size: int, inverse: bool) -> Array:
    """exp(∓2πi jk / n), over n for the inverse."""
    turns = np.outer(np.arange(size), np.arange(size)) % size / size
    waves: Array = np.exp((2j if inverse else -2j) * np.pi * turns) / (size if inverse else 1)
    return waves


def _pairs(matrix: Array) -> Array:
    """A complex matrix as a real one, from n pairs to m pairs: (a + bi)(c + di) = (ac - bd) + (ad + bc)i."""
    rows, columns = matrix.shape
    blocks = np.array([[matrix.real, matrix.imag], [-matrix.imag, matrix.real]])  # pair in, pair out, row, column
    return blocks.transpose(2, 0, 3, 1).reshape(2 * rows, 2 * columns)


def _mapped(call: Call, value: str, matrix: Array, rank: int, dtype: DType) -> str:
    """The pairs of the last axis (of ``rank``) mapped by ``matrix``."""
    keep = [0] * (rank - 1)
    flat = call.emit("Reshape", value, call.ints([*keep, matrix.shape[0]]))
    product = call.widened("MatMul", flat, call.constant(matrix.astype(dtype.numpy)), dtype=dtype)
    return call.emit("Reshape", product, call.ints([*keep, matrix.shape[1] // 2, 2]))


def _dft(call: Call, value: str, axis: int, *, inverse: bool = False, onesided: bool = False) -> str:
    if call.opset < 17:
        raise call.refusal("its size is not known, and ONNX has DFT since opset 17", hint="export with opset 17")
    if call.opset < 20:
        return call.emit("DFT", value, axis=axis, inverse=inverse, onesided=onesided)
    return call.emit("DFT", value, "", call.scalar(axis, INT64), inverse=inverse, onesided=onesided)


@lowers("RFFT", dtypes=(*FLOATS, *COMPLEX), axes=1)
@lowers("RFFT2D", dtypes=(*FLOATS, *COMPLEX), axes=2)
@lowers("RFFT3D", dtypes=(*FLOATS, *COMPLEX), axes=3)
def lower_rfft(call: Call) -> str:
    """The last axes are cut to the length asked for; of the last one half the frequencies are kept."""
    if call.shape() is None:
        return _rfft_of_unknown_rank(call)
    rank, count = call.rank(), call.fact("axes")
    axes, length = list(range(rank - count, rank)), input_ints(call, 1)
    value = _cut(call, call.input(0), axes, length)
    size = None if length.known is None else int(length.known[-1])
    dtype = part_dtype(call.out_dtype())
    if size is None or _is_fast(call, size):
        value = _dft(call, call.unsqueeze(value, [rank]), rank - 1, onesided=True)
    else:
        matrix = _half_matrix(size, dtype)
        product = call.widened("MatMul", value, call.constant(matrix), dtype=dtype)
        value = call.emit("Reshape", product, call.ints([*[0] * (rank - 1), matrix.shape[1] // 2, 2]))
    for position, axis in enumerate(axes[:-1]):
        value = _along(call, value, axis, None if length.known is None else int(length.known[position]))
    return value


def _rfft_of_unknown_rank(call: Call) -> str:
    """By ONNX' DFT, which takes axes that are counted from the end."""
    length, count = input_ints(call, 1).vector(), call.fact("axes")
    value = call.emit("Slice", call.input(0), call.ints([0] * count), length.name, call.ints(range(-count, 0)))
    if length.known is None or count > 1 or call.opset >= 17:
        half = _dft(call, call.unsqueeze(value, [-1]), -2, onesided=True)
        return _from_the_end(call, half, range(-3, -2 - count, -1))
    matrix = _half_matrix(int(length.known[-1]), part_dtype(call.out_dtype()))
    product = call.emit("MatMul", value, call.constant(matrix))
    before = run_time_shape(call, value).entries(0, -1)
    return call.emit("Reshape", product, joined(call, before, [matrix.shape[1] // 2, 2]).name)


def _half_matrix(size: int, dtype: DType) -> Array:
    """From ``size`` real numbers to the pairs of the first half of the frequencies."""
    half = _waves(size, inverse=False)[:, : size // 2 + 1]
    return np.stack([half.real, half.imag], axis=-1).reshape(size, -1).astype(dtype.numpy)


@lowers("IRFFT", dtypes=(*FLOATS, *COMPLEX), axes=1, inverse=True)
@lowers("IRFFT2D", dtypes=(*FLOATS, *COMPLEX), axes=2, inverse=True)
@lowers("IRFFT3D", dtypes=(*FLOATS, *COMPLEX), axes=3, inverse=True)
def lower_irfft(call: Call) -> str:
    """Half the frequencies stand for all: those between the first and the middle one count twice."""
    length, count = call.value(1), call.fact("axes")
    if length is None or call.shape() is None:
        return _irfft_at_run_time(call)
    rank, length = call.rank(), length.astype(np.int64)
    axes = list(range(rank - count, rank))
    size = int(length[-1])
    value = _cut(call, call.input(0), axes, joined(call, Ints(call, length[:-1]), [size // 2 + 1]))
    for position, axis in enumerate(axes[:-1]):
        value = _along(call, value, axis, int(length[position]))
    waves = _waves(size, inverse=True)[: size // 2 + 1]
    twice = np.where((np.arange(len(waves)) == 0) | (2 * np.arange(len(waves)) == size), 1, 2)[:, None]
    matrix = np.stack([twice * waves.real, -twice * waves.imag], axis=1).reshape(-1, size)
    dtype = part_dtype(call.dtype())
    flat = call.emit("Reshape", value, call.ints([*[0] * (rank - 1), matrix.shape[0]]))
    return call.widened("MatMul", flat, call.constant(matrix.astype(dtype.numpy)), dtype=dtype)


def _irfft_at_run_time(call: Call) -> str:
    """The other half of the frequencies is the conjugate of the first, backwards from before the middle one."""
    length, count = input_ints(call, 1).vector(), call.fact("axes")
    size = length.entries(-1)
    ends = joined(call, length.entries(0, -1), size // 2 + 1)
    half = call.emit("Slice", call.input(0), call.ints([0] * count), ends.name, call.ints(range(-1 - count, -1)))
    half = _from_the_end(call, half, range(-3, -2 - count, -1))
    last = (size - 1) // 2
    other = call.emit("Slice", half, last.name, call.ints([0]), call.ints([-2]), call.ints([-1]))
    whole = call.emit("Concat", half, conjugate(call, other), axis=-2)
    return call.emit("Gather", _dft(call, whole, -2, inverse=True), call.scalar(0, INT64), axis=-1)


def _from_the_end(call: Call, value: str, axes: Iterable[int]) -> str:
    """``value``, pairs of any rank, transformed along ``axes``, of which the last, -1, is that of the pairs."""
    for axis in axes:
        value = _dft(call, value, axis, inverse=bool(call.fact("inverse")))
    return value


def _cut(call: Call, value: str, axes: list[int], lengths: Ints) -> str:
    """The first ``lengths`` entries of ``axes``; TensorFlow's kernels take no fewer than that."""
    shape = call.known_shape(0)
    if lengths.known is not None and [shape[axis] for axis in axes] == lengths.known.tolist():
        return value
    return call.emit("Slice", value, call.ints([0] * len(axes)), lengths.name, call.ints(axes))
