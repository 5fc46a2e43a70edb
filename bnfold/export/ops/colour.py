"""Colours: contrast, hue, saturation, and the two ways of writing a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bnfold.export.call import Call
from bnfold.export.placement import Follows
from bnfold.export.table import FLOATS, lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32, FLOAT64

FIRST = Follows(data=(0,))


@dataclass
class Pixels:
    """Arithmetic on the channels of an image, each a tensor with one channel.

    Attributes
    ----------
    call : Call
    dtype : DType
        float32, or float64 for float64.
    """

    call: Call
    dtype: DType

    @staticmethod
    def of(call: Call) -> tuple[Pixels, list[str]]:
        """The three channels of input 0."""
        dtype = FLOAT64 if call.dtype() == FLOAT64 else FLOAT32
        value = call.input(0) if call.dtype() == dtype else call.cast(call.input(0), dtype)
        count = {"num_outputs": 3} if call.opset >= 18 else {}
        channels = call.emit_many("Split", value, axis=call.axis(-1), outputs=3, **count)  # type: ignore[arg-type]
        return Pixels(call, dtype), list(channels)

    def joined(self, channels: Sequence[str]) -> str:
        value = self.call.emit("Concat", *channels, axis=self.call.axis(-1))
        return value if self.call.out_dtype() == self.dtype else self.call.cast(value, self.call.out_dtype())

    def number(self, value: float) -> str:
        return self.call.scalar(value, self.dtype)

    def scalar_input(self, index: int) -> str:
        array = self.call.value(index)
        if array is not None:
            return self.number(float(array))
        value = self.call.input(index)
        return value if self.call.dtype(index) == self.dtype else self.call.cast(value, self.dtype)

    def add(self, a: str, b: str) -> str:
        return self.call.emit("Add", a, b)

    def sub(self, a: str, b: str) -> str:
        return self.call.emit("Sub", a, b)

    def mul(self, a: str, b: str) -> str:
        return self.call.emit("Mul", a, b)

    def div(self, a: str, b: str) -> str:
        return self.call.emit("Div", a, b)

    def where(self, condition: str, then: str, other: str) -> str:
        return self.call.emit("Where", condition, then, other)

    def positive(self, value: str) -> str:
        return self.call.emit("Greater", value, self.number(0))

    def unit(self, value: str) -> str:
        """``value`` cut to 0 … 1."""
        return self.call.emit("Clip", value, self.number(0), self.number(1))


@dataclass(frozen=True)
class Hue:
    """A pixel as its largest and smallest channel and its hue (0 … 1)."""

    hue: str
    largest: str
    spread: str


def hue_of(pixels: Pixels, rgb: Sequence[str]) -> Hue:
    """The hue is 0 for a grey pixel; of equal channels, red comes before green."""
    call, (red, green, blue) = pixels.call, rgb
    largest, smallest = call.emit("Max", *rgb), call.emit("Min", *rgb)
    spread = pixels.sub(largest, smallest)
    coloured = pixels.positive(spread)
    sixth = pixels.mul(pixels.where(coloured, spread, pixels.number(1)), pixels.number(6))
    hues = [
        pixels.add(pixels.div(pixels.sub(one, other), sixth), pixels.number(third / 3))
        for one, other, third in ((green, blue, 0), (blue, red, 1), (red, green, 2))
    ]
    from_green = pixels.where(call.emit("Equal", green, largest), hues[1], hues[2])
    hue = pixels.where(call.emit("Equal", red, largest), hues[0], from_green)
    hue = pixels.where(coloured, hue, pixels.number(0))
    hue = pixels.where(call.emit("Less", hue, pixels.number(0)), pixels.add(hue, pixels.number(1)), hue)
    return Hue(hue, largest, spread)


def shares(pixels: Pixels, hue: str) -> list[str]:
    """How far red, green and blue are from the smallest channel to the largest, for a hue."""
    call = pixels.call
    six = pixels.mul(hue, pixels.number(6))
    distance = [call.emit("Abs", pixels.sub(six, pixels.number(middle))) for middle in (3, 2, 4)]
    red = pixels.sub(distance[0], pixels.number(1))
    green, blue = (pixels.sub(pixels.number(2), d) for d in distance[1:])
    return [pixels.unit(share) for share in (red, green, blue)]


def from_hsv(pixels: Pixels, hue: str, saturation: str, value: str) -> list[str]:
    """channel = value · (1 - saturation · (1 - share))"""
    one = pixels.number(1)
    channels = []
    for share in shares(pixels, hue):
        missing = pixels.mul(saturation, pixels.sub(one, share))
        channels.append(pixels.mul(value, pixels.sub(one, missing)))
    return channels


def saturation_of(pixels: Pixels, hue: Hue) -> str:
    """spread / largest, 0 where the largest is not above 0."""
    bright = pixels.positive(hue.largest)
    quotient = pixels.div(hue.spread, pixels.where(bright, hue.largest, pixels.number(1)))
    return pixels.where(bright, quotient, pixels.number(0))


@lowers("RGBToHSV", dtypes=FLOATS, placement=FIRST)
def lower_rgb_to_hsv(call: Call) -> str:
    pixels, rgb = Pixels.of(call)
    hue = hue_of(pixels, rgb)
    return pixels.joined([hue.hue, saturation_of(pixels, hue), hue.largest])


@lowers("HSVToRGB", dtypes=FLOATS, placement=FIRST)
def lower_hsv_to_rgb(call: Call) -> str:
    pixels, hsv = Pixels.of(call)
    return pixels.joined(from_hsv(pixels, *hsv))


@lowers("AdjustSaturation", dtypes=("float32",), placement=FIRST)
def lower_adjust_saturation(call: Call) -> str:
    pixels, rgb = Pixels.of(call)
    hue = hue_of(pixels, rgb)
    saturation = pixels.unit(pixels.mul(saturation_of(pixels, hue), pixels.scalar_input(1)))
    return pixels.joined(from_hsv(pixels, hue.hue, saturation, hue.largest))


@lowers("AdjustHue", dtypes=("float32",), placement=FIRST)
def lower_adjust_hue(call: Call) -> str:
    """The smallest and the largest channel stay as they are."""
    pixels, rgb = Pixels.of(call)
    hue = hue_of(pixels, rgb)
    turned = pixels.add(hue.hue, pixels.scalar_input(1))
    turned = pixels.sub(turned, call.emit("Floor", turned))
    smallest = pixels.sub(hue.largest, hue.spread)
    return pixels.joined([pixels.add(smallest, pixels.mul(hue.spread, share)) for share in shares(pixels, turned)])


@lowers("AdjustContrastv2", dtypes=("float32",), placement=FIRST)
def lower_adjust_contrast(call: Call) -> str:
    """(x - mean) · factor + mean, the mean over the image, of each channel."""
    value = call.input(0)
    mean = call.reduce("ReduceMean", value, sorted([call.axis(-3), call.axis(-2)]), keepdims=True)
    apart = call.emit("Mul", call.emit("Sub", value, mean), call.input(1))
    return call.emit("Add", apart, mean)
