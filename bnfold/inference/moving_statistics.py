"""Which variables keep the moving averages of which tensors, read off the ops that update them.

A training graph writes ``moving -= (moving - batch) * rate``, ``moving += rate * (batch - moving)`` or
``moving = moving * decay + batch * rate``, perhaps through a zero-debiased accumulator, perhaps under a cond, perhaps
with Bessel's correction on the variance. Whatever stands against the variable in that sum is the batch statistic
whose moving average the variable holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from bnfold.graph import Graph, Node, output_index
from bnfold.inference.scalars import is_rate, known_scalar
from bnfold.inference.variables import ASSIGNMENTS, TRANSPARENT, VARIABLE_OPS, source_of, variable_behind

SUMS = frozenset({"Add", "AddV2", "Sub", "AddN"})
PRODUCTS = frozenset({"Mul", "RealDiv", "Div", "DivNoNan"})
CHOICES = frozenset({"Merge", "RefMerge", "Select", "SelectV2"})
REDUCTIONS = frozenset({"Mean", "Sum"})
JOINS = frozenset({"Pack", "ConcatV2"})
DEPTH = 24
"""How many ops of arithmetic an update may have; theirs have some five."""


@dataclass(frozen=True)
class Update:
    """An op that keeps a moving average.

    Attributes
    ----------
    op : str
        Name of the assigning node.
    variable : str
    statistics : tuple of str
        The tensor averaged, then the tensors it was made of by scaling and reshaping alone, nearest first.
    accumulators : frozenset of str
        Variables the average passes through on its way (``biased`` of a zero-debiased average).
    rate : float or None
        By which each update moves the variable towards the statistic (1 − decay), where the graph holds it.
    is_average : bool
        Whether the variable keeps a part of its value; else it is set to the statistic.
    """

    op: str
    variable: str
    statistics: tuple[str, ...]
    accumulators: frozenset[str] = frozenset()
    rate: float | None = None
    is_average: bool = True


def find_updates(graph: Graph) -> tuple[Update, ...]:
    """The moving averages that ``graph`` keeps.

    Parameters
    ----------
    graph : Graph
        The whole training graph: updates are no ancestors of the outputs.
    """
    found = []
    assignments = {node.name: node for node in graph if node.op in ASSIGNMENTS and len(node.inputs) > 1}
    accumulators = _accumulators(graph, assignments.values())
    for node in assignments.values():
        variable = variable_behind(graph, node.inputs[0])
        if variable is None:
            continue
        keeps = _mentions(graph, node.inputs[1], variable.name)
        climb = _Climb(graph, variable.name, accumulators, blends=keeps)
        statistics = dict.fromkeys(climb.tensors(_averaged(graph, node, variable.name)))
        if statistics:
            passed = frozenset(climb.passed)
            is_average = bool(passed) or keeps
            found.append(Update(node.name, variable.name, tuple(statistics), passed, _rate(graph, node), is_average))
    return tuple(found)


def _rate(graph: Graph, node: Node) -> float | None:
    """The constant factor of ``(moving − batch) · rate``, the form in which TensorFlow's own layers update."""
    product = graph.find_producer(source_of(graph, node.inputs[1]))
    if ASSIGNMENTS[node.op] == "set" or product is None or product.op != "Mul":
        return None
    values = (known_scalar(graph, tensor) for tensor in product.inputs)
    return next((value for value in values if value is not None), None)


def _averaged(graph: Graph, node: Node, variable: str) -> list[str]:
    """The tensors that stand against ``variable`` in the value that ``node`` assigns to it."""
    value = node.inputs[1]
    if _mentions(graph, value, variable):
        return list(_against(graph, value, variable, DEPTH))
    return [value] if ASSIGNMENTS[node.op] == "set" else []


