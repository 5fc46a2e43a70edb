"""Sliding windows: where TensorFlow's padding goes, with sizes known or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import LARGEST, Ints, joined, run_time_shape, sizes_of
from bnfold.export.kernels import widening
from bnfold.graph import DType


@dataclass(frozen=True)
class Window:
    """A window over the spatial axes, one item for each.

    Attributes
    ----------
    kernel : tuple of int
        A size may be None: it is known when the model runs.
    strides, dilations : tuple of int
    padding : {"SAME", "VALID", "EXPLICIT"}
    explicit : tuple of (int, int)
        Before and after, where the padding is explicit.
    """

    kernel: tuple[int | None, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: str
    explicit: tuple[tuple[int, int], ...] = ()

    @property
    def reach(self) -> list[int | None]:
        """How many elements the window spans, its gaps included."""
        return [None if k is None else (k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    @property
    def known_reach(self) -> list[int] | None:
        """`reach`, if all of it is known."""
        known = [reach for reach in self.reach if reach is not None]
        return known if len(known) == len(self.kernel) else None


def is_channels_first(call: Call) -> bool:
    return str(call.attr("data_format", "NHWC")).startswith("NC")


def spatial(call: Call, items: Sequence[Any]) -> tuple[Any, ...]:
    """Those of ``items``, one for each axis in the order of ``data_format``, that are of spatial axes."""
    return tuple(items[2:]) if is_channels_first(call) else tuple(items[1:-1])


def channels(call: Call, items: Sequence[Any]) -> Any:
    """That of ``items`` which is of the channel axis."""
    return items[1] if is_channels_first(call) else items[-1]


def channel_axis(call: Call) -> int:
    """TensorFlow's channel axis of the image."""
    return 1 if is_channels_first(call) else -1


def window_of(call: Call, kernel: Sequence[int | None], rank: int) -> Window:
    """The window of a convolution or pool with ``kernel``, from the node's attributes."""
    dilations = call.attr("dilations") or [1] * rank
    flat = call.attr("explicit_paddings") or [0] * (2 * rank)
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
    return Window(
        tuple(kernel),
        spatial(call, call.attr("strides")),
        spatial(call, dilations),
        call.attr("padding"),
        spatial(call, pairs),
    )


def same_pads(size: int, stride: int, reach: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis, before and after: the odd one goes after."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def known_pads(window: Window, sizes: Sequence[int | None]) -> list[tuple[int, int]] | None:
    """The padding of each axis as numbers, or None where it depends on a size that is not known."""
    if window.padding == "VALID":
        return [(0, 0)] * len(window.kernel)
    if window.padding == "EXPLICIT":
        return list(window.explicit)
    pads = []
    for size, stride, reach in zip(sizes, window.strides, window.reach, strict=True):
        if stride == 1 or reach == 1:
            size = stride  # then no size matters: any multiple of the stride gives the same padding
        if size is None or reach is None:
            return None
        pads.append(same_pads(size, stride, reach))
    return pads


def window_attrs(window: Window) -> dict[str, Any]:
    """What ONNX says of the window itself; a kernel whose sizes are not known speaks for itself."""
    return {
        "kernel_shape": None if None in window.kernel else list(window.kernel),
        "strides": list(window.strides),
    }


def padding_attrs(pads: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """ONNX' ``pads``, left out where all are zero."""
    if not any(map(any, pads)):
        return {}
    return {"pads": [before for before, _ in pads] + [after for _, after in pads]}


def runtime_pads(window: Window) -> dict[str, Any] | None:
    """``auto_pad``, where onnxruntime computes the same from the size as TensorFlow.

    It refuses dilations, and where the window is shorter than its stride its padding may become negative.
    """
    if set(window.dilations) != {1} or any(
        k is None or k < s for k, s in zip(window.kernel, window.strides, strict=True)
    ):
        return None
    return {"auto_pad": "SAME_UPPER"}


def computed_pads(call: Call, value: str, window: Window, kernel: Ints | None = None) -> tuple[Ints, Ints]:
    """SAME padding before and after each spatial axis of ``value`` (N, C, spatial…), from its size.

    ``kernel`` has the window's sizes where they are not known.
    """
    count = len(window.kernel)
    size = run_time_shape(call, value).entries(2, 2 + count)
    if (known := window.known_reach) is not None:
        reach = Ints(call, known)
    else:
        assert kernel is not None  # a pool's window is an attribute
        reach = (kernel - 1) * window.dilations + 1
    # ceil(size / stride) - 1 is (size - 1) // stride
    total = ((size - 1) // window.strides * window.strides + reach - size).at_least(0)
    return total // 2, total - total // 2


def pad_at_run_time(call: Call, value: str, fill: str, before: Ints, after: Ints) -> str:
    """``value`` (N, C, spatial…) with the computed padding around its spatial axes."""
    return call.emit("Pad", value, joined(call, [0, 0], before, [0, 0], after).name, fill)


def lowest(dtype: DType) -> Any:
    """What never wins a maximum."""
    return -np.inf if dtype.is_floating else np.iinfo(dtype.numpy or np.int64).min


def _from_first_window(call: Call, value: str, window: Window) -> str:
    """``value`` (N, C, spatial…) from where TensorFlow's first window begins.

    In volumes, windows that are shorter than their strides lie in the middle of what SAME gives them: where less is
    covered than there is, half of the rest comes before the first. In images all of it comes after the last.
    """
    reach = window.known_reach
    if window.padding != "SAME" or len(window.kernel) != _VOLUME or reach is None:
        return value
    if all(stride - long < 2 for stride, long in zip(window.strides, reach, strict=True)):
        return value
    axes = [2, 3, 4] if is_channels_first(call) else [1, 2, 3]
    size = sizes_of(call, 0, axes)
    rest = size - (size - 1) // window.strides * window.strides - reach
    skipped = rest.at_least(0) // 2
    if skipped.known is not None and not skipped.known.any():
        return value
    return call.emit("Slice", value, skipped.name, call.ints([LARGEST] * _VOLUME), call.ints([2, 3, 4]))


_VOLUME = 3


def slide(call: Call, op: str, window: Window, inputs: Sequence[str], fill: Any = 0, **attrs: Any) -> str:
    """Emit ``op`` with ``window`` over ``inputs[0]`` (N, C, spatial…), padded as TensorFlow pads.

    ``fill`` is what stands in the padding where it has to be a node of its own; ``inputs[1]``, if there is one, is a
    kernel (O, I, spatial…).
    """
    sizes = spatial(call, call.known_shape(0))
    inputs = [_from_first_window(call, inputs[0], window), *inputs[1:]]
    attrs |= window_attrs(window)
    if set(window.dilations) != {1}:
        attrs["dilations"] = list(window.dilations)
    if (pads := known_pads(window, sizes)) is not None:
        return call.widened(op, *inputs, **attrs, **padding_attrs(pads))
    if (automatic := runtime_pads(window)) is not None:
        return call.widened(op, *inputs, **attrs, **automatic)
    dtype = call.dtype()
    wide = widening(op, dtype) or dtype
    value, *others = (name if wide == dtype else call.cast(name, wide) for name in inputs)
    kernel = run_time_shape(call, others[0]).entries(2) if others else None
    padded = pad_at_run_time(call, value, call.scalar(fill, wide), *computed_pads(call, value, window, kernel))
    result = call.emit(op, padded, *others, **attrs)
    return result if wide == dtype else call.cast(result, dtype)
