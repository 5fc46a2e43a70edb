"""Sizes as tensors."""

from __future__ import annotations

from math import prod

import numpy as np

from bnfold.export.call import Call
from bnfold.export.placement import Measures
from bnfold.export.table import ANY, lowers
from bnfold.graph.dtypes import INT64


@lowers("Shape", dtypes=ANY, placement=Measures())
@lowers("ShapeN", dtypes=ANY)
def lower_shape(call: Call) -> tuple[str, ...]:
    return tuple(_shape(call, index) for index in range(call.arity))


def _shape(call: Call, index: int) -> str:
    """In TensorFlow's order of the axes, without the last axis of a complex value."""
    shape, dtype = call.shape(index), call.out_dtype(index)
    if shape is not None and None not in shape:
        return call.constant(np.array(shape, dtype.numpy))
    sizes = call.emit("Shape", call.input(index))
    stored = [call.axis(axis, index) for axis in range(len(shape or ()))]
    if stored != sorted(stored):
        sizes = call.emit("Gather", sizes, call.ints(stored))
    elif call.dtype(index).name.startswith("complex"):
        sizes = call.emit("Slice", sizes, call.ints([0]), call.ints([-1]))
    return sizes if dtype == INT64 else call.cast(sizes, dtype)


@lowers("Size", dtypes=ANY, placement=Measures())
def lower_size(call: Call) -> str:
    shape, dtype = call.shape(), call.out_dtype()
    if shape is not None and None not in shape:
        return call.constant(np.array(prod(size or 0 for size in shape), dtype.numpy))
    size = call.emit("Size", call.input(0))
    if call.dtype().name.startswith("complex"):
        size = call.emit("Div", size, call.scalar(2, INT64))
    return size if dtype == INT64 else call.cast(size, dtype)


@lowers("Rank", dtypes=ANY, placement=Measures())
def lower_rank(call: Call) -> str:
    dtype = call.out_dtype()
    if call.shape() is not None:
        return call.constant(np.array(call.rank(), dtype.numpy))
    rank = call.emit("Size", call.emit("Shape", call.input(0)))
    if call.dtype().name.startswith("complex"):
        rank = call.emit("Sub", rank, call.scalar(1, INT64))
    return rank if dtype == INT64 else call.cast(rank, dtype)
