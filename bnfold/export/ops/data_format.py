"""Shapes and axes of one data format in the words of another."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, input_ints, size_of
from bnfold.export.table import lowers
from bnfold.graph.dtypes import INT64


@lowers("DataFormatDimMap", dtypes=("int32", "int64"))
def lower_dim_map(call: Call) -> str:
    """The number that each axis has in the other format; a negative one counts from the end in both."""
    source, target = call.attr("src_format"), call.attr("dst_format")
    numbers = np.array([target.index(axis) for axis in source])
    return _in_dtype(call, Ints(call, numbers).take(input_ints(call, 0)))


@lowers("DataFormatVecPermute", dtypes=("int32", "int64"))
def lower_vec_permute(call: Call) -> str:
    """An entry for each axis in the other order; a vector that has no batch and no channels permutes the rest."""
    source, target = call.attr("src_format"), call.attr("dst_format")
    whole = np.array([source.index(axis) for axis in target])
    inner = [axis for axis in source if axis not in "NC"]
    spatial = np.array([inner.index(axis) if axis in inner else -1 for axis in target])
    size = size_of(call, 0, 0)
    if (known := size.number()) is not None:
        order = Ints(call, whole if known == len(source) else spatial[spatial >= 0])
    else:
        is_whole = size.equals(len(source))
        chosen = is_whole.where(whole, spatial)
        order = Ints(call, call.emit("Compress", chosen.name, (chosen >= 0).name, axis=0))
    return call.emit("Gather", call.input(0), order.name, axis=0)


def _in_dtype(call: Call, value: Ints) -> str:
    return value.name if call.out_dtype() == INT64 else call.cast(value.name, call.out_dtype())
