"""What a row of the table is: how one family of ops takes a map, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bnfold.fold.algebra import Affine
from bnfold.fold.exact import Exact
from bnfold.graph import Array, Graph, Node, Shape


@dataclass(frozen=True)
class Refused:
    """A map cannot go there, and why."""

    reason: str


Maps = Sequence[Affine | None]
"""The map on each input or output of an op; None: nothing has to change there."""


@dataclass(frozen=True)
class Passage:
    """A map goes through an op.

    Attributes
    ----------
    maps : sequence of Affine or None
        Backward: the map that each input has to take. Forward: the map that each output then carries.
    operands : mapping of int to ndarray
        Constant inputs that change with it, by position.
    op : str or None
        The op type it becomes (Pad → PadV2), if another.
    """

    maps: Maps
    operands: Mapping[int, Array] = field(default_factory=dict)
    op: str | None = None


@dataclass(frozen=True)
class Op:
    """One node, and what a row may ask about it."""

    node: Node
    graph: Graph
    exact: Exact

    def shape(self, position: int) -> Shape | None:
        """Static shape of an input."""
        return self.graph.shape_of(self.node.inputs[position])

    def shape_out(self, index: int = 0) -> Shape | None:
        return self.graph.shape_of(self.node.tensor(index))

    def constant(self, position: int) -> Array | None:
        """An input in float64 if it is a floating-point constant."""
        return self.exact.value(self.node.inputs[position])

    def integers(self, position: int) -> list[int] | None:
        """An input as a flat list if it is a constant of whole numbers."""
        source = self.exact.source(self.node.inputs[position])
        if source is None:
            return None
        value = np.asarray(source.attrs["value"])
        return [int(v) for v in value.reshape(-1)] if value.dtype.kind in "iu" else None

    @property
    def layout(self) -> str:
        """``NHWC`` or the like."""
        return str(self.node.attrs.get("data_format", "NHWC"))

    @property
    def channel_axis(self) -> int:
        return self.layout.index("C")

    def refuse(self, why: str) -> Refused:
        """``conv2 is a MaxPool, and <why>``."""
        return Refused(f"{self.node.name} is {_article(self.node.op)} {self.node.op}, and {why}")


def _article(word: str) -> str:
    return "an" if word[0] in "AEIOU" else "a"


Behind = Callable[[Op, Maps], "list[Passage] | Refused"]
Before = Callable[[Op, Maps], "Passage | Refused"]


@dataclass(frozen=True)
class Through:
    """A row: ops that let a map through.

    Attributes
    ----------
    name : str
        As fates and docs/folding.md name it.
    ops : tuple of str
    equations : tuple of str
        With ``s`` and ``t`` for scale and shift.
    condition : str
        When it holds.
    behind : callable
        (op, the map wanted on each output) → what each input has to take, as one or more ways to try in order.
    before : callable
        (op, the map missing from each input) → what is then missing from each output.
    """

    name: str
    ops: tuple[str, ...]
    equations: tuple[str, ...]
    condition: str
    behind: Behind
    before: Before


@dataclass(frozen=True)
class Linear:
    """A row: ops with a constant kernel that absorb a map.

    Attributes
    ----------
    name, ops, equations, condition : as in `Through`
    read : callable
        The kernel of an op, or why it has none that can change.
    """

    name: str
    ops: tuple[str, ...]
    equations: tuple[str, ...]
    condition: str
    read: Callable[[Op], Kernel | Refused]


@dataclass(frozen=True)
class Kernel:
    """Where a linear op keeps its kernel, and how maps enter it.

    Attributes
    ----------
    data, position : int
        Which input is the data, which the kernel.
    output_axis : int
        The channel axis of the output: where the bias goes.
    scale_output, scale_input : callable
        A map on the output or input → the factor for the kernel, or why there is none.
    respond : callable
        (kernel in float64, a map on the input) → what its shift gives at the output, of the output's rank.
    has_bias : bool
        Whether ONNX has a place for the bias in the op itself, so that adding one costs nothing.
    """

    data: int
    position: int
    output_axis: int
    scale_output: Callable[[Affine], Array | Refused]
    scale_input: Callable[[Affine], Array | Refused]
    respond: Callable[[Array, Affine], Array | Refused]
    has_bias: bool
