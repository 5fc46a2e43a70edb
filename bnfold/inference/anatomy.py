"""Which part of a saved graph is what: gradients, updates, losses, labels, and the forward graph between them.

Everything here follows the dataflow. Names play no part: people rename scopes, and two libraries never agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bnfold.graph import FunctionRef, Graph, Node, node_name
from bnfold.inference.op_kinds import (
    COMBINERS,
    EMBEDDING,
    LINEAR,
    OPTIMIZER,
    PLACEHOLDERS,
    RANDOM,
    READS,
    SCALARS_ARE_TOLD_APART,
    SHAPE_ONLY,
    SINK,
    SUMMARY,
    UPDATE,
    VARIABLES,
    is_gradient_op,
    is_source,
)


@dataclass
class Anatomy:
    """What each node of a graph is for.

    Attributes
    ----------
    graph : Graph
    gradients : set of str
        Nodes that differentiate.
    trainable : set of str
        Variables that gradients update; every variable where there are no gradients.
    live : set of str
        Nodes that some value of the model, its losses or its metrics depends on.
    data : mapping of str to frozenset of str
        By node: the source tensors that its value depends on.
    weights : mapping of str to int
        By node: bit set of the trainable variables that its value depends on.
    layers : set of str
        Nodes that multiply data by weights.
    weighted : set of str
        Nodes whose value went through a layer.
    entries : set of str
        Nodes at which data comes in: placeholders and what pipelines hand over.
    labels : set of str
        Source tensors that reach no layer.
    """

    graph: Graph
    gradients: set[str] = field(default_factory=set)
    trainable: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    order: list[Node] = field(default_factory=list)
    data: dict[str, int] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    layers: set[str] = field(default_factory=set)
    weighted: set[str] = field(default_factory=set)
    sources: dict[str, int] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)
    labels: int = 0

    def data_of(self, tensor: str) -> int:
        """Bit set of the sources that ``tensor`` depends on."""
        bit = self.sources.get(tensor)
        return bit if bit is not None else self.data.get(node_name(tensor), 0)

    def readers(self, node: Node) -> list[Node]:
        """Nodes of the model, its losses and its metrics that read the values of ``node``, not its shape alone."""
        found = self.graph.consumers(node.name)
        return [reader for reader in found if reader.name in self.live and reader.op not in SHAPE_ONLY]

    def before_layers(self) -> set[str]:
        """Names of the nodes with a layer behind them."""
        return self.graph.ancestors(tensor for name in self.layers for tensor in self.graph[name].inputs)

    def depends_on_label(self, name: str) -> bool:
        return bool(self.data.get(name, 0) & self.labels)

    def names(self, bits: int) -> Iterator[str]:
        """The source tensors in ``bits``."""
        return (tensor for tensor, bit in self.sources.items() if bit & bits)


def dissect(graph: Graph, *, trainable: Iterable[str] = ()) -> Anatomy:
    """Tell the parts of a saved graph apart.

    Parameters
    ----------
    graph : Graph
        As saved, training ops included.
    trainable : iterable of str
        Variables known to be trained, from the ``trainable_variables`` collection.
    """
    parts = Anatomy(graph, find_gradients(graph))
    parts.trainable = _trainable(graph, trainable)
    parts.live = graph.ancestors(f"{name}:0" for name in _value_sinks(parts))
    parts.order = [node for node in graph.topological() if node.name in parts.live]
    _propagate(parts)
    return parts


def in_loops(graph: Graph) -> set[str]:
    """The nodes between the Enter and the Exit of a loop, where there is no place for an input."""
    found: set[str] = set()
    stack = [node.output for node in graph if node.op in ("Enter", "RefEnter")]
    while stack:
        for reader in graph.readers(stack.pop()):
            if reader.op != "Exit" and reader.name not in found:
                found.add(reader.name)
                stack += graph.outputs_read(reader.name)
    return found | {node.name for node in graph if node.op in ("Enter", "RefEnter")}


def find_gradients(graph: Graph) -> set[str]:
    """Nodes that belong to a gradient: its seed, ops that exist to differentiate, and all that follows from them."""
    seeds = [node.name for node in graph if is_gradient_op(node.op)]
    seeds += [node.name for node in graph if _is_seed(node, graph)]
    tensors = [tensor for name in seeds for tensor in graph.outputs_read(name)]
    return {*seeds, *graph.descendants(tensors)}


def _is_seed(node: Node, graph: Graph) -> bool:
    """``tf.gradients`` starts from ``Fill(shape of the loss, 1)``; no layer ever fills a scalar with one."""
    if node.op != "Fill":
        return False
    shape, value = (graph.find_producer(tensor) for tensor in node.inputs)
    if value is None or value.op != "Const" or value.attrs["value"].size != 1 or value.attrs["value"].item() != 1:
        return False
    if any(part.startswith("grad_ys") for name in (node.name, value.name) for part in name.split("/")):
        return True  # what tf.gradients itself calls it, in whatever scope
    if shape is None or shape.op != "Const" or shape.attrs["value"].size:
        return False
    if any(reader.op in ("Select", "SelectV2") for reader in graph.readers(node.output)):
        return False  # tf.losses counts the examples of weight other than 0: where(weight == 0, 0, 1)
    return any(
        UPDATE.fullmatch(graph[name].op) or is_gradient_op(graph[name].op) for name in graph.descendants([node.output])
    )


def _trainable(graph: Graph, known: Iterable[str]) -> set[str]:
    found = {node_name(name) for name in known if node_name(name) in graph}
    found |= {node_name(node.inputs[0]) for node in graph if OPTIMIZER.fullmatch(node.op) and node.inputs}
    found = {name for name in found if name in graph and graph[name].op in VARIABLES}
    return found or {node.name for node in graph if node.op in VARIABLES}


def _value_sinks(parts: Anatomy) -> list[str]:
    graph = parts.graph

    def watches(reader: Node) -> bool:
        return SUMMARY.fullmatch(reader.op) is not None or SINK.fullmatch(reader.op) is not None

    sinks = []
    for node in graph:
        if node.name in parts.gradients or watches(node):
            continue
        if UPDATE.fullmatch(node.op):
            sinks += _tracked(node, parts)
            continue
        readers = [reader for reader in graph.consumers(node.name) if not watches(reader)]
        if not readers or (_is_total(node, graph) and all(_differentiates(reader, parts) for reader in readers)):
            sinks.append(node.name)
    return sinks


def _differentiates(reader: Node, parts: Anatomy) -> bool:
    return reader.name in parts.gradients or reader.op in SHAPE_ONLY


def _is_total(node: Node, graph: Graph) -> bool:
    """Whether ``node`` is a mean or sum, or arithmetic over those: a loss, if only gradients read it."""
    if node.op in ("Mean", "Sum"):
        return True
    if node.op not in ("Add", "AddV2", "AddN", "Sub", "Neg", "Mul"):
        return False
    terms = [graph.find_producer(tensor) for tensor in node.inputs]
    return all(term is not None and (term.op == "Const" or _is_total(term, graph)) for term in terms)


def _tracked(update: Node, parts: Anatomy) -> list[str]:
    """What a scalar variable is updated with: the moving average of a loss is often its only reader."""
    if OPTIMIZER.fullmatch(update.op) or len(update.inputs) < 2:
        return []
    variable = parts.graph.find_producer(update.inputs[0])
    value = node_name(update.inputs[1])
    if variable is None or variable.attrs.get("shape") != () or value in parts.gradients or value not in parts.graph:
        return []
    return [value]


def _propagate(parts: Anatomy) -> None:
    """Follow data and weights forward; loops make a second and third round necessary."""
    graph = parts.graph
    bits: Mapping[str, int] = {name: 1 << index for index, name in enumerate(sorted(parts.trainable))}
    parts.entries = {node.name for node in graph if is_source(node) and not _is_computed(node, graph)}
    for node in parts.order:
        if node.name in parts.entries or node.op in RANDOM:
            for tensor in graph.outputs_read(node.name) or [node.output]:
                parts.sources[tensor] = 1 << len(parts.sources)
    for node in parts.order:
        if node.op == "Const" and node.attrs["value"].ndim >= 2 and node.attrs["dtype"].is_floating:
            bits = {**bits, node.name: 1 << len(bits)} if not parts.trainable else bits
    changed = True
    while changed:
        changed = False
        for node in parts.order:
            changed |= _visit(node, parts, bits)
    reaching = 0
    for name in parts.layers:
        for tensor in graph[name].inputs:
            reaching |= parts.data_of(tensor)
    for node in parts.order:
        if COMBINERS.fullmatch(node.op) and node_name(node.inputs[0]) in parts.weighted:
            reaching |= parts.data[node.name]
    candidates = (bit for tensor, bit in parts.sources.items() if _may_be_label(graph.producer_of(tensor), graph))
    parts.labels = sum(candidates) & ~reaching


def _is_computed(node: Node, graph: Graph) -> bool:
    """Whether ``node``, a function of Python's perhaps, stands in the middle of a network."""
    before = graph.ancestors(node.inputs) if node.op not in PLACEHOLDERS else ()
    return any(graph[name].op in LINEAR for name in before)


