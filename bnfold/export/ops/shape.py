"""Ops that give a value another shape."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import Ints, counted, input_ints, joined, shape_of, strides_of
from bnfold.export.ops.complex import conjugate, from_end, from_ends, is_complex
from bnfold.export.placement import Drops, Expands, Permutes, Reshapes
from bnfold.export.size import Size
from bnfold.export.table import ANY, lowers


@lowers("Reshape", dtypes=ANY, placement=Reshapes())
def lower_reshape(call: Call) -> str:
    """With at most one size unknown the shape is a constant, whatever computes it at run time."""
    shape = call.out_shape()
    pair = [2] if is_complex(call) else []
    if shape is not None and shape.count(None) <= 1 and not (None in shape and 0 in shape):
        if shape == call.shape(0) and call.per_axis(shape) == call.per_out_axis(shape):
            return call.input(0)
        sizes = [-1 if size is None else size for size in call.per_out_axis(shape)]
        return call.reshape(call.input(0), [*sizes, *pair])
    copied = _copied_sizes(call)
    if copied == [0, -1] and not pair:
        return call.emit("Flatten", call.input(0), axis=1)  # of an empty batch onnxruntime's Reshape resolves no -1
    if copied is not None:
        return call.emit("Reshape", call.input(0), call.ints([*copied, *pair]))
    asked = input_ints(call, 1)
    order = call.per_out_axis(range(len(shape))) if shape is not None else []
    if order != sorted(order):
        asked = asked.take(order)
    return call.reshape_to(call.input(0), joined(call, asked, pair).name)


def _copied_sizes(call: Call) -> list[int] | None:
    """The shape in ONNX' words, if it has them: 0 is the input's size at that place, one -1 is what is left."""
    sizes = call.scope.sizes
    target, before = sizes.reshaped(call.node), sizes.shape(call.node.inputs[0])
    if target is None or before is None or Size.of(0) in target:
        return None
    stored = call.per_axis(before)
    found: list[int] = []
    for place, size in enumerate(call.per_out_axis(target)):
        known = None if size is None else size.known
        copied = size is not None and place < len(stored) and stored[place] == size
        found.append(known if known is not None else 0 if copied else -1)
    return found if found.count(-1) <= 1 else None


@lowers("Transpose", dtypes=ANY, placement=Permutes())
def lower_transpose(call: Call) -> str:
    """The input seen otherwise; whoever wants another order than it is stored in gets a Transpose node."""
    return _transposed(call)


@lowers("ConjugateTranspose", dtypes=ANY, placement=Permutes())
def lower_conjugate_transpose(call: Call) -> str:
    return conjugate(call, _transposed(call)) if is_complex(call) else _transposed(call)


def _transposed(call: Call) -> str:
    return call.input(0) if call.value(1) is not None else _transposed_at_run_time(call)


def _transposed_at_run_time(call: Call) -> str:
    """With a computed permutation the result is gathered from the flat input.

    Position ``(i_0, i_1, …)`` of the result is found at ``Σ i_k · stride(permutation[k])``.
    """
    if call.shape() is None:
        return _transposed_of_unknown_rank(call)
    rank = call.rank()
    permutation, shape = input_ints(call, 1), shape_of(call)
    strides = joined(call, *(shape.entries(axis + 1).product().vector() for axis in range(rank)))
    target, steps = shape.take(permutation), strides.take(permutation)
    source = Ints(call, np.zeros([1] * rank, np.int64))
    for axis in range(rank):
        along = counted(call, 0, target[axis]) * steps[axis]
        source = source + along.reshaped([-1 if other == axis else 1 for other in range(rank)])
    return call.emit(
        "Gather", call.reshape(call.input(0), [-1, *([2] if is_complex(call) else [])]), source.name, axis=0
    )


def _transposed_of_unknown_rank(call: Call) -> str:
    """As above, from the places of all entries of the result: a matrix with one in each row."""
    permutation, shape, pair = input_ints(call, 1), shape_of(call), [2] if is_complex(call) else []
    target, steps = shape.take(permutation), strides_of(call, shape, None).take(permutation)
    numbers = counted(call, 0, shape.product()).expanded(1)
    places = numbers // strides_of(call, target, None).at_least(1) % target.at_least(1)
    source = call.reduce("ReduceSum", (places * steps).name, [1])
    taken = call.emit("Gather", call.reshape(call.input(0), [-1, *pair]), source, axis=0)
    return call.reshape_to(taken, joined(call, target, pair).name)


@lowers("Squeeze", dtypes=ANY, placement=Drops(axes="squeeze_dims"))
def lower_squeeze(call: Call) -> str:
    """Without axes, all of size 1; which these are is sometimes known only when the model runs."""
    shape, axes = call.shape(), call.attr("squeeze_dims")
    if axes and shape is not None:
        return call.squeeze(call.input(0), sorted(call.axis(axis) for axis in axes))
    if axes:
        return call.squeeze(call.input(0), [from_end(call, axis) for axis in axes])
    if shape is None or None in shape:
        return call.emit("Squeeze", call.input(0))
    return call.squeeze(call.input(0), sorted(call.axis(axis) for axis, size in enumerate(shape) if size == 1))


@lowers("ExpandDims", dtypes=ANY, placement=Expands())
def lower_expand_dims(call: Call) -> str:
    axis = call.value(1)
    if axis is not None and call.out_shape() is not None:
        return call.unsqueeze(call.input(0), [call.out_axis(int(axis.flat[0]))])
    return call.emit("Unsqueeze", call.input(0), from_ends(call, input_ints(call, 1).vector()).name)
