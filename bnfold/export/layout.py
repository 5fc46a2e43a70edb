"""The layout of every value, chosen once for the whole graph before anything is lowered.

Some nodes have no choice: a convolution of NHWC images works channels first, a Reshape that mixes pixels and
channels works as TensorFlow does. The others have two forms (`Form`): TensorFlow's, and one that follows from their
neighbours. A value that is stored in one order and read in another costs a Transpose. Which form each node takes is a
minimum cut: the fewest Transposes, and among equals the smallest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from bnfold.export.minimum_cut import UNBOUNDED, MinimumCut
from bnfold.export.placement import (
    AS_TENSORFLOW,
    Form,
    Permutation,
    Permutes,
    Placement,
    Spatial,
    channels_first,
    inverse,
    normal,
)
from bnfold.export.table import find_row
from bnfold.graph import Graph, Node, Shape


@dataclass(frozen=True)
class NodeLayout:
    """The permutations in which a node reads its inputs and stores its outputs; None is TensorFlow's order."""

    inputs: tuple[Permutation | None, ...]
    outputs: Permutation | None = None


@dataclass
class Layouts:
    """What `choose` decided.

    Attributes
    ----------
    nodes : dict of str to NodeLayout
        By node name; a node that is not here reads and stores everything as TensorFlow does.
    stored : dict of str to Permutation
        By tensor name; a tensor that is not here is stored as TensorFlow has it.
    """

    nodes: dict[str, NodeLayout] = field(default_factory=dict)
    stored: dict[str, Permutation] = field(default_factory=dict)

    def of(self, node: Node) -> NodeLayout:
        return self.nodes.get(node.name) or NodeLayout((None,) * len(node.inputs))


def choose(graph: Graph, outputs: Collection[str] = (), *, free: Collection[str] = ()) -> Layouts:
    """The layout of every value of ``graph``.

    Parameters
    ----------
    graph : Graph
        With types.
    outputs : collection of str
        Tensors that are wanted as TensorFlow has them.
    free : collection of str
        Placeholder tensors that may be stored either way.
    """
    forms = _Forms(graph, free)
    taken = _cheapest(graph, forms, outputs) if forms.alternative else set()
    return _decided(graph, forms, taken)


# The forms of each node


class _Forms:
    """The other form of each node, where it has one: ``fixed`` for those that have no choice, else ``alternative``."""

    def __init__(self, graph: Graph, free: Collection[str]) -> None:
        self.graph = graph
        self.fixed: dict[str, Form] = {}
        self.alternative: dict[str, Form] = {}
        self.placements: dict[str, Placement] = {}
        for node in graph:
            self._place(node)
        if not self.fixed and not any(isinstance(p, Permutes) for p in self.placements.values()):
            return
        order = graph.topological()
        self._wanted: dict[str, Permutation] = {}  # by tensor, how its readers would have it
        self._offered: dict[str, Permutation] = {}  # by tensor, how its producer would store it
        for _ in range(2):  # once for the ways out of convolutions, once more for what hangs on the ways in
            for node in order:
                self._forwards(node)
            for node in reversed(order):
                self._backwards(node, free)

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
        """The permutation of a Transpose."""
        array = self.graph.value(node.inputs[1])
        return None if array is None else tuple(int(axis) % array.size for axis in array.flat)

    def data_inputs(self, node: Node) -> Iterator[str]:
        """The tensors that the node reads in its form, constants left out: they are permuted for nothing."""
        for index in self.placements[node.name].data_inputs(node):
            if index < len(node.inputs) and self.graph.value(node.inputs[index]) is None:
                yield node.inputs[index]

    def form(self, name: str, *, other: bool = True) -> Form:
        if name in self.fixed:
            return self.fixed[name]
        return self.alternative.get(name, _TENSORFLOW) if other else _TENSORFLOW

    def _forwards(self, node: Node) -> None:
        placement = self.placements[node.name]
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

    def _backwards(self, node: Node, free: Collection[str]) -> None:
        placement = self.placements[node.name]
        if isinstance(placement, Permutes):
            wanted, view = self._wanted.get(node.output), self.view(node)
            if view is not None and wanted is not None:
                self._wanted.setdefault(node.inputs[0], tuple(view[axis] for axis in wanted))
            return
        if node.name not in self.fixed and node.name not in self.alternative:
            wanted = self._wanted.get(node.output)
            if wanted is not None and node.output in free:
                self._take(node, Form(None, wanted))
            elif wanted is not None and (form := placement.form_storing(self.graph, node, wanted)):
                self._take(node, form)
        reads = self.form(node.name).reads
        if reads is not None:
            for tensor in self.data_inputs(node):
                shape = self.graph.shape_of(tensor)
                if shape is not None and len(shape) == len(reads):
                    self._wanted.setdefault(tensor, reads)

    def _take(self, node: Node, form: Form) -> None:
        if form != _TENSORFLOW:
            self.alternative[node.name] = form

    def _offer(self, node: Node) -> None:
        stores = self.form(node.name).stores
        if stores is not None:
            for tensor in self.graph.outputs_read(node.name):
                if len(self.graph.shape_of(tensor) or ()) == len(stores):
                    self._offered[tensor] = stores