def _mentions(graph: Graph, tensor: str, variable: str, depth: int = DEPTH) -> bool:
    """Whether ``variable`` is a term of the arithmetic behind ``tensor``."""
    node = graph.find_producer(tensor)
    if node is None or depth == 0:
        return False
    if node.op in VARIABLE_OPS:
        return node.name == variable
    if node.op in TRANSPARENT:
        return _mentions(graph, node.inputs[0], variable, depth - 1)
    if node.op in SUMS | PRODUCTS | CHOICES:
        return any(_mentions(graph, t, variable, depth - 1) for t in node.inputs)
    return False


def _against(graph: Graph, tensor: str, variable: str, depth: int) -> Iterator[str]:
    """The other terms of the sums that ``variable`` is a term of.

    A term that mentions the variable itself comes before its own terms: a statistic may be computed from the
    variable (``sufficient_statistics`` with the moving mean as its shift).
    """
    node = graph.find_producer(tensor)
    if node is None or node.op in VARIABLE_OPS or depth == 0:
        return
    inputs = node.inputs[:1] if node.op in TRANSPARENT else node.inputs
    if node.op in SUMS or node.op in CHOICES:
        yield from (term for term in inputs if _holder(graph, term) != variable)
    for term in inputs:
        if _mentions(graph, term, variable):
            yield from _against(graph, term, variable, depth - 1)


def _holder(graph: Graph, tensor: str) -> str | None:
    variable = variable_behind(graph, tensor)
    return None if variable is None else variable.name


def _accumulators(graph: Graph, assignments: Iterable[Node]) -> dict[str, list[Node]]:
    """Assigning nodes by variable, initialisers left out: an average may be made of another variable's."""
    found: dict[str, list[Node]] = {}
    for node in assignments:
        variable = variable_behind(graph, node.inputs[0])
        if variable is not None and _mentions(graph, node.inputs[1], variable.name):
            found.setdefault(variable.name, []).append(node)
    return found


@dataclass(frozen=True)
class _Step:
    """A tensor on the way up, and what was undone since the start: roots taken less squares, constants added."""

    tensor: str
    roots: int = 0
    offsets: int = 0
    is_bare: bool = True
    """Whether only reads, reshapes, choices and the rate lie below: a variable found then is what is averaged."""

    @property
    def is_level(self) -> bool:
        return self.roots == 0 and self.offsets == 0


