"""What became of each batch norm, and of the constant maps that were none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bnfold.fold.plan import CONSTANT_MAP, Absorb, Compose, Merge, Move, Pass, Plan
from bnfold.fold.rules import LINEAR_OPS
from bnfold.fold.scene import Chain, Scene
from bnfold.graph.stages import BatchNorm, Fate, Folded, Kept


class Fates:
    """Notes fates while the engine works.

    Parameters
    ----------
    scene : Scene
        Its ``owner`` says which batch norm a node belongs to; nodes that are gone lose theirs.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.others: list[Folded] = []
        self._folded: dict[str, list[Folded]] = {}
        self._kept: dict[str, str] = {}

    def owners(self, nodes: Iterable[str]) -> list[str]:
        """The batch norms that ``nodes`` belong to, in order."""
        owner = self.scene.owner
        return list(dict.fromkeys(owner[name] for name in nodes if name in owner))

    def keep(self, norms: Iterable[str], reason: str) -> None:
        for norm in norms:
            self._kept[norm] = reason

    def fold(self, chain: Chain, plan: Plan) -> None:
        """``chain`` and the maps that ``plan`` merges with it are gone. To be called before the graph changes.

        A batch norm that was merged into a map without a name of its own lives on there.
        """
        into = tuple(dict.fromkeys(move.node for move in plan if isinstance(move, Absorb | Compose)))
        merged = [move.node for move in plan if isinstance(move, Merge)]
        staying = [move.node for move in plan if isinstance(move, Compose)]
        for name in staying:
            if name not in self.scene.owner and (norms := self.owners(merged)):
                self.scene.owner[name] = norms[-1]
        self._note((*chain.nodes, *merged), into, self._rows(plan), self.owners(staying))

    def compose(self, nodes: Sequence[str], into: str) -> None:
        """``nodes`` became part of the map that node ``into`` applies."""
        self._note(nodes, (into,), CONSTANT_MAP, self.owners([into]))

    def of_all(self, norms: Iterable[BatchNorm]) -> tuple[Fate, ...]:
        """The fates of ``norms``, once all is done."""
        staying = set(self.scene.owner.values())
        return tuple(self._of(norm, norm.name in staying) for norm in norms)

    def _of(self, norm: BatchNorm, stays: bool) -> Fate:
        if stays:
            return Kept(norm.name, self._kept.get(norm.name, "another map was folded into it"))
        if found := self._folded.get(norm.name):
            into = dict.fromkeys(node for each in found for node in each.into)
            rules = dict.fromkeys(each.rule for each in found)
            return Folded(norm.name, tuple(into), ", ".join(rules))
        return Kept(norm.name, self._kept.get(norm.name, self._why_no_map(norm)))

    def _why_no_map(self, norm: BatchNorm) -> str:
        graph = self.scene.graph
        nodes = [graph[name] for name in norm.nodes if name in graph]
        sources = (graph.find_producer(tensor) for node in nodes for tensor in node.inputs)
        if any(source is not None and source.op in ("Switch", "RefSwitch") for source in sources):
            return "it stands in one branch of a conditional, which hands it its statistics"
        return "no constant map is among its nodes: its statistics are computed"

    def _note(self, nodes: Iterable[str], into: tuple[str, ...], rule: str, staying: Sequence[str]) -> None:
        """``nodes`` are gone; the batch norms ``staying`` have others."""
        nodes = list(nodes)
        for norm in self.owners(nodes):
            if norm in staying:
                continue
            self._folded.setdefault(norm, []).append(Folded(norm, into, rule))
            self._kept.pop(norm, None)
        for name in nodes:
            if self.scene.owner.pop(name, None) is None and into and self._is_work(name):
                self.others.append(Folded(name, into, rule))

    def _is_work(self, name: str) -> bool:
        step = self.scene.step(self.scene.graph[name])
        return step is not None and not self.scene.is_free(step)

    def _rows(self, plan: Plan) -> str:
        rows = [row for move in plan if (row := self._row(move)) is not None]
        return " → ".join(dict.fromkeys(rows)) or "it changes nothing"

    def _row(self, move: Move) -> str | None:
        if isinstance(move, Absorb):
            return LINEAR_OPS[self.scene.graph[move.node].op].name
        if isinstance(move, Compose):
            return CONSTANT_MAP
        return move.row if isinstance(move, Pass) else None
