"""The graph as the planners see it: which maps there are, who reads what, what must not change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnfold.fold.algebra import Affine, identity
from bnfold.fold.batch_norm import Step, read_step
from bnfold.fold.exact import Exact
from bnfold.fold.row import Kernel, Op, Refused
from bnfold.fold.rules import LINEAR_OPS
from bnfold.graph import Graph, Node

SHAPE_READERS = frozenset({"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"})
"""Ops that ask nothing of their input but its shape: a map before them does not matter."""

BIAS_OPS = frozenset({"BiasAdd", "BiasAddV1", "Add", "AddV2"})


@dataclass(frozen=True)
class Chain:
    """Neighbouring nodes that apply constant maps, each read by the next alone: together one map.

    Attributes
    ----------
    nodes : tuple of str
        In order. Cast to a wider type at the start and back at the end belong to it.
    x, y : str
        The tensor it reads and the tensor it gives.
    map : Affine
    """

    nodes: tuple[str, ...]
    x: str
    y: str
    map: Affine


class Scene:
    """The stage's own graph, with what the planners ask of it.

    Parameters
    ----------
    graph : Graph
        With types; edited by `surgery`.
    outputs : iterable of str
        Tensors that must keep their name and value.
    protected : iterable of str
        Nodes whose maps stay where they are.

    Attributes
    ----------
    owner : dict of str to str
        The batch norm that a node belongs to.
    position : dict of str to float
        Of each node in a topological order.
    """

    def __init__(self, graph: Graph, outputs: Iterable[str], protected: Iterable[str] = ()) -> None:
        self.graph = graph
        self.exact = Exact(graph)
        self.outputs = frozenset(outputs)
        self.protected = set(protected)
        self.owner: dict[str, str] = {}
        self._steps: dict[str, tuple[Node, Step | None]] = {}
        self.position: dict[str, float] = {node.name: i for i, node in enumerate(graph.topological())}

    def step(self, node: Node | None) -> Step | None:
        """The constant map that ``node`` applies, if it does and may be moved."""
        if node is None or node.name in self.protected:
            return None
        known = self._steps.get(node.name)
        if known is None or known[0] is not node:
            known = self._steps[node.name] = (node, read_step(self.graph, self.exact, node))
        return known[1]

    def op(self, node: Node) -> Op:
        return Op(node, self.graph, self.exact)

    def readers(self, tensor: str) -> list[Node]:
        """The readers of ``tensor`` that see its values."""
        return [reader for reader in self.graph.readers(tensor) if reader.op not in SHAPE_READERS]

    def only_reader(self, tensor: str) -> Node | None:
        """The node that alone sees ``tensor``; None for an output of the graph too."""
        readers = self.readers(tensor)
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    def kernel(self, node: Node) -> Kernel | Refused | None:
        """The kernel of a linear op, or why it has none; None for other ops."""
        row = LINEAR_OPS.get(node.op)
        return row.read(self.op(node)) if row else None

    def bias_of(self, linear: Node) -> Step | None:
        """The bias behind ``linear``: a constant shift that alone reads it."""
        step = self.step(self.only_reader(linear.output))
        return step if step is not None and step.map.is_shift else None

    def is_free(self, step: Step) -> bool:
        """Whether the runtime does ``step`` as the bias of the linear op before it."""
        producer = self.graph.find_producer(step.x)
        if producer is None or producer.op not in LINEAR_OPS or step.node.op not in BIAS_OPS:
            return False
        kernel = self.kernel(producer)
        if not isinstance(kernel, Kernel) or not kernel.has_bias or self.only_reader(step.x) is None:
            return False
        # A single number is an Add of its own in ONNX: the bias of a Conv has one for each channel.
        return step.node.op in ("BiasAdd", "BiasAddV1") or step.map.varying == {kernel.output_axis}

    def chain_ending_at(self, node: Node) -> Chain | None:
        """The longest chain whose last map is ``node``'s; None where ``node`` is no map, or not the last."""
        step = self.step(node)
        if step is None or self.step(self.only_reader(node.output)) is not None:
            return None
        steps = [step]
        while (before := self._before(steps[0])) is not None:
            steps.insert(0, before)
        map_ = identity(step.map.rank)
        for each in steps:
            map_ = each.map.after(map_)
        chain = Chain(tuple(each.node.name for each in steps), steps[0].x, node.output, map_)
        return self._with_casts(chain)

    def _before(self, step: Step) -> Step | None:
        producer = self.graph.find_producer(step.x)
        return self.step(producer) if self.only_reader(step.x) is not None else None

    def _with_casts(self, chain: Chain) -> Chain:
        """``chain`` with the Cast to a wider type before it and the Cast back after it, if it has both."""
        before, after = self.graph.find_producer(chain.x), self.only_reader(chain.y)
        if before is None or after is None or before.op != "Cast" or after.op != "Cast":
            return chain
        narrow, wide = before.attrs["SrcT"], before.attrs["DstT"]
        if not narrow.is_floating or after.attrs["DstT"] != narrow or narrow.numpy.itemsize >= wide.numpy.itemsize:
            return chain
        if self.only_reader(chain.x) is None:
            return chain
        return Chain((before.name, *chain.nodes, after.name), before.inputs[0], after.output, chain.map)
