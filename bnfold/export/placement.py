"""How an op stands to the layout of its values: facts that the table states and `layout` acts on.

TensorFlow stores images as NHWC, ONNX' convolutions want NCHW. A value may be *stored* with its axes permuted
(a `Permutation`: stored axis ``i`` is TensorFlow's axis ``p[i]``); None is TensorFlow's own order.
"""

from __future__ import annotations

from dataclasses import dataclass

from bnfold.export import reshaping
from bnfold.export.flattening import is_flattened_for_products
from bnfold.graph import Graph, Node, Shape

Permutation = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """How a node could work: its data inputs and its outputs as stored; None is TensorFlow's order."""

    reads: Permutation | None
    stores: Permutation | None


@dataclass(frozen=True)
class Placement:
    """Base of the kinds. A kind without forms always reads and stores as TensorFlow does."""

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        """The inputs whose layout is the node's; the others are always read as TensorFlow has them."""
        return ()

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        """The form in which the node reads its data inputs as ``permutation``, if it has one."""
        return None

    def form_storing(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        """The form in which the node stores its outputs as ``permutation``, if it has one."""
        return None


@dataclass(frozen=True)
class AsTensorFlow(Placement):
    """Inputs and outputs are stored as TensorFlow has them."""


@dataclass(frozen=True)
class Spatial(Placement):
    """Wants channels first: ``data`` inputs and all outputs of their rank, unless ``data_format`` says they are.

    The lowering then sees N, C, then the spatial axes, always.
    """

    data: tuple[int, ...] = (0,)

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return self.data


@dataclass(frozen=True)
class Follows(Placement):
    """Works in whatever layout its neighbours have; its lowering goes through `Call.axis` and `Call.per_axis`.

    Attributes
    ----------
    data : tuple of int or None
        The inputs that share the layout of the outputs; None: all of them. Inputs of lower rank broadcast.
    constant : tuple of int
        Inputs (axes, paddings, sizes) that must be constants for the op to follow; read with `Call.value`.
    unset : tuple of str
        Attributes that must be 0 for the op to follow: the masks with which a slice changes the rank.
    detour : float
        What it costs to follow, in Transposes: ONNX may have one node for TensorFlow's order alone.
    """

    data: tuple[int, ...] | None = None
    constant: tuple[int, ...] = ()
    unset: tuple[str, ...] = ()
    detour: float = 0.0

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        indices = range(len(node.inputs)) if self.data is None else (i % len(node.inputs) for i in self.data)
        constants = {index % len(node.inputs) for index in self.constant}
        return tuple(index for index in indices if index not in constants)

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        if not self._can(graph, node) or not self._keeps_rank(graph, node, len(permutation)):
            return None
        return Form(permutation, permutation)

    form_storing = form_reading

    def _keeps_rank(self, graph: Graph, node: Node, rank: int) -> bool:
        """A Gather of one item takes an axis away, and is no op that follows; nor is what has an input of any rank."""
        if len(graph.shape_of(node.output) or ()) != rank:
            return False
        if self.data is None:
            return all(graph.shape_of(tensor) is not None for tensor in node.inputs)
        return all(len(graph.shape_of(node.inputs[i]) or ()) == rank for i in self.data)

    def _can(self, graph: Graph, node: Node) -> bool:
        if any(node.attrs.get(name) for name in self.unset):
            return False
        return all(graph.value(node.inputs[index]) is not None for index in self.constant)


@dataclass(frozen=True)
class Drops(Placement):
    """Takes axes away: reductions and Squeeze.

    Attributes
    ----------
    axes : int or str
        The input, or the attribute, that says which (none named: all of size 1).
    keep : str or None
        The attribute with which the axes stay, as size 1.
    """

    axes: int | str
    keep: str | None = None

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return (0,)

    def dropped(self, graph: Graph, node: Node, rank: int) -> set[int] | None:
        if isinstance(self.axes, int):
            array = graph.value(node.inputs[self.axes])
            return None if array is None else {int(axis) % rank for axis in array.flat}
        named = node.attrs.get(self.axes)
        if named:
            return {int(axis) % rank for axis in named}
        shape = graph.shape_of(node.inputs[0]) or ()
        return None if None in shape else {axis for axis, size in enumerate(shape) if size == 1}

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        dropped = self.dropped(graph, node, len(permutation))
        if dropped is None:
            return None
        if self.keep and node.attrs.get(self.keep):
            return Form(permutation, permutation)
        return Form(permutation, reshaping.without_axes(permutation, dropped))

    def form_storing(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        shape = graph.shape_of(node.inputs[0])
        if shape is None:
            return None
        candidate = channels_first(len(shape))
        form = self.form_reading(graph, node, candidate) if len(shape) > 2 else None
        return form if form is not None and form.stores == permutation else None


@dataclass(frozen=True)
class Expands(Placement):
    """ExpandDims: a new axis where input 1 says."""

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return (0,)

    def form_storing(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        axis = graph.value(node.inputs[1])
        if axis is None:
            return None
        return Form(reshaping.without_axes(permutation, {int(axis.flat[0]) % len(permutation)}), permutation)

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        form = self.form_storing(graph, node, channels_first(len(permutation) + 1))
        return form if form is not None and form.reads == permutation else None


@dataclass(frozen=True)
class Reshapes(Placement):
    """Reshape: where each axis, or the factors of one, can be followed from input to output.

    Or where the result is flat, and what reads it can follow (`flattening`).
    """

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return (0,)

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        before, after = self._shapes(graph, node)
        stores = reshaping.carried(before, after, permutation)
        if stores is not None:
            return Form(permutation, normal(stores))
        return Form(permutation, None) if permutation[0] == 0 and is_flattened_for_products(graph, node) else None

    def form_storing(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        before, after = self._shapes(graph, node)
        reads = reshaping.carried(after, before, permutation)
        return None if reads is None else Form(normal(reads), permutation)

    def _shapes(self, graph: Graph, node: Node) -> tuple[Shape | None, Shape | None]:
        found: tuple[Shape, Shape] | None = node.attrs.get(STAND_INS)
        return found or (graph.shape_of(node.inputs[0]), graph.shape_of(node.output))


STAND_INS = "_stand_ins"
"""Attribute of a Reshape with several unknown sizes: its shapes before and after, a number for each of these."""


@dataclass(frozen=True)
class Permutes(Placement):
    """Transpose with a constant permutation: nothing moves, the result is the input seen otherwise."""

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return (0,)


@dataclass(frozen=True)
class Measures(Placement):
    """Reads input 0 in any order, and stores what has no layout: Shape, Size, Rank."""

    def data_inputs(self, node: Node) -> tuple[int, ...]:
        return (0,)

    def form_reading(self, graph: Graph, node: Node, permutation: Permutation) -> Form | None:
        return Form(permutation, None)


AS_TENSORFLOW = AsTensorFlow()
SPATIAL = Spatial()
FOLLOWS = Follows()
SLICES = Follows(data=(0,), constant=(1, 2, 3), unset=("shrink_axis_mask", "new_axis_mask"))


def channels_first(rank: int) -> Permutation:
    """The permutation N, C, spatial… of a channels-last value."""
    return (0, rank - 1, *range(1, rank - 1))


def inverse(permutation: Permutation) -> Permutation:
    return tuple(permutation.index(axis) for axis in range(len(permutation)))


def is_identity(permutation: Permutation | None) -> bool:
    return permutation is None or permutation == tuple(range(len(permutation)))


def normal(permutation: Permutation | None) -> Permutation | None:
    """``permutation``, or None when it is the identity."""
    return None if is_identity(permutation) else permutation
