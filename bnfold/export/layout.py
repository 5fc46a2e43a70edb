"""The layout of every value, chosen once for the whole graph before anything is lowered."""

from __future__ import annotations

from dataclasses import dataclass, field

from bnfold.export.placement import Permutation, Spatial, channels_first
from bnfold.export.table import find_row
from bnfold.graph import Graph, Node


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


def choose(graph: Graph) -> Layouts:
    """The layout of every value of ``graph``."""
    layouts = Layouts()
    for node in graph:
        row = find_row(node.op)
        if row is not None and isinstance(row.placement, Spatial) and is_channels_last(node):
            place_spatial(graph, node, row.placement, layouts)
    return layouts


def is_channels_last(node: Node) -> bool:
    return not str(node.attrs.get("data_format", "NHWC")).startswith("NC")


def place_spatial(graph: Graph, node: Node, placement: Spatial, layouts: Layouts) -> None:
    shape = graph.shape_of(node.output)
    if shape is None:
        return
    permutation = channels_first(len(shape))
    layouts.nodes[node.name] = NodeLayout(
        tuple(permutation if index in placement.data else None for index in range(len(node.inputs))), permutation
    )
    index = 0
    while (shape := graph.shape_of(node.tensor(index))) is not None:
        if len(shape) == len(permutation):
            layouts.stored[node.tensor(index)] = permutation
        index += 1
