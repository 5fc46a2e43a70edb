"""The cheapest way to divide nodes into two sides, by maximum flow (Dinic)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

UNBOUNDED = 10**15


class MinimumCut:
    """Nodes to divide between a source's and a sink's side; each edge from the first to the second costs."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._edges: list[list[int]] = []  # [to, capacity left]; an edge and its reverse are 2k and 2k + 1
        self._leaving: list[list[int]] = []
        self.source = self._number("source")
        self.sink = self._number("sink")

    def _number(self, node: Hashable) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self._leaving)
            self._leaving.append([])
        return self._numbers[node]

    def add(self, before: Hashable, after: Hashable, cost: int) -> None:
        """``cost`` is due when ``before`` is on the source's side and ``after`` is on the sink's."""
        start, end = self._number(before), self._number(after)
        for a, b, capacity in ((start, end, cost), (end, start, 0)):
            self._leaving[a].append(len(self._edges))
            self._edges.append([b, capacity])

    def prefer_source(self, node: Hashable, cost: int) -> None:
        """``cost`` is due when ``node`` is on the sink's side."""
        self.add("source", node, cost)

    def prefer_sink(self, node: Hashable, cost: int) -> None:
        self.add(node, "sink", cost)

    def source_side(self) -> set[Hashable]:
        """The nodes on the source's side of the cheapest cut; of several, the one with the most nodes there."""
        while (levels := self._levels())[self.sink] >= 0:
            position = [0] * len(self._leaving)
            while self._augment(levels, position):
                pass
        below = self._reaching_sink()
        return {node for node, number in self._numbers.items() if number not in below}

    def _reaching_sink(self) -> set[int]:
        found = {self.sink}
        queue = deque(found)
        while queue:
            for edge in self._leaving[queue.popleft()]:
                to = self._edges[edge][0]
                if self._edges[edge ^ 1][1] and to not in found:
                    found.add(to)
                    queue.append(to)
        return found

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._leaving)
        levels[self.source] = 0
        queue = deque([self.source])
        while queue:
            node = queue.popleft()
            for edge in self._leaving[node]:
                to, capacity = self._edges[edge]
                if capacity and levels[to] < 0:
                    levels[to] = levels[node] + 1
                    queue.append(to)
        return levels

    def _augment(self, levels: list[int], position: list[int]) -> bool:
        """Send flow along one path of growing levels; without recursion, since networks are deep."""
        path: list[int] = []
        node = self.source
        while node != self.sink:
            if position[node] == len(self._leaving[node]):
                if not path:
                    return False
                node = self._edges[path.pop() ^ 1][0]
                position[node] += 1
                continue
            edge = self._leaving[node][position[node]]
            to, capacity = self._edges[edge]
            if capacity and levels[to] == levels[node] + 1:
                path.append(edge)
                node = to
            else:
                position[node] += 1
        flow = min(self._edges[edge][1] for edge in path)
        for edge in path:
            self._edges[edge][1] -= flow
            self._edges[edge ^ 1][1] += flow
        return True