_TENSORFLOW = Form(None, None)


def is_channels_last(node: Node) -> bool:
    return not str(node.attrs.get("data_format", "NHWC")).startswith("NC")


def seen_through(stored: Permutation | None, view: Permutation | None) -> Permutation | None:
    """How the result of ``Transpose(x, view)`` is stored when it is ``x`` itself, stored as ``stored``."""
    if view is None:
        return None
    back = inverse(view)
    return normal(back if stored is None else tuple(back[axis] for axis in stored))


# The choice


def _cheapest(graph: Graph, forms: _Forms, outputs: Collection[str]) -> set[str]:
    """The nodes that take their other form."""
    cut = MinimumCut()
    for node in graph:
        if isinstance(forms.placements[node.name], Permutes) or node.op == "Const":
            continue
        tensors = dict.fromkeys((*graph.outputs_read(node.name), *(t for t in _outputs_of(graph, node, outputs))))
        for tensor in tensors:
            _add_value(cut, graph, forms, node, tensor, outputs)
    return {str(node[1]) for node in cut.source_side() if isinstance(node, tuple) and node[0] == "node"}


def _outputs_of(graph: Graph, node: Node, outputs: Collection[str]) -> list[str]:
    found, index = [], 0
    while graph.type_of(node.tensor(index)) is not None:
        if node.tensor(index) in outputs:
            found.append(node.tensor(index))
        index += 1
    return found


def _add_value(
    cut: MinimumCut, graph: Graph, forms: _Forms, producer: Node, tensor: str, outputs: Collection[str]
) -> None:
    """Add what it costs to store ``tensor`` one way and read it another: one Transpose for all its readers."""
    shape = graph.shape_of(tensor)
    if shape is None or len(shape) < 2:
        return
    stored = [_fitting(forms.form(producer.name, other=other).stores, shape) for other in (False, True)]
    readers = list(_readers(graph, forms, tensor, outputs, tuple(range(len(shape)))))
    orders = (order for order in (*stored, *(want for _, wants in readers for want in wants)) if order is not None)
    order = next(orders, None)
    if order is None:
        return
    cost = _cost(shape, order, None)
    me = _node(producer.name, [_side(choice, order) for choice in stored])
    earlier, later = ("earlier", tensor), ("later", tensor)
    for reader, wants in readers:
        other = _node(reader, [_side(want, order) for want in wants])
        if me is None or other is None:
            table = [[_cost(shape, a, b) for b in wants] for a in stored]
            _add_table(cut, ("node", producer.name), ("node", reader), table)
            continue
        # Readers share a Transpose: `later` and `earlier` pay once if any of them differs from the producer.
        cut.add(other, later, UNBOUNDED)
        cut.add(earlier, other, UNBOUNDED)
    if me is not None:
        cut.add(later, me, cost)
        cut.add(me, earlier, cost)


def _side(order: Permutation | None, alternative: Permutation) -> int | None:
    """0 where ``order`` is TensorFlow's, 1 where it is ``alternative``, None where it is a third."""
    return 0 if order is None else 1 if order == alternative else None


