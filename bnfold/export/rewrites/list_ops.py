"""TensorList ops, and TensorFlow 1's TensorArray ops, as ops on the tensor that stands for the list.

Each function makes the nodes that give what one op gives; `lists` puts them in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bnfold.export.bodies import source
from bnfold.export.loops import RESERVED
from bnfold.export.rewrites.stacks import Maker, Pieces, Stack
from bnfold.graph import DType, Node, Shape
from bnfold.graph.dtypes import INT32


@dataclass
class Site:
    """One op on its way.

    Attributes
    ----------
    node : Node
    make : Maker
    stacks : dict of str to Stack
        The tensors of the graph that stand for lists.
    types : callable
        The static shape of a tensor.
    pending : list of (str, str)
        Lists whose items have a rank that is not known yet: the list, and the constant that holds an item's shape.
    new : dict of int to Stack
        The outputs that stand for lists, which the handler fills in.
    """

    node: Node
    make: Maker
    stacks: dict[str, Stack]
    types: Callable[[str], Shape | None]
    pending: list[tuple[str, str]]
    new: dict[int, Stack] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.node.inputs

    def stack(self, index: int) -> Stack:
        return self.stacks[self.inputs[index]]


Result = tuple[str, ...]
Handler = Callable[[Site], "Result | None"]

LIST_OPS: dict[str, Handler] = {}
"""By op; a handler gives the tensors of the op's outputs, or None for a form that has none."""


def handles(*ops: str) -> Callable[[Handler], Handler]:
    def enter(handler: Handler) -> Handler:
        LIST_OPS.update(dict.fromkeys(ops, handler))
        return handler

    return enter


# Making lists


@handles("EmptyTensorList", "TensorListReserve")
def reserve(site: Site) -> Result | None:
    dtype: DType = site.node.attrs["element_dtype"]
    count = site.make.constant(0) if site.node.op == "EmptyTensorList" else site.inputs[1]
    return _reserved(site, dtype, count, static_shape(site, site.inputs[0]), site.inputs[0], output=0)


@handles("TensorArrayV3")
def array(site: Site) -> Result | None:
    """The flow is the list; the handle, which nothing needs any more, a number."""
    dtype: DType = site.node.attrs["dtype"]
    made = _reserved(site, dtype, site.inputs[0], site.node.attrs["element_shape"], "", output=1)
    if made is None:
        return None
    site.new[1] = replace(site.new[1], grows=bool(site.node.attrs["dynamic_size"]))
    site.new[0] = Stack(INT32, None)
    return site.make.constant(0), *made


def _reserved(site: Site, dtype: DType, count: str, shape: Shape | None, tensor: str, *, output: int) -> Result | None:
    make = site.make
    if dtype.numpy is None:
        return None  # a list of lists
    if shape is None and tensor and make.value(tensor) is None and len(site.types(tensor) or ()) == 1:
        sizes = _as_int32(site, tensor)
        unknown = make.add("Less", sizes, make.constant(0), T=INT32)
        item = make.add("SelectV2", unknown, make.constant(1), sizes, T=INT32)
    else:
        item = make.constant(np.array([1 if size is None else size for size in shape or ()], np.int32))
    size = make.value(count)
    site.new[output] = Stack(dtype, shape, reserved=None if size is None else int(size.item()))
    made = make.reserved(count, item, dtype)
    if shape is None:
        site.pending.append((made, item))
    return (made,)


def static_shape(site: Site, tensor: str) -> Shape | None:
    """The shape that an element_shape input holds, if it is a constant with a rank."""
    value = site.make.value(tensor)
    if value is None or value.ndim != 1:
        return None
    return tuple(None if size < 0 else int(size) for size in value)


def _as_int32(site: Site, tensor: str) -> str:
    dtype: DType = site.node.attrs.get("shape_type", INT32)
    return tensor if dtype == INT32 else site.make.add("Cast", tensor, SrcT=dtype, DstT=INT32, Truncate=False)


@handles("TensorListFromTensor")
def from_tensor(site: Site) -> Result:
    shape = site.types(site.inputs[0])
    site.new[0] = Stack(site.node.attrs["element_dtype"], None if shape is None else shape[1:])
    return (site.inputs[0],)


@handles("TensorArrayScatterV3")
def scatter_to_array(site: Site) -> Result:
    """Nearly always all items at once: ``unstack`` scatters to range(n)."""
    _, indices, values, _ = site.inputs
    known = replace(site.stack(3), items=())
    shape = site.types(values)
    site.new[0] = replace(known, item=known.item if shape is None else shape[1:])
    if is_whole_range(site, indices):
        return (values,)
    return (_scattered(site, site.inputs[3], known, values, indices),)


