"""Planning a move backward: what comes before a map takes it."""

from __future__ import annotations

from bnfold.fold.algebra import Affine
from bnfold.fold.plan import Absorb, Compose, Merge, Pass, Plan, Rewrite
from bnfold.fold.row import Maps, Refused
from bnfold.fold.rules import LINEAR_OPS, THROUGH_OPS
from bnfold.fold.scene import Chain, Scene
from bnfold.graph import Node, output_index

REACH = 100
"""Ops that one map may look at on its way: a bound on time and depth, far above what networks need."""


def plan_backward(chain: Chain, scene: Scene) -> Plan | Refused:
    """How the ops before ``chain`` could take its map, or why they cannot."""
    plan = _Backward(scene).trace(chain.x, chain.map, chain.nodes[0])
    return plan if isinstance(plan, Refused) else _met_once(plan)


def _met_once(plan: Plan) -> Plan | Refused:
    """``plan``, unless parts of the map come to one op by several ways: each part would be the whole to it."""
    met: set[str] = set()
    for move in plan:
        if move.node in met and not isinstance(move, Rewrite):
            return Refused(f"parts of the map meet at {move.node}")
        met.add(move.node)
    return plan


class _Backward:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.left = REACH

    def trace(self, tensor: str, wanted: Affine, reader: str) -> Plan | Refused:
        """Make ``tensor``, which ``reader`` reads, into ``wanted(tensor)``."""
        self.left -= 1
        if self.left < 0:
            return Refused(f"more than {REACH} ops would have to change")
        if wanted.is_identity:
            return ()
        if tensor in self.scene.outputs:
            return Refused(f"{tensor} is an output of the graph")
        if strangers := [node.name for node in self.scene.readers(tensor) if node.name != reader]:
            return Refused(f"{tensor.removesuffix(':0')} is also read by {_listed(strangers)}")
        node = self.scene.graph.find_producer(tensor)
        if node is None:
            return Refused(f"{tensor} is an input of the graph")
        if node.name in self.scene.protected:
            return Refused(f"{node.name} is to stay as it is")
        if node.op in LINEAR_OPS:
            return self._absorb(node, wanted)
        if (step := self.scene.step(node)) is not None:
            whole = wanted.after(step.map)
            beyond = self.trace(step.x, whole, node.name)
            return (Compose(node.name, whole),) if isinstance(beyond, Refused) else (Merge(node.name), *beyond)
        return self._pass(node, output_index(tensor), wanted)

    def _absorb(self, node: Node, wanted: Affine) -> Plan | Refused:
        kernel = self.scene.kernel(node)
        assert kernel is not None
        if isinstance(kernel, Refused):
            return kernel
        factor = kernel.scale_output(wanted)
        return factor if isinstance(factor, Refused) else (Absorb(node.name, wanted, forward=False),)

    def _pass(self, node: Node, index: int, wanted: Affine) -> Plan | Refused:
        row = THROUGH_OPS.get(node.op)
        if row is None:
            return Refused(f"{node.name} is a {node.op}, which no map passes")
        maps: list[Affine | None] = [None] * (int(node.attrs.get("num_split", 0)) or index + 1)
        maps[index] = wanted
        ways = row.behind(self.scene.op(node), maps)
        if isinstance(ways, Refused):
            return ways
        refusals = []
        for way in ways:
            inputs = self._inputs(node, way.maps)
            if not isinstance(inputs, Refused):
                return (Pass(node.name, row.name, way), *inputs)
            refusals.append(inputs)
        return refusals[0]

    def _inputs(self, node: Node, maps: Maps) -> Plan | Refused:
        """Every input of ``node`` takes its map."""
        asked: dict[str, Affine | None] = {}
        plan: Plan = ()
        for position, (tensor, wanted) in enumerate(zip(node.inputs, maps, strict=False)):
            if tensor in asked:
                if not _agree(asked[tensor], wanted):
                    return Refused(f"{node.name} reads {tensor} twice and would need it in two forms")
                continue
            asked[tensor] = wanted
            if wanted is None or wanted.is_identity:
                continue
            if self.scene.exact.value(tensor) is not None:
                plan += (Rewrite(node.name, position, wanted),)
                continue
            part = self.trace(tensor, wanted, node.name)
            if isinstance(part, Refused):
                return part
            plan += part
        return plan


def _agree(one: Affine | None, other: Affine | None) -> bool:
    return (one is None and other is None) or (one is not None and other is not None and one.equals(other))


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
