"""The layout of every value, chosen once for the whole graph before anything is lowered.

Some nodes have no choice: a convolution of NHWC images works channels first, a Reshape that mixes pixels and
channels works as TensorFlow does. The others have two forms (`Form`): TensorFlow's, and one that follows from their
neighbours. A value that is stored in one order and read in another costs a Transpose. Which form each node takes is a
minimum cut: the fewest Transposes, and among equals the smallest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from bnfold.export.forms import TENSORFLOW, Forms, seen_through, tensors_of
from bnfold.export.minimum_cut import UNBOUNDED, MinimumCut
from bnfold.export.placement import Follows, Form, Permutation, Permutes, Placement, normal
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
    wanted : mapping of str to Permutation or None
        How each output is to be handed out.
    """

    nodes: dict[str, NodeLayout] = field(default_factory=dict)
    stored: dict[str, Permutation] = field(default_factory=dict)
    wanted: Mapping[str, Permutation | None] = field(default_factory=dict)

    def of(self, node: Node) -> NodeLayout:
        return self.nodes.get(node.name) or NodeLayout((None,) * len(node.inputs))


def choose(graph: Graph, outputs: Collection[str] = (), *, images_first: Collection[str] = ()) -> Layouts:
    """The layout of every value of ``graph``.

    Parameters
    ----------
    graph : Graph
        With types.
    outputs : collection of str
        Tensors that are wanted from outside.
    images_first : collection of str
        Inputs and outputs to store channels first, where they are images: where convolutions or their like read
        or make them. All others are stored as TensorFlow has them.
    """
    forms = Forms(graph, outputs, images_first)
    wanted = {tensor: forms.offered(tensor) if tensor in images_first else None for tensor in outputs}
    taken = _cheapest(graph, forms, wanted) if forms.alternative else set()
    layouts = _decided(graph, forms, taken)
    layouts.wanted = wanted
    return layouts


# The choice


def _cheapest(graph: Graph, forms: Forms, outputs: Mapping[str, Permutation | None]) -> set[str]:
    """The nodes that take their other form."""
    cut = MinimumCut()
    for node in graph:
        placement = forms.placements[node.name]
        if isinstance(placement, Permutes) or node.op == "Const":
            continue
        if isinstance(placement, Follows) and placement.detour and node.name in forms.alternative:
            cut.prefer_sink(("node", node.name), int(placement.detour * _GRAIN))
        for tensor in tensors_of(graph, node):
            _add_value(cut, graph, forms, node, tensor, outputs)
    return {str(node[1]) for node in cut.source_side() if isinstance(node, tuple) and node[0] == "node"}


def _add_value(
    cut: MinimumCut, graph: Graph, forms: Forms, producer: Node, tensor: str, outputs: Mapping[str, Permutation | None]
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
    graph: Graph, forms: Forms, tensor: str, outputs: Mapping[str, Permutation | None], seen: Permutation
) -> Iterator[tuple[str, list[Permutation | None]]]:
    """Who reads ``tensor``, directly or as what a Transpose makes of it, and in which order of *its* axes."""
    if tensor in outputs:
        wanted = outputs[tensor]
        yield "", [normal(seen if wanted is None else tuple(seen[axis] for axis in wanted))] * 2
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

    Where only axes of size 1 move it is a Reshape, which touches no element, if one can say so: it names all sizes but
    one.
    """
    if stored == wanted:
        return 0
    own = tuple(range(len(shape)))
    if shape.count(None) <= 1 and _wide(stored or own, shape) == _wide(wanted or own, shape):
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


def _decided(graph: Graph, forms: Forms, taken: set[str]) -> Layouts:
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
        if form != TENSORFLOW:
            _record(graph, node, form, forms.placements[node.name], layouts)
    return layouts


def _record(graph: Graph, node: Node, form: Form, placement: Placement, layouts: Layouts) -> None:
    data = placement.data_inputs(node)
    inputs = tuple(form.reads if index in data else None for index in range(len(node.inputs)))
    layouts.nodes[node.name] = NodeLayout(inputs, form.stores)
    for tensor in tensors_of(graph, node):
        if form.stores is not None and len(graph.shape_of(tensor) or ()) == len(form.stores):
            layouts.stored[tensor] = form.stores