@handles("TensorListScatterIntoExistingList")
def scatter_to_list(site: Site) -> Result:
    stack, values, indices = site.inputs
    known, shape = replace(site.stack(0), items=()), site.types(values)
    site.new[0] = replace(known, item=known.item if shape is None else shape[1:])
    return (_scattered(site, stack, replace(known, grows=True), values, indices),)


def _scattered(site: Site, stack: str, known: Stack, values: str, indices: str) -> str:
    """``stack`` with ``values`` at ``indices``, made longer where it grows and has no such index."""
    make = site.make
    length = make.length(stack, known.dtype)
    if known.grows:
        largest = make.add("Max", indices, make.constant([0]), T=INT32, Tidx=INT32, keep_dims=True)
        length = make.add("Maximum", length, make.add("AddV2", largest, make.constant([1]), T=INT32), T=INT32)
    if is_blank(site, stack):
        whole = make.zeros(length, make.part(make.shape(values, known.dtype), 1, None), known.dtype)
    else:
        whole = _fitted_to_many(site, stack, known, values)
        missing = make.add("Sub", length, make.length(whole, known.dtype), T=INT32)
        whole = make.longer(whole, known, missing) if known.grows else whole
    places = make.reshaped(indices, [-1, 1], INT32)
    return make.add("TensorScatterUpdate", whole, places, values, T=known.dtype, Tindices=INT32)


def is_blank(site: Site, stack: str) -> bool:
    """Is nothing written to the list yet? Then the items may still have any shape."""
    graph = site.make.graph
    node = graph.find_producer(source(graph, stack))
    return node is not None and RESERVED in node.attrs


def _fitted_to_many(site: Site, stack: str, known: Stack, values: str) -> str:
    if known.item is not None and None not in known.item:
        return stack
    make = site.make
    items = make.part(make.shape(values, known.dtype), 1, None)
    dims = make.joined(make.length(stack, known.dtype), items)
    return make.add("BroadcastTo", stack, dims, T=known.dtype, Tidx=INT32)


@handles("TensorListScatter", "TensorListScatterV2")
def scatter(site: Site) -> Result:
    make, (values, indices) = site.make, site.inputs[:2]
    dtype: DType = site.node.attrs["element_dtype"]
    shape = site.types(values)
    site.new[0] = Stack(dtype, None if shape is None else shape[1:])
    whole = make.reshaped(indices, [-1, 1], INT32)
    count = make.value(site.inputs[3]) if len(site.inputs) > 3 else np.array(-1)
    if count is not None and count.item() < 0:
        largest = make.add("Max", indices, make.constant([0]), T=INT32, Tidx=INT32, keep_dims=True)
        length = make.add("AddV2", largest, make.constant([1]), T=INT32)
    else:
        length = make.vector(site.inputs[3])
    items = make.part(make.shape(values, dtype), 1, None)
    zeros = make.zeros(length, items, dtype)
    return (make.add("TensorScatterUpdate", zeros, whole, values, T=dtype, Tindices=INT32),)


def is_whole_range(site: Site, indices: str) -> bool:
    """Is it ``range(0, n, 1)``, or the constant? Then n is the number of items."""
    value = site.make.value(indices)
    if value is not None:
        return bool(np.array_equal(value, np.arange(value.size)))
    node = site.make.graph.find_producer(source(site.make.graph, indices))
    if node is None or node.op != "Range":
        return False
    start, _, step = (site.make.value(tensor) for tensor in node.inputs)
    return start is not None and step is not None and start.item() == 0 and step.item() == 1


@handles("TensorListSplit")
def split(site: Site) -> Result:
    return _split(site, site.inputs[0], site.inputs[2], site.node.attrs["element_dtype"])


@handles("TensorArraySplitV3")
def split_to_array(site: Site) -> Result:
    return _split(site, site.inputs[1], site.inputs[2], site.node.attrs["T"])


def _split(site: Site, values: str, lengths: str, dtype: DType) -> Result:
    make, sizes, shape = site.make, site.make.value(lengths), site.types(values)
    rest: Shape | None = None if shape is None else shape[1:]
    if sizes is None or not sizes.size or len(set(sizes.tolist())) != 1:
        site.new[0] = Pieces(dtype, None if rest is None else (None, *rest), lengths=lengths)
        return (values,)
    site.new[0] = Stack(dtype, None if rest is None else (int(sizes[0]), *rest))
    dims = make.joined(make.constant([sizes.size, sizes[0]]), make.part(make.shape(values, dtype), 1, None))
    return (make.add("Reshape", values, dims, T=dtype, Tshape=INT32),)
