"""TensorList and TensorArray ops that read lists, as ops on the tensor that stands for the list."""

from __future__ import annotations

from bnfold.export.rewrites.list_ops import LIST_OPS, Result, Site, handles, is_whole_range, static_shape
from bnfold.export.rewrites.list_writes import merged
from bnfold.export.rewrites.stacks import Pieces, Stack
from bnfold.graph import DType, Shape
from bnfold.graph.dtypes import INT32, INT64

__all__ = ["LIST_OPS"]  # with those of this module in it

PIECEWISE = frozenset(
    {
        "TensorListGetItem", "TensorListLength", "TensorListConcat", "TensorListConcatV2", "TensorListSetItem",
        "TensorArrayReadV3", "TensorArraySizeV3", "TensorArrayConcatV3", "TensorArrayWriteV3",
    }
)  # fmt: skip
"""The ops that take lists whose items differ."""


@handles("TensorListStack")
def stacked(site: Site) -> Result:
    return (_of_items(site, site.inputs[0], site.stack(0), static_shape(site, site.inputs[1]), None),)


@handles("TensorArrayGatherV3")
def gathered_array(site: Site) -> Result:
    _, indices, stack = site.inputs
    shape: Shape | None = site.node.attrs["element_shape"]
    if is_whole_range(site, indices):
        return (_of_items(site, stack, site.stacks[stack], shape, None),)
    return (_of_items(site, site.make.taken(stack, site.stacks[stack], indices), site.stacks[stack], shape, None),)


@handles("TensorListGather")
def gathered(site: Site) -> Result:
    stack, indices, shape = site.inputs
    values = site.make.taken(stack, site.stack(0), indices)
    return (_of_items(site, values, site.stack(0), static_shape(site, shape), None),)


def _of_items(site: Site, tensor: str, known: Stack, shape: Shape | None, count: int | None) -> str:
    shape = merged(merged(shape, known.item), None if (whole := site.types(site.node.output)) is None else whole[1:])
    return site.make.shaped(tensor, known.dtype, None if shape is None else (count, *shape))


@handles("TensorListGetItem")
def get_item(site: Site) -> Result | None:
    stack, index, shape = site.inputs
    item = _item(site, stack, index, static_shape(site, shape))
    return None if item is None else (item,)


@handles("TensorArrayReadV3")
def read(site: Site) -> Result | None:
    _, index, stack = site.inputs
    item = _item(site, stack, index, None)
    return None if item is None else (item,)


def _item(site: Site, stack: str, index: str, shape: Shape | None) -> str | None:
    known, place = site.stacks[stack], site.make.value(index)
    written = None if place is None else dict(known.items).get(int(place))
    if written is not None:
        return site.make.shaped(written, known.dtype, shape)
    if isinstance(known, Pieces):
        return _piece(site, stack, known, index) if known.lengths else None
    return site.make.shaped(site.make.taken(stack, known, index), known.dtype, merged(shape, known.item))


def _piece(site: Site, stack: str, known: Pieces, index: str) -> str:
    make = site.make
    lengths = make.add("Cast", known.lengths, SrcT=INT64, DstT=INT32, Truncate=False)
    ends = make.add("Cumsum", lengths, make.constant(0), T=INT32, Tidx=INT32, exclusive=False, reverse=False)
    whole = Stack(INT32, ())
    length, end = (make.vector(make.taken(tensor, whole, index)) for tensor in (lengths, ends))
    return make.between(stack, make.add("Sub", end, length, T=INT32), end, known.dtype)


@handles("TensorListLength")
def length(site: Site) -> Result:
    return (_count(site, site.inputs[0]),)


@handles("TensorArraySizeV3")
def size(site: Site) -> Result:
    return (_count(site, site.inputs[1]),)


def _count(site: Site, stack: str) -> str:
    known = site.stacks[stack]
    if known.reserved is not None and known.items:
        return site.make.constant(known.reserved)
    counted = (known.lengths, INT64) if isinstance(known, Pieces) else (stack, known.dtype)
    return site.make.reshaped(site.make.length(*counted), [], INT32)


@handles("TensorListElementShape")
def element_shape(site: Site) -> Result:
    dtype: DType = site.node.attrs["shape_type"]
    dims = site.make.part(site.make.shape(site.inputs[0], site.stack(0).dtype), 1, None)
    return (dims if dtype == INT32 else site.make.add("Cast", dims, SrcT=INT32, DstT=dtype, Truncate=False),)


@handles("TensorListConcat", "TensorListConcatV2")
def concatenated(site: Site) -> Result | None:
    return _concatenated(site, site.inputs[0])


@handles("TensorArrayConcatV3")
def concatenated_array(site: Site) -> Result | None:
    return _concatenated(site, site.inputs[1])


def _concatenated(site: Site, stack: str) -> Result | None:
    """The items, which are as long as each other, one after another, and the length of each."""
    make, dtype, known = site.make, site.stacks[stack].dtype, site.stacks[stack]
    if known.items and len(known.items) == known.reserved:
        return _joined_items(site, [item for _, item in known.items], dtype)
    if isinstance(known, Pieces):
        return (stack, known.lengths) if known.lengths else None
    shape = make.shape(stack, dtype)
    dims = make.joined(make.constant([-1]), make.part(shape, 2, None))
    values = make.add("Reshape", stack, dims, T=dtype, Tshape=INT32)
    sizes = make.add("Fill", make.part(shape, 0, 1), _scalar(site, shape), T=INT32, index_type=INT32)
    return values, make.add("Cast", sizes, SrcT=INT32, DstT=INT64, Truncate=False)


def _joined_items(site: Site, items: list[str], dtype: DType) -> Result:
    """Items of any lengths."""
    make = site.make
    sizes = make.joined(*(make.length(item, dtype) for item in items))
    return make.joined(*items, dtype=dtype), make.add("Cast", sizes, SrcT=INT32, DstT=INT64, Truncate=False)


def _scalar(site: Site, shape: str) -> str:
    return site.make.reshaped(site.make.part(shape, 1, 2), [], INT32)
