"""Convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from bnfold.export.call import Call
from bnfold.export.carry import moved, selected
from bnfold.export.ints import counted, joined, run_time_shape, sizes_of
from bnfold.export.ops.window import channel_axis, channels, slide, window_of
from bnfold.export.placement import SPATIAL
from bnfold.export.table import FLOATS, lowers


@lowers("Conv2D", "Conv3D", dtypes=FLOATS, placement=SPATIAL)
@lowers("Conv1D", dtypes=FLOATS, placement=SPATIAL, origin="ExpandDims, Conv2D, Squeeze: a Conv of one axis")
def lower_conv(call: Call) -> str:
    """Kernel HWIO → OIHW; fewer input channels in the kernel than in the image make it a grouped convolution."""
    shape, rank = call.known_shape(1), call.rank(1)
    have, takes = channels(call, call.known_shape(0)), shape[-2]
    kernel = permuted_kernel(call, 1)
    if have is None or takes is None:
        return _convolve(call, _without_groups(call, kernel, rank), shape[:-2], 1)
    return _convolve(call, kernel, shape[:-2], have // takes if takes else 1)


def permuted_kernel(call: Call, index: int) -> str:
    """Input ``index``, a kernel (spatial…, I, O), as (O, I, spatial…)."""
    rank = call.rank(index)
    permutation = (rank - 1, rank - 2, *range(rank - 2))
    array = call.value(index)
    if array is not None:
        return call.constant(array.transpose(permutation), call.node.inputs[index])
    return call.transpose(call.input(index), permutation)


def _without_groups(call: Call, kernel: str, rank: int) -> str:
    """``kernel`` for all channels of the image, zero for those that are not of its group.

    ONNX wants the number of groups as an attribute, and it depends on a size that is not known.
    """
    takes, gives = (sizes_of(call, 1, [axis]) for axis in (rank - 2, rank - 1))
    have = sizes_of(call, 0, [channel_axis(call)])
    groups = have // takes
    times = joined(call, 1, groups, [1] * (rank - 2))
    repeated = moved(call, "Tile", [kernel, times.name], call.dtype(1))
    group_of_output = counted(call, 0, gives.scalar()) * groups // gives
    group_of_channel = counted(call, 0, have.scalar()) // takes
    ours = group_of_output.expanded(1).equals(group_of_channel.expanded(0))
    spread = call.unsqueeze(ours.name, range(2, rank))
    return selected(call, spread, repeated, call.scalar(0, call.dtype(1)), call.dtype(1))


@lowers("DepthwiseConv2dNative", dtypes=FLOATS, placement=SPATIAL)
@lowers(
    "DepthwiseConv1d",
    dtypes=FLOATS,
    placement=SPATIAL,
    origin="ExpandDims, DepthwiseConv2dNative, Squeeze: a grouped Conv of one axis",
)
def lower_depthwise_conv(call: Call) -> str:
    """Kernel HWCM → (C·M)1HW, one group for each channel."""
    have = channels(call, call.known_shape(0))
    have = call.known_shape(1)[-2] if have is None else have
    sizes = call.known_shape(1)[:-2]
    if have is None:
        return _convolve(call, _for_all_channels(call), sizes, 1)
    return _convolve(call, depthwise_kernel(call), sizes, have)


def depthwise_kernel(call: Call) -> str:
    """The kernel, spatial… × C × M, as C·M × 1 × spatial…"""
    *sizes, inputs, multiplier = call.known_shape(1)
    count = len(sizes)
    order = (count, count + 1, *range(count))
    array = call.value(1)
    if array is not None:
        turned = array.transpose(order)
        return call.constant(turned.reshape(-1, 1, *turned.shape[2:]), call.node.inputs[1])
    total = -1 if inputs is None or multiplier is None else inputs * multiplier
    kept = [0 if size is None else size for size in sizes]  # 0: as it is, which stands at the same place
    swapped = call.transpose(call.input(1), order)
    return swapped if multiplier == 1 else call.emit("Reshape", swapped, call.ints([total, 1, *kept]))


def _for_all_channels(call: Call) -> str:
    """The kernel as one without groups, zero for the other channels: their number is not known."""
    count = call.rank(1) - 2
    turned = call.transpose(call.input(1), (count, count + 1, *range(count)))
    shape = run_time_shape(call, turned)
    channel = counted(call, 0, shape[0])
    same = channel.reshaped([-1, 1, 1]).equals(channel)
    mask = call.unsqueeze(same.name, range(3, 3 + count))
    spread = selected(call, mask, call.unsqueeze(turned, [2]), call.scalar(0, call.dtype(1)), call.dtype(1))
    target = joined(call, -1, shape.entries(0, 1), shape.entries(2, 2 + count))
    return call.emit("Reshape", spread, target.name)


def _convolve(call: Call, kernel: str, kernel_shape: Sequence[int | None], groups: int) -> str:
    window = window_of(call, kernel_shape, call.rank(0))
    return slide(call, "Conv", window, [call.input(0), kernel], group=groups)
