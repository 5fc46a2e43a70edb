"""Whether a move is worth making: what the runtime has to do before and after it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bnfold.fold.algebra import Affine
from bnfold.fold.batch_norm import FUSED_OPS, is_fused_batch_norm
from bnfold.fold.exact import Exact
from bnfold.fold.forge import Forged
from bnfold.fold.plan import Compose, Merge, Plan
from bnfold.fold.scene import Chain, Scene
from bnfold.graph import Graph, Node

GROWTH = 0.25
"""Copies of shared kernels may add this part of the weights that the graph has, all folds together."""

SMALL = 1 << 16
"""Copies up to this many elements, all folds together, are made whatever the size of the graph."""


@dataclass(frozen=True)
class Work:
    """What constant maps cost at run time.

    Attributes
    ----------
    ops : int
        Nodes that the runtime executes for them. The bias of a convolution or matrix product is part of that op.
    passes : int
        Multiplications and additions per element: 2 for a batch norm, 1 for a Mul or an Add.
    """

    ops: int = 0
    passes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.ops + other.ops, self.passes + other.passes)

    def less_than(self, other: Work) -> bool:
        """Less of one, and no more of the other."""
        return self.ops <= other.ops and self.passes <= other.passes and self != other


def work_of_map(map_: Affine, fused: bool = False) -> Work:
    """The work of ``map_`` where it is written out: as one batch norm if ``fused``, else as a Mul and an Add."""
    passes = (not map_.is_shift) + (not map_.is_scale)
    return Work(1 if fused else passes, 2 if fused else passes)


def work_of_node(scene: Scene, node: Node) -> Work:
    if node.op == "Cast":
        return Work(1, 1)
    step = scene.step(node)
    if step is None or scene.is_free(step):
        return Work()
    return Work(1, 2 if is_fused_batch_norm(node) else 1)


def work_of_chain(chain: Chain, scene: Scene) -> Work:
    return sum((work_of_node(scene, scene.graph[name]) for name in chain.nodes), Work())


def work_before(chain: Chain, plan: Plan, scene: Scene) -> Work:
    """The work of the nodes that ``plan`` does away with or changes."""
    met = [scene.graph[move.node] for move in plan if isinstance(move, Merge | Compose)]
    return sum((work_of_node(scene, node) for node in met), work_of_chain(chain, scene))


def work_after(plan: Plan, forged: Sequence[Forged], scene: Scene) -> Work:
    """The work of the maps and biases that ``plan`` leaves."""
    total = Work()
    for move in plan:
        if isinstance(move, Compose):
            total += work_of_map(move.map, is_fused_batch_norm(scene.graph[move.node]))
    for each in forged:
        if each.bias is not None and not _takes_bias(each, scene):
            total += Work(1, 1)
    return total


def _takes_bias(each: Forged, scene: Scene) -> bool:
    """Whether the bias costs nothing: it is part of the op, or joins a bias that is there already."""
    if each.kernel.has_bias:
        return True
    return each.move.forward and scene.bias_of(scene.graph[each.move.node]) is not None


def copies(forged: Sequence[Forged], scene: Scene) -> int:
    """Elements of the shared kernels that ``forged`` would copy."""
    changed = [(each.tensor, each.new_kernel) for each in forged if each.new_kernel is not None]
    return sum(new.base.size for tensor, new in changed if is_shared(scene, tensor))


def is_shared(scene: Scene, tensor: str) -> bool:
    """Whether more than one node reads the constant behind ``tensor``, Identities seen through."""
    source = scene.exact.source(tensor)
    assert source is not None
    count, stack = 0, [source.output]
    while stack:
        current = stack.pop()
        if current in scene.outputs:
            return True
        for reader in scene.graph.readers(current):
            if reader.op == "Identity":
                stack.append(reader.output)
            else:
                count += reader.inputs.count(current)
    return count > 1


def is_part_of_another_op(chain: Chain, scene: Scene) -> bool:
    """Whether runtimes know the map as part of a larger op, which moving it would break up.

    So it is for the gamma and beta of a layer norm, behind a product or quotient of computed tensors or behind a batch
    norm that computes its statistics.
    """
    producer = scene.graph.find_producer(chain.x)
    if producer is None or producer.op not in ("Mul", "RealDiv", *FUSED_OPS):
        return False
    return scene.step(producer) is None and producer.name not in scene.protected


def hard_sigmoids(graph: Graph, exact: Exact) -> Iterator[str]:
    """The two maps in each ``relu6(x + 3) / 6``, which ONNX has as one op."""
    for node in graph:
        if node.op != "Relu6":
            continue
        first, readers = graph.find_producer(node.inputs[0]), graph.readers(node.output)
        last = readers[0] if len(readers) == 1 else None
        if first is None or last is None or len(graph.readers(first.output)) != 1:
            continue
        sixth = _has(exact, last, ("Mul",), 1 / 6) or _has(exact, last, ("RealDiv",), 6)
        if sixth and _has(exact, first, ("Add", "AddV2"), 3):
            yield from (first.name, last.name)


def _has(exact: Exact, node: Node, ops: tuple[str, ...], number: float) -> bool:
    """Whether ``node`` is one of ``ops`` and has ``number`` as an operand."""
    values = [exact.value(tensor) for tensor in node.inputs] if node.op in ops else []
    return any(v is not None and v.size == 1 and math.isclose(v.item(), number, rel_tol=1e-3) for v in values)
