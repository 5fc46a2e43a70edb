"""Planning a move forward: what comes after a map takes it."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Literal

from bnfold.fold.algebra import Affine
from bnfold.fold.plan import CONSTANT_MAP, Absorb, Compose, Merge, Pass, Plan
from bnfold.fold.row import Passage, Refused
from bnfold.fold.rules import LINEAR_OPS, THROUGH_OPS
from bnfold.fold.scene import Chain, Scene
from bnfold.graph import Node

REACH = 200
"""Ops that one map may look at on its way: a bound on time, far above what networks need."""

Meeting = Literal["carry", "pass", "stop"]
"""What happens where the map meets another constant map: both are carried on as one, it passes the other, or the
other becomes their composition and nothing goes on."""


def plan_forward(chain: Chain, map_: Affine, scene: Scene, meeting: Meeting) -> Plan | Refused:
    """How the ops after ``chain`` could take ``map_``, or why they cannot.

    The map is taken off ``chain.y``; each op after it, in topological order, either absorbs what is missing from its
    inputs, or answers what is then missing from its outputs.
    """
    return _Forward(scene, meeting).spread(chain, map_)


class _Forward:
    def __init__(self, scene: Scene, meeting: Meeting) -> None:
        self.scene = scene
        self.meeting = meeting
        self.missing: dict[str, Affine] = {}
        self.front: list[tuple[float, str]] = []
        self.seen: set[str] = set()

    def spread(self, chain: Chain, map_: Affine) -> Plan | Refused:
        if refusal := self._miss(chain.y, map_):
            return refusal
        plan: Plan = ()
        while self.front:
            _, name = heappop(self.front)
            if name in self.seen:
                continue
            self.seen.add(name)
            if len(self.seen) > REACH:
                return Refused(f"more than {REACH} ops would have to change")
            moves = self._meet(self.scene.graph[name])
            if isinstance(moves, Refused):
                return moves
            plan += moves
        return plan or Refused(f"nothing reads {chain.y}")

    def _miss(self, tensor: str, map_: Affine) -> Refused | None:
        """Note that ``tensor`` now lacks ``map_``: its readers have to make up for it."""
        if map_.is_identity:
            return None
        if tensor in self.scene.outputs:
            return Refused(f"{tensor} is an output of the graph")
        self.missing[tensor] = map_
        for reader in self.scene.readers(tensor):
            if reader.name in self.seen:
                return Refused(f"{reader.name} comes both before and after it")
            heappush(self.front, (self.scene.position[reader.name], reader.name))
        return None

    def _meet(self, node: Node) -> Plan | Refused:
        if node.name in self.scene.protected:
            return Refused(f"{node.name} is to stay as it is")
        maps = [self.missing.get(tensor) for tensor in node.inputs]
        if node.op in LINEAR_OPS:
            return self._absorb(node, maps)
        if (step := self.scene.step(node)) is not None:
            return self._meet_map(node, step.map, self.missing[step.x])
        row = THROUGH_OPS.get(node.op)
        if row is None:
            return Refused(f"{node.name} is a {node.op}, which no map passes")
        passage = row.before(self.scene.op(node), maps)
        if isinstance(passage, Refused):
            return passage
        return self._out(node, passage) or (self._through(node, row.name, passage),)

    def _out(self, node: Node, passage: Passage) -> Refused | None:
        for index, map_ in enumerate(passage.maps):
            if map_ is not None and (refusal := self._miss(node.tensor(index), map_)):
                return refusal
        return None

    def _absorb(self, node: Node, maps: list[Affine | None]) -> Plan | Refused:
        kernel = self.scene.kernel(node)
        assert kernel is not None
        if isinstance(kernel, Refused):
            return kernel
        map_ = maps[kernel.data]
        if map_ is None or any(found is not None for i, found in enumerate(maps) if i != kernel.data):
            return Refused(f"{node.name} takes its kernel from there")
        factor = kernel.scale_input(map_)
        return factor if isinstance(factor, Refused) else (Absorb(node.name, map_, forward=True),)

    def _meet_map(self, node: Node, other: Affine, map_: Affine) -> Plan | Refused:
        if self.meeting == "stop":
            return (Compose(node.name, other.after(map_)),)
        if self.meeting == "carry":
            if node.output in self.scene.outputs:
                return Refused(f"{node.output} is an output of the graph")
            return self._miss(node.output, other.after(map_)) or (Merge(node.name),)
        passage = Passage([map_.past(other)])
        return self._out(node, passage) or (self._through(node, CONSTANT_MAP, passage),)

    def _through(self, node: Node, row: str, passage: Passage) -> Pass:
        changes = any(map_ is not None and not map_.is_identity for map_ in passage.maps)
        return Pass(node.name, row, passage, changes)
