"""The windows of an image side by side: patches, and windows whose size is known only when the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnfold.export.call import Call
from bnfold.export.carry import moved
from bnfold.export.ints import Ints, counted, joined, sizes_of
from bnfold.export.table import NUMBERS, lowers
from bnfold.graph import DType


@dataclass(frozen=True)
class Windows:
    """Windows over neighbouring axes, one entry for each.

    Attributes
    ----------
    sizes : Ints
        Of the axes.
    kernel, strides, rates : Ints
        What a window spans, how far it moves, and how far its places are apart.
    padding : {"SAME", "VALID"}
    centred : bool
        Where windows are shorter than their strides, does SAME leave out half of what lies between them at the start?
        Of volumes alone it does.
    """

    sizes: Ints
    kernel: Ints
    strides: Ints
    rates: Ints
    padding: str
    centred: bool = False

    def of(self, call: Call, value: str, first: int, *, dtype: DType | None = None, fill: str = "") -> str:
        """``value`` with each axis, from ``first`` on, as two: which window, and where in the window.

        The places of every window are picked by a Gather for each axis; ``fill`` is what stands in the padding.
        The value has the rank of input 0, and its dtype if it is not ``dtype``.
        """
        reach = (self.kernel - 1) * self.rates + 1
        axes = range(call.rank(0) - 2)
        total = Ints(call, [0 for _ in axes])
        skipped = total
        if self.padding == "SAME":
            total = (self.sizes - 1) // self.strides * self.strides + reach - self.sizes
            skipped = (-total).at_least(0) // 2 if self.centred else skipped
            total = total.at_least(0)
        before, rest = total // 2, [0] * (call.rank(0) - first - len(axes))
        pads = joined(call, [0] * first, before, rest, [0] * first, total - before, rest)
        if pads.known is None or pads.known.any():
            value = moved(call, "Pad", [value, pads.name, fill], dtype or call.dtype(), values=(0, 2))
        windows = (self.sizes + total - reach) // self.strides + 1
        for axis in axes:
            inside = counted(call, 0, self.kernel[axis]) * self.rates[axis]
            places = counted(call, 0, windows[axis]).expanded(1) * self.strides[axis] + inside + skipped[axis]
            value = call.emit("Gather", value, places.name, axis=first + 2 * axis)
        return value


def _spatial(items: Sequence[int], call: Call) -> Ints:
    return Ints(call, items[1:-1])


@lowers("ExtractImagePatches", "ExtractVolumePatches", dtypes=NUMBERS)
def lower_extract_patches(call: Call) -> str:
    """Each patch becomes the channels of one pixel."""
    rank = call.rank(0)
    count = rank - 2
    sizes = sizes_of(call, 0, range(1, rank - 1))
    rates = call.attr("rates") or [1] * rank
    windows = Windows(
        sizes,
        _spatial(call.attr("ksizes"), call),
        _spatial(call.attr("strides"), call),
        _spatial(rates, call),
        call.attr("padding"),
        centred=call.op == "ExtractVolumePatches",
    )
    value = windows.of(call, call.input(0), 1)
    value = call.transpose(value, [0, *range(1, 2 * count, 2), *range(2, 2 * count + 1, 2), 2 * count + 1])
    channels = sizes_of(call, 0, [rank - 1]) * windows.kernel.product()  # -1 is no size where the batch is empty
    return call.emit("Reshape", value, joined(call, [0] * (rank - 1), channels).name)
