"""Flags that blend instead of branch: ``flag · batch + (1 − flag) · moving``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bnfold.graph import Array, Node
from bnfold.inference.variables import TRANSPARENT

SUMS = frozenset({"Add", "AddV2", "Sub", "AddN"})


@dataclass
class Blending:
    """Follows numbers that come from flags through the arithmetic of a graph.

    Only such numbers count: a factor 0 or 1 that the author wrote stays an op.

    Attributes
    ----------
    derived : dict of str to str
        Scalars computed from a flag → the flag.
    nothing : dict of str to str
        Tensors multiplied by a flag that is 0 → the flag. As a term of a sum they vanish.
    """

    values: Mapping[str, Array]
    stand_in: Callable[[str, str, str], None]
    derived: dict[str, str] = field(default_factory=dict)
    nothing: dict[str, str] = field(default_factory=dict)

    def follow(self, node: Node, inputs: tuple[str, ...]) -> None:
        """Take note of ``node``, which reads ``inputs``; what it gives may be one of them, or vanish."""
        flag = next((self.derived[t] for t in inputs if t in self.derived), None)
        if flag is not None and node.output in self.values:
            self.derived[node.output] = flag
        elif node.op == "Mul":
            self._follow_product(node, inputs)
        elif node.op in SUMS and len(inputs) == 2:
            self._follow_sum(node, inputs)
        elif node.op in TRANSPARENT and inputs[0] in self.nothing:
            self.nothing[node.output] = self.nothing[inputs[0]]

    def _follow_product(self, node: Node, inputs: tuple[str, ...]) -> None:
        for factor, other in (inputs, inputs[::-1]):
            if factor in self.nothing:
                self.nothing[node.output] = self.nothing[factor]
                return
            if factor in self.derived and self.values[factor].size == 1:
                number = float(self.values[factor].item())
                if number == 0:
                    self.nothing[node.output] = self.derived[factor]
                elif number == 1:
                    self.stand_in(node.output, other, self.derived[factor])
                return

    def _follow_sum(self, node: Node, inputs: tuple[str, ...]) -> None:
        first, second = inputs
        if second in self.nothing:
            self.stand_in(node.output, first, self.nothing[second])
        elif first in self.nothing and node.op != "Sub":
            self.stand_in(node.output, second, self.nothing[first])
