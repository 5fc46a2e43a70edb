"""The forms that each node could take: TensorFlow's, and the one that follows from its neighbours."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bnfold.export.placement import (
    AS_TENSORFLOW,
    Form,
    Permutation,
    Permutes,
    Placement,
    Reshapes,
    Spatial,
    channels_first,
    inverse,
    normal,
)
from bnfold.export.table import find_row
from bnfold.graph import Graph, Node

TENSORFLOW = Form(None, None)


class Forms:
    """The other form of each node, where it has one: ``fixed`` for those that have no choice, else ``alternative``."""

    def __init__(self, graph: Graph, outputs: Collection[str], images_first: Collection[str]) -> None:
        self.graph = graph
        self._outputs = outputs
        self._wanted: dict[str, Permutation] = {}  # by tensor, how its readers would have it
        self._offered: dict[str, Permutation] = {}  # by tensor, how its producer would store it
        self._images: set[str] = set()  # tensors that convolutions and their like make, or that are made of such
        self.fixed: dict[str, Form] = {}
        self.alternative: dict[str, Form] = {}
        self.placements: dict[str, Placement] = {}
        for node in graph:
            self._place(node)
        if not self.fixed and not any(isinstance(p, Permutes) for p in self.placements.values()):
            return
        order = graph.topological()
        for _ in range(2):  # once for the ways out of convolutions, once more for what hangs on the ways in
            for node in order:
                self._forwards(node)
            for node in reversed(order):
                self._backwards(node, images_first)

    def _place(self, node: Node) -> None:
        row = find_row(node.op)
        placement = AS_TENSORFLOW if row is None else row.placement
        if isinstance(placement, Permutes) and self.view(node) is None:
            placement = AS_TENSORFLOW
        self.placements[node.name] = placement
        if isinstance(placement, Spatial) and is_channels_last(node):
            shape = self.graph.shape_of(node.output)
            if shape is not None and len(shape) > 2:
                self.fixed[node.name] = Form(channels_first(len(shape)), channels_first(len(shape)))

    def view(self, node: Node) -> Permutation | None:
        """The permutation of a Transpose; None where it is computed, or names an axis twice."""
        array = self.graph.value(node.inputs[1])
        if array is None:
            return None
        axes = tuple(int(axis) % array.size for axis in array.flat)
        return axes if len(set(axes)) == array.size else None

    def data_inputs(self, node: Node) -> Iterator[str]:
        """The tensors that the node reads in its form, constants left out: they are permuted for nothing."""
        for index in self.placements[node.name].data_inputs(node):
            if index < len(node.inputs) and self.graph.value(node.inputs[index]) is None:
                yield node.inputs[index]

    def offered(self, tensor: str) -> Permutation | None:
        """Channels first, if ``tensor`` is an image that its producer would store so."""
        permutation = self._offered.get(tensor) if tensor in self._images else None
        return permutation if permutation and permutation == channels_first(len(permutation)) else None

    def form(self, name: str, *, other: bool = True) -> Form:
        if name in self.fixed:
            return self.fixed[name]
        return self.alternative.get(name, TENSORFLOW) if other else TENSORFLOW

    def _forwards(self, node: Node) -> None:
        placement = self.placements[node.name]
        if node.name in self.fixed or any(tensor in self._images for tensor in node.inputs):
            self._images.update(tensors_of(self.graph, node))
        if isinstance(placement, Permutes):
            offered = seen_through(self._offered.get(node.inputs[0]), self.view(node))
            if offered is not None:
                self._offered[node.output] = offered
            return
        if node.name not in self.fixed and node.name not in self.alternative:
            for tensor in self.data_inputs(node):
                permutation = self._offered.get(tensor)
                if permutation is not None and (form := placement.form_reading(self.graph, node, permutation)):
                    self._take(node, form)
                    break
        self._offer(node)

    def _backwards(self, node: Node, images_first: Collection[str]) -> None:
        placement = self.placements[node.name]
        if isinstance(placement, Permutes):
            wanted, view = self._wanted.get(node.output), self.view(node)
            if view is not None and wanted is not None:
                self._wanted.setdefault(node.inputs[0], tuple(view[axis] for axis in wanted))
            return
        if node.name not in self.fixed and node.name not in self.alternative:
            wanted = self._wanted.get(node.output)
            is_input = wanted is not None and not node.inputs and node.output in images_first
            if wanted is not None and is_input and wanted == channels_first(len(wanted)):
                self.fixed[node.name] = Form(None, wanted)
            elif wanted is not None and (form := placement.form_storing(self.graph, node, wanted)):
                self._take(node, form)
        reads = self.form(node.name).reads
        if reads is not None:
            for tensor in self.data_inputs(node):
                shape = self.graph.shape_of(tensor)
                if shape is not None and len(shape) == len(reads):
                    self._wanted.setdefault(tensor, reads)

    def _take(self, node: Node, form: Form) -> None:
        """A flattened image that is an output of the model is wanted as TensorFlow has it."""
        flat = form.stores is None and isinstance(self.placements[node.name], Reshapes)
        if form != TENSORFLOW and not (flat and node.output in self._outputs):
            self.alternative[node.name] = form

    def _offer(self, node: Node) -> None:
        stores = self.form(node.name).stores
        if stores is not None:
            for tensor in tensors_of(self.graph, node):
                if len(self.graph.shape_of(tensor) or ()) == len(stores):
                    self._offered[tensor] = stores


def is_channels_last(node: Node) -> bool:
    return not str(node.attrs.get("data_format", "NHWC")).startswith("NC")


def seen_through(stored: Permutation | None, view: Permutation | None) -> Permutation | None:
    """How the result of ``Transpose(x, view)`` is stored when it is ``x`` itself, stored as ``stored``."""
    if view is None:
        return None
    back = inverse(view)
    return normal(back if stored is None else tuple(back[axis] for axis in stored))


def tensors_of(graph: Graph, node: Node) -> Iterator[str]:
    """The outputs of ``node``."""
    index = 0
    while graph.type_of(node.tensor(index)) is not None:
        yield node.tensor(index)
        index += 1
