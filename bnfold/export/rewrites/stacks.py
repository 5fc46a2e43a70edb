"""What stands for a list of tensors: one tensor with its items along axis 0, and the nodes that make such tensors.

Items whose shape is not known when the list is reserved are zeros with 1 for each unknown size, and are broadcast
when the first one is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bnfold.export.bodies import source
from bnfold.export.loops import ITEM, RESERVED
from bnfold.graph import Array, DType, Graph, Node, Shape, constant
from bnfold.graph.dtypes import BOOL, INT32, STRING


@dataclass(frozen=True)
class Stack:
    """What is known of a list.

    Attributes
    ----------
    dtype : DType
        Of the tensor that stands for it.
    item : Shape or None
        Static shape of the items; None for an unknown rank.
    grows : bool
        Does writing beyond its end make it longer?
    items : tuple of (int, str)
        What was written so far, by index, where all of that is known: tensors of the graph that the list is in.
    reserved : int or None
        How many items it was made for.
    """

    dtype: DType
    item: Shape | None
    grows: bool = False
    items: tuple[tuple[int, str], ...] = ()
    reserved: int | None = None


@dataclass(frozen=True)
class Pieces(Stack):
    """A list whose items differ: either all are known, or the tensor that stands for it has them one after another.

    Attributes
    ----------
    lengths : str
        An int64 vector; "" where the items are known.
    """

    lengths: str = ""


class Maker:
    """Adds TensorFlow nodes to a graph, named after one node.

    Parameters
    ----------
    graph : Graph
    stem : str
    """

    def __init__(self, graph: Graph, stem: str) -> None:
        self.graph = graph
        self.stem = stem

    def add(self, op: str, *inputs: str, **attrs: Any) -> str:
        name = self.graph.fresh_name(f"{self.stem}/{op}")
        return self.graph.add(Node(name, op, inputs, attrs)).output

    def constant(self, value: Any, dtype: DType = INT32) -> str:
        name = self.graph.fresh_name(f"{self.stem}/const")
        return self.graph.add(constant(name, np.asarray(value, dtype.numpy), dtype)).output

    def value(self, tensor: str) -> Array | None:
        return self.graph.value(source(self.graph, tensor))

    # int32 vectors

    def shape(self, tensor: str, dtype: DType) -> str:
        return self.add("Shape", tensor, T=dtype, out_type=INT32)

    def part(self, tensor: str, start: int, end: int | None, dtype: DType = INT32) -> str:
        """``tensor[start:end]``"""
        bounds = (self.constant([b]) for b in (start, end or 0, 1))
        masks = {"begin_mask": 0, "end_mask": int(end is None), **_NO_MASKS}
        return self.add("StridedSlice", tensor, *bounds, T=dtype, Index=INT32, **masks)

    def between(self, tensor: str, start: str, end: str, dtype: DType) -> str:
        """``tensor[start:end]``, the bounds being vectors of one."""
        masks = {"begin_mask": 0, "end_mask": 0, **_NO_MASKS}
        return self.add("StridedSlice", tensor, start, end, self.constant([1]), T=dtype, Index=INT32, **masks)

    def joined(self, *parts: str, dtype: DType = INT32) -> str:
        return self.add("ConcatV2", *parts, self.constant(0), N=len(parts), T=dtype, Tidx=INT32)

    def vector(self, tensor: str, dtype: DType = INT32) -> str:
        """An integer scalar as an int32 vector."""
        if dtype != INT32:
            tensor = self.add("Cast", tensor, SrcT=dtype, DstT=INT32, Truncate=False)
        return self.reshaped(tensor, [1], INT32)

    def reshaped(self, tensor: str, shape: list[int], dtype: DType) -> str:
        return self.add("Reshape", tensor, self.constant(shape), T=dtype, Tshape=INT32)

    # Stacks

    def zeros(self, count: str, item: str, dtype: DType) -> str:
        """``count`` items, all zeros, of the shape ``item``: int32 vectors."""
        return self.add("Fill", self.joined(count, item), self.constant(_zero(dtype), dtype), T=dtype, index_type=INT32)

    def reserved(self, count: str, item: str, dtype: DType) -> str:
        """As `zeros`, marked as a list to which nothing has been written; ``count`` is a scalar."""
        value = self.value(count)
        length = self.vector(count) if value is None else self.constant(value.reshape(1))
        zeros = self.zeros(length, item, dtype)
        node = self.graph.producer_of(zeros)
        self.graph.replace(node.with_attrs(**{RESERVED: count if value is None else length}))
        return zeros

    def length(self, stack: str, dtype: DType) -> str:
        return self.part(self.shape(stack, dtype), 0, 1)

    def fitting(self, stack: str, known: Stack, item: str) -> str:
        """``stack`` with its items as large as ``item``, where their shape was not known."""
        if known.item is not None and None not in known.item:
            return stack
        dims = self.joined(self.length(stack, known.dtype), self.shape(item, known.dtype))
        return self.add("BroadcastTo", stack, dims, T=known.dtype, Tidx=INT32)

    def written(self, stack: str, known: Stack, index: str, item: str, *, of: str) -> str:
        """``stack``, which is ``of`` or a longer list that begins with it, with ``item`` at ``index``."""
        place, update = self.reshaped(index, [1, 1], INT32), self.expanded(item, known.dtype)
        whole = self.fitting(stack, known, item)
        attrs = {"T": known.dtype, "Tindices": INT32, ITEM: [of, index, item]}
        return self.add("TensorScatterUpdate", whole, place, update, **attrs)

    def longer(self, stack: str, known: Stack, count: str) -> str:
        """``stack`` with ``count`` (a vector of one) zeros after its last."""
        zeros = self.zeros(count, self.part(self.shape(stack, known.dtype), 1, None), known.dtype)
        return self.joined(stack, zeros, dtype=known.dtype)

    def appended(self, stack: str, known: Stack, item: str) -> str:
        """``stack`` with ``item`` after its last."""
        whole = stack
        if known.item is None or None in known.item:  # onnxruntime does not broadcast what is empty
            one_more = self.longer(stack, known, self.constant([1]))
            whole = self.part(self.fitting(one_more, known, item), 0, -1, known.dtype)
        longer = self.joined(whole, self.expanded(item, known.dtype), dtype=known.dtype)
        node = self.graph.producer_of(longer)
        self.graph.replace(node.with_attrs(**{ITEM: [stack, "", item]}))
        return longer

    def expanded(self, item: str, dtype: DType) -> str:
        return self.add("ExpandDims", item, self.constant(0), T=dtype, Tdim=INT32)

    def taken(self, stack: str, known: Stack, indices: str) -> str:
        attrs = {"Tparams": known.dtype, "Tindices": INT32, "Taxis": INT32, "batch_dims": 0}
        return self.add("GatherV2", stack, indices, self.constant(0), **attrs)

    def shaped(self, tensor: str, dtype: DType, shape: Shape | None) -> str:
        """``tensor``, of which ``shape`` is known."""
        if shape is None:
            return tensor
        return self.add("EnsureShape", tensor, T=dtype, shape=shape)


_NO_MASKS = {"ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}


def _zero(dtype: DType) -> Any:
    return "" if dtype == STRING else False if dtype == BOOL else 0
