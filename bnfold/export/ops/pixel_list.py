"""Images as one list of pixels, to be looked up by image, row and column."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ints import Ints, joined, run_time_shape, sizes_of

HEIGHT, WIDTH = 1, 2


class PixelList:
    """The images of input 0 (N, height, width, channels), in TensorFlow's order.

    Attributes
    ----------
    sizes : Ints
        Height and width.
    """

    def __init__(self, call: Call, images: str) -> None:
        """``images`` is the ONNX value of input 0, of whatever dtype."""
        self.call = call
        self.sizes = sizes_of(call, 0, [HEIGHT, WIDTH])
        depth = call.known_shape(0)[3]
        channels = Ints(call, [depth]) if depth is not None else run_time_shape(call, images).entries(3, 4)
        self._pixels = call.emit("Reshape", images, joined(call, -1, channels).name)

    def at(self, image: Ints, rows: Ints, columns: Ints) -> str:
        """The pixels there; the three broadcast, and the channels are one axis more."""
        place = (image * self.sizes[0] + rows) * self.sizes[1] + columns
        return self.call.emit("Gather", self._pixels, place.name)
