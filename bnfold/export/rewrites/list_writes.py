"""TensorList and TensorArray ops that write to lists one item at a time, or change how long they are."""

from __future__ import annotations

from dataclasses import replace

from bnfold.export.rewrites.list_ops import LIST_OPS, Result, Site, handles, is_blank
from bnfold.export.rewrites.stacks import Pieces, Stack
from bnfold.graph import Shape
from bnfold.graph.dtypes import INT32

__all__ = ["LIST_OPS"]  # with those of this module in it


@handles("TensorListSetItem")
def set_item(site: Site) -> Result | None:
    stack, index, item = site.inputs
    return _set(site, stack, index, item, grows=bool(site.node.attrs.get("resize_if_index_out_of_bounds")))


@handles("TensorArrayWriteV3")
def write(site: Site) -> Result | None:
    _, index, item, stack = site.inputs
    return _set(site, stack, index, item, grows=False)


def _set(site: Site, stack: str, index: str, item: str, *, grows: bool) -> Result | None:
    known, shape = site.stacks[stack], site.types(item)
    items = () if grows or known.grows else _with_item(site, stack, index, item)
    if isinstance(known, Pieces) or _differ(known.item, shape):  # no tensor holds items of several shapes
        site.new[0] = Pieces(known.dtype, None, items=items, reserved=known.reserved)
        return (stack,) if items else None
    site.new[0] = replace(known, item=merged(known.item, shape), items=items)
    if grows or known.grows:
        return (_set_growing(site, stack, known, index, item),)
    return (site.make.written(stack, known, index, item, of=stack),)


def _with_item(site: Site, stack: str, index: str, item: str) -> tuple[tuple[int, str], ...]:
    """The items that are known once ``item`` is written; none where ``stack`` holds others."""
    place, before = site.make.value(index), site.stacks[stack].items
    if place is None or not (before or is_blank(site, stack)):
        return ()
    return tuple(sorted({**dict(before), int(place): item}.items()))


def _set_growing(site: Site, stack: str, known: Stack, index: str, item: str) -> str:
    """The list is made longer by zeros where it has no such index."""
    make = site.make
    length = make.length(stack, known.dtype)
    needed = make.add("AddV2", make.vector(index), make.constant([1]), T=INT32)
    missing = make.add("Sub", make.add("Maximum", needed, length, T=INT32), length, T=INT32)
    return make.written(make.longer(stack, known, missing), known, index, item, of=stack)


def _differ(one: Shape | None, other: Shape | None) -> bool:
    if one is None or other is None:
        return False
    return len(one) != len(other) or any(
        None not in pair and pair[0] != pair[1] for pair in zip(one, other, strict=True)
    )


def merged(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None or len(one) != len(other):
        return one if one is not None else other
    return tuple(a if a is not None else b for a, b in zip(one, other, strict=True))


@handles("TensorListPushBack")
def push_back(site: Site) -> Result | None:
    stack, item = site.inputs
    known = site.stack(0)
    if _differ(known.item, site.types(item)):
        return None
    site.new[0] = replace(known, item=merged(known.item, site.types(item)), items=())
    return (site.make.appended(stack, known, item),)


@handles("TensorListPopBack")
def pop_back(site: Site) -> Result:
    known = site.new[0] = replace(site.stack(0), items=())
    rest = site.make.part(site.inputs[0], 0, -1, known.dtype)
    last = site.make.taken(site.inputs[0], known, _last(site, known))
    return rest, site.make.shaped(last, known.dtype, known.item)


def _last(site: Site, known: Stack) -> str:
    length = site.make.add("Sub", site.make.length(site.inputs[0], known.dtype), site.make.constant([1]), T=INT32)
    return site.make.reshaped(length, [], INT32)


@handles("TensorListResize")
def resize(site: Site) -> Result:
    make, known = site.make, replace(site.stack(0), items=())
    site.new[0] = known
    size = make.vector(site.inputs[1])
    kept = make.add(
        "StridedSlice", site.inputs[0], make.constant([0]), size, make.constant([1]), T=known.dtype, Index=INT32,
        begin_mask=1, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
    )  # fmt: skip
    missing = make.add("Sub", size, make.length(kept, known.dtype), T=INT32)
    return (make.longer(kept, known, missing),)


@handles("TensorListConcatLists")
def concat_lists(site: Site) -> Result:
    known = site.new[0] = replace(site.stack(0), items=())
    return (site.make.joined(*site.inputs, dtype=known.dtype),)