def _may_be_label(node: Node, graph: Graph) -> bool:
    """Flags, temperatures and the masks of a dropout after the last layer reach no layer either: they are no labels."""
    if node.op in RANDOM:
        return False
    if node.op not in PLACEHOLDERS:
        return True
    shape = node.attrs.get("shape")
    if node.attrs["dtype"].name == "bool":
        return bool(shape)
    return shape != () or graph.producer < SCALARS_ARE_TOLD_APART


def _visit(node: Node, parts: Anatomy, bits: Mapping[str, int]) -> bool:
    name = node.name
    before = parts.data.get(name, 0), parts.weights.get(name, 0), name in parts.weighted
    inputs = node.inputs[:1] if node.op in ("Switch", "RefSwitch") else node.inputs
    if UPDATE.fullmatch(node.op) or node.op in SHAPE_ONLY or node.name in parts.entries or node.op in RANDOM:
        inputs = ()
    data = weights = 0
    for tensor in inputs:
        data |= parts.data_of(tensor)
        weights |= parts.weights.get(node_name(tensor), 0)
    parts.data[name] = data
    parts.weights[name] = weights | bits.get(name, 0)
    if data and _is_layer(node, parts):
        parts.layers.add(name)
    if name in parts.layers or any(node_name(tensor) in parts.weighted for tensor in inputs):
        parts.weighted.add(name)
    return before != (parts.data[name], parts.weights[name], name in parts.weighted)


def _is_layer(node: Node, parts: Anatomy) -> bool:
    if node.op in LINEAR or any(isinstance(value, FunctionRef) for value in node.attrs.values()):
        return any(not parts.data_of(t) and _holds_weights(t, parts) for t in node.inputs)
    if node.op in EMBEDDING:
        return not parts.data_of(node.inputs[0]) and bool(parts.weights.get(node_name(node.inputs[0])))
    return False


def _holds_weights(tensor: str, parts: Anatomy) -> bool:
    """Whether ``tensor`` is computed from what is trained, or is a variable or constant of several numbers."""
    if parts.weights.get(node_name(tensor)):
        return True
    node = parts.graph.find_producer(tensor)
    while node is not None and node.op in READS:
        node = parts.graph.find_producer(node.inputs[0])
    return node is not None and (node.op in VARIABLES or (node.op == "Const" and node.attrs["value"].size > 1))