def _node(name: str, sides: list[int | None]) -> str | tuple[str, str] | None:
    """The node of the cut that stands for a choice of sides: a free one, or an end for one that is made."""
    match sides:
        case [0, 1]:
            return "node", name
        case [0, 0]:
            return "sink"
        case [1, 1]:
            return "source"
    return None


def _readers(
    graph: Graph, forms: _Forms, tensor: str, outputs: Collection[str], seen: Permutation
) -> Iterator[tuple[str, list[Permutation | None]]]:
    """Who reads ``tensor``, directly or as what a Transpose makes of it, and in which order of *its* axes."""
    if tensor in outputs:
        yield "", [normal(seen), normal(seen)]
    for reader in graph.readers(tensor):
        placement = forms.placements[reader.name]
        view = forms.view(reader) if isinstance(placement, Permutes) else None
        if view is not None and tensor == reader.inputs[0]:
            yield from _readers(graph, forms, reader.output, outputs, tuple(seen[axis] for axis in view))
            continue
        in_form = tensor in set(forms.data_inputs(reader))
        wants: list[Permutation | None] = []
        for other in (False, True):
            reads = forms.form(reader.name, other=other).reads if in_form else None
            wants.append(normal(seen if reads is None or len(reads) != len(seen) else tuple(seen[a] for a in reads)))
        yield reader.name, wants


def _add_table(cut: MinimumCut, first: tuple[str, str], second: tuple[str, str], table: list[list[int]]) -> None:
    """Any cost of two choices, each 0 (TensorFlow's form) or 1, as far as a cut can express it."""
    (a, b), (c, d) = table
    # Written as a constant + what the first adds + what the second adds + what they add when only the second is 1.
    for node, cost in ((first, c - a), (second, d - c)):
        if cost > 0:
            cut.prefer_sink(node, cost)
        elif cost < 0:
            cut.prefer_source(node, -cost)
    if (both := b + c - a - d) > 0:
        cut.add(second, first, both)


_GRAIN = 1 << 20


def _cost(shape: Shape, stored: Permutation | None, wanted: Permutation | None) -> int:
    """One Transpose, plus less than another for its size, so that count comes first and size second.

    Where only axes of size 1 move it is a Reshape, which touches no element.
    """
    if stored == wanted:
        return 0
    own = tuple(range(len(shape)))
    if _wide(stored or own, shape) == _wide(wanted or own, shape):
        return _GRAIN // 256
    elements = 1
    for size in shape:
        elements *= 16 if size is None else size
    return _GRAIN + min(elements, _GRAIN // 64)


def _fitting(permutation: Permutation | None, shape: Shape) -> Permutation | None:
    return permutation if permutation is not None and len(permutation) == len(shape) else None


def _wide(permutation: Permutation, shape: Shape) -> list[int]:
    return [axis for axis in permutation if shape[axis] != 1]


# The result


def _decided(graph: Graph, forms: _Forms, taken: set[str]) -> Layouts:
    layouts = Layouts()
    for node in graph.topological():
        if isinstance(forms.placements[node.name], Permutes):
            stored = layouts.stored.get(node.inputs[0])
            seen = seen_through(stored, forms.view(node))
            layouts.nodes[node.name] = NodeLayout((stored, None), seen)
            if seen is not None:
                layouts.stored[node.output] = seen
            continue
        form = forms.form(node.name, other=node.name in taken)
        if form != _TENSORFLOW:
            _record(graph, node, form, forms.placements[node.name], layouts)
    return layouts


def _record(graph: Graph, node: Node, form: Form, placement: Placement, layouts: Layouts) -> None:
    data = placement.data_inputs(node)
    inputs = tuple(form.reads if index in data else None for index in range(len(node.inputs)))
    layouts.nodes[node.name] = NodeLayout(inputs, form.stores)
    index = 0
    while form.stores is not None and (known := graph.type_of(node.tensor(index))) is not None:
        if known.shape is not None and len(known.shape) == len(form.stores):
            layouts.stored[node.tensor(index)] = form.stores
        index += 1
