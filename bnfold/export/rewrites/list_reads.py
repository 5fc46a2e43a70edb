"""TensorList and TensorArray ops that read lists, as ops on the tensor that stands for the list."""

from __future__ import annotations

from bnfold.export.rewrites.list_ops import LIST_OPS, Result, Site, handles, is_whole_range, merged, static_shape
from bnfold.export.rewrites.stacks import Stack
from bnfold.graph import DType, Shape
from bnfold.graph.dtypes import INT32, INT64

__all__ = ["LIST_OPS"]  # with those of this module in it


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
def get_item(site: Site) -> Result:
    stack, index, shape = site.inputs
    return (_item(site, stack, index, static_shape(site, shape)),)


@handles("TensorArrayReadV3")
def read(site: Site) -> Result:
    _, index, stack = site.inputs
    return (_item(site, stack, index, None),)


def _item(site: Site, stack: str, index: str, shape: Shape | None) -> str:
    known = site.stacks[stack]
    return site.make.shaped(site.make.taken(stack, known, index), known.dtype, merged(shape, known.item))


@handles("TensorListLength")
def length(site: Site) -> Result:
    return (site.make.reshaped(site.make.length(site.inputs[0], site.stack(0).dtype), [], INT32),)


@handles("TensorArraySizeV3")
def size(site: Site) -> Result:
    return (site.make.reshaped(site.make.length(site.inputs[1], site.stack(1).dtype), [], INT32),)


@handles("TensorListElementShape")
def element_shape(site: Site) -> Result:
    dtype: DType = site.node.attrs["shape_type"]
    dims = site.make.part(site.make.shape(site.inputs[0], site.stack(0).dtype), 1, None)
    return (dims if dtype == INT32 else site.make.add("Cast", dims, SrcT=INT32, DstT=dtype, Truncate=False),)


@handles("TensorListConcat", "TensorListConcatV2")
def concatenated(site: Site) -> Result:
    return _concatenated(site, site.inputs[0])


@handles("TensorArrayConcatV3")
def concatenated_array(site: Site) -> Result:
    return _concatenated(site, site.inputs[1])


def _concatenated(site: Site, stack: str) -> Result:
    """The items, which are as long as each other, one after another, and the length of each."""
    make, dtype = site.make, site.stacks[stack].dtype
    shape = make.shape(stack, dtype)
    dims = make.joined(make.constant([-1]), make.part(shape, 2, None))
    values = make.add("Reshape", stack, dims, T=dtype, Tshape=INT32)
    sizes = make.add("Fill", make.part(shape, 0, 1), _scalar(site, shape), T=INT32, index_type=INT32)
    return values, make.add("Cast", sizes, SrcT=INT32, DstT=INT64, Truncate=False)


def _scalar(site: Site, shape: str) -> str:
    return site.make.reshaped(site.make.part(shape, 1, 2), [], INT32)