class _Climb:
    """From what is averaged up to what it was made of by scaling, reshaping and choosing, nearest first.

    Batch renormalisation of ``contrib`` averages ``sqrt(variance + epsilon)`` in one variable and assigns
    ``relu(average² − epsilon)`` to another: such a detour counts once every root is met by a square and every
    constant added by one taken away.

    Parameters
    ----------
    graph : Graph
    variable : str
        That the average is kept in.
    accumulators : mapping of str to list of Node
        Variable → what updates it by its own value.
    blends : bool
        Whether ``variable`` keeps a part of its value. In ``target = target · (1 − rate) + other · rate`` the
        variable ``other`` is averaged; what it is an average of itself belongs to ``other``.
    """

    def __init__(
        self, graph: Graph, variable: str, accumulators: Mapping[str, list[Node]], *, blends: bool = False
    ) -> None:
        self.graph = graph
        self.variable = variable
        self.accumulators = accumulators
        self.blends = blends
        self.passed: dict[str, None] = {}

    def tensors(self, starts: Iterable[str]) -> Iterator[str]:
        queue = deque(_Step(tensor) for tensor in starts)
        seen: set[str] = set()
        while queue:
            step = queue.popleft()
            node = self.graph.find_producer(step.tensor)
            if step.tensor in seen or node is None or node.op == "Const" or len(seen) > 4 * DEPTH:
                continue
            seen.add(step.tensor)
            holder = node if node.op in ASSIGNMENTS else variable_behind(self.graph, step.tensor)
            if holder is not None:
                if holder.op in ASSIGNMENTS or not step.is_bare:
                    queue.extend(replace(step, tensor=tensor) for tensor in self.through(holder))
                continue
            if step.is_level:
                yield step.tensor
            is_bare = step.is_bare and (node.op in TRANSPARENT or node.op in CHOICES or self.weighs(node))
            queue.extend(replace(above, is_bare=is_bare) for above in self.above(step, node))

    def weighs(self, node: Node) -> bool:
        """Whether ``node`` multiplies by the rate of a blend."""
        return self.blends and node.op == "Mul" and any(is_rate(self.graph, tensor) for tensor in node.inputs)

    def through(self, node: Node) -> list[str]:
        """What is averaged in the variable ``node``, or in the one that ``node`` assigns, if that is another one."""
        holder = node.name if node.op in VARIABLE_OPS else _holder(self.graph, node.inputs[0])
        if holder is None or holder == self.variable or holder in self.passed:
            return []
        averaged = [t for writer in self.accumulators.get(holder, ()) for t in _averaged(self.graph, writer, holder)]
        if averaged:
            self.passed[holder] = None
        return averaged

    def are_one(self, a: str, b: str) -> bool:
        """Whether two tensors hold the same numbers: a resource variable is read anew for each use."""
        holder = _holder(self.graph, a)
        return a == b or (holder is not None and holder == _holder(self.graph, b))

    def above(self, step: _Step, node: Node) -> list[_Step]:
        if node.op in TRANSPARENT or node.op == "Relu":
            return [replace(step, tensor=node.inputs[0])]
        if node.op == "Sqrt":
            return [replace(step, tensor=node.inputs[0], roots=step.roots + 1)]
        if node.op == "Square" or (node.op == "Mul" and self.are_one(*node.inputs)):
            return [replace(step, tensor=node.inputs[0], roots=step.roots - 1)]
        if len(towers := _of_towers(self.graph, node)) > 1:
            return [replace(step, tensor=tensor) for tensor in towers]
        if node.op in SUMS:
            terms = [t for t in node.inputs if self.graph.value(t) is None]
            sign = -1 if node.op == "Sub" else 1
            return [replace(step, tensor=terms[0], offsets=step.offsets + sign)] if len(terms) == 1 else []
        if node.op in PRODUCTS or node.op in CHOICES:
            return [replace(step, tensor=tensor) for tensor in node.inputs]
        if node.op in REDUCTIONS and _reduces_a_statistic(self.graph, node):
            return [replace(step, tensor=node.inputs[0])]
        return []


def _reduces_a_statistic(graph: Graph, node: Node) -> bool:
    """Whether ``node`` averages what is a batch statistic already (those of virtual batches)."""
    source = graph.find_producer(node.inputs[0])
    while source is not None and source.op in TRANSPARENT | CHOICES:
        source = graph.find_producer(source.inputs[-1] if source.op in CHOICES else source.inputs[0])
    return source is not None and source.op in REDUCTIONS


def _of_towers(graph: Graph, node: Node) -> list[str]:
    """The statistics that ``node`` puts together, if they are one of each tower: moments of one kind, of other data."""
    if node.op in REDUCTIONS and (joined := graph.find_producer(node.inputs[0])) is not None and joined.op in JOINS:
        node = joined
    elif node.op not in SUMS or node.op == "Sub":
        return []
    sources = [source_of(graph, tensor) for tensor in node.inputs[: node.attrs.get("N", len(node.inputs))]]
    kinds = {_kind(graph, tensor) for tensor in sources}
    return sources if len(kinds) == 1 and None not in kinds else []


def _kind(graph: Graph, tensor: str) -> tuple[object, ...] | None:
    """What kind of moment ``tensor`` is: the output of a fused op, a mean of data, or a mean of squared differences."""
    node = graph.find_producer(tensor)
    if node is not None and node.op.startswith("FusedBatchNorm"):
        return (node.op, output_index(tensor))
    if node is None or node.op not in REDUCTIONS:
        return None
    reduced = graph.find_producer(node.inputs[0])
    return (node.op, reduced is not None and reduced.op in ("SquaredDifference", "Square"))
