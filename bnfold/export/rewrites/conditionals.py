"""TensorFlow 1's conditionals, Switch and Merge, become If; those of an index, _SwitchN and Merge, become Case.

Everything that a branch reads from around it comes through a Switch on the predicate; what its results are is read
by a Merge. So a branch is what lies between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from functools import partial

from bnfold.export.bodies import source
from bnfold.export.rewrites import rewrites
from bnfold.graph import DType, Function, FunctionRef, Graph, Node, TensorType, node_name, output_index
from bnfold.graph.dtypes import BOOL, INT32

SWITCHES = frozenset({"Switch", "RefSwitch", "_SwitchN"})
MERGES = frozenset({"Merge", "RefMerge"})

UNTYPED = "_untyped"
"""Private attribute of the If and While that are made here: their output_shapes are still to be found."""


SCALARS_HAVE_SHAPES = 24
"""In graphs written by older versions TensorFlow takes a Placeholder of shape () for one of unknown shape."""


@rewrites(order=-30)
def conditionals_as_functions(graph: Graph, kept: Set[str]) -> None:
    """Rewrite each Merge of two branches; one whose branches are not certain stays, and is refused."""
    if any(node.op in MERGES for node in graph) and rewrite_conditionals(graph):
        remove_unreachable(graph, kept)


def remove_unreachable(graph: Graph, kept: Iterable[str]) -> None:
    needed = graph.ancestors(kept)
    for name in [node.name for node in graph if node.name not in needed]:
        graph.remove(name)


@dataclass
class Branch:
    """What lies above one input of a Merge.

    Attributes
    ----------
    result : str
    nodes : dict of str to Node
    entries : dict of str to str
        Output of a Switch → the tensor that it lets through.
    predicates : set of (str, int)
        The predicates of those Switches, and which of their outputs is read.
    """

    result: str
    nodes: dict[str, Node] = field(default_factory=dict)
    entries: dict[str, str] = field(default_factory=dict)
    predicates: set[tuple[str, int]] = field(default_factory=set)


@dataclass
class Conditional:
    """Merges of one predicate or index, and for each of them the branches, in the order of what it may be."""

    predicate: str
    merges: list[Node] = field(default_factory=list)
    branches: list[tuple[Branch, ...]] = field(default_factory=list)

    @property
    def ways(self) -> int:
        return len(self.branches[0])


def rewrite_conditionals(graph: Graph) -> bool:
    """Put an If in the place of Merges, inner ones first; says whether there was any."""
    changed = False
    while (found := _innermost(graph)) is not None:
        _replace(graph, found)
        changed = True
    return changed


def _innermost(graph: Graph) -> Conditional | None:
    """The first conditional none of whose branches holds another, with all the Merges written for it."""
    found: Conditional | None = None
    for node in graph.topological():
        known = _branches(graph, node) if node.op in MERGES else None
        if known is None:
            continue
        predicate, branches = known
        if found is None:
            found = Conditional(predicate)
        elif not _belongs(node, predicate, branches, found):
            continue
        found.merges.append(node)
        found.branches.append(branches)
    return found


def _belongs(node: Node, predicate: str, branches: tuple[Branch, ...], found: Conditional) -> bool:
    same = predicate == found.predicate and len(branches) == found.ways and _scope(node) == _scope(found.merges[0])
    return same and not _reads(branches, found)


def _scope(node: Node) -> str:
    return node.name.rpartition("/")[0]


def _reads(branches: tuple[Branch, ...], found: Conditional) -> bool:
    """Does a branch depend on a Merge that is already part of the conditional?"""
    names = {merge.name for merge in found.merges}
    return any(names & {node_name(t) for t in branch.entries.values()} for branch in branches)


def _branches(graph: Graph, merge: Node) -> tuple[str, tuple[Branch, ...]] | None:
    """Predicate or index, and the branches for what it may be; None if this is no plain conditional."""
    sides: dict[int, Branch] = {}
    predicates: set[str] = set()
    unknown: list[Branch] = []
    for tensor in merge.inputs:
        branch = _branch(graph, tensor)
        if branch is None or len(branch.predicates) > 1:
            return None
        if not branch.predicates:
            unknown.append(branch)
            continue
        ((predicate, side),) = branch.predicates
        predicates.add(predicate)
        sides[side] = branch
    count = len(merge.inputs)
    if len(predicates) != 1 or len(sides) + len(unknown) != count:
        return None
    predicate = predicates.pop()
    if unknown and not _is_truth(graph, predicate):  # TensorFlow merges the branches of a Case in their order
        return predicate, tuple(branch for branch in map(partial(_branch, graph), merge.inputs) if branch is not None)
    missing = [side for side in range(count) if side not in sides]
    sides.update(zip(missing, unknown, strict=True))  # a branch of constants alone is the other one
    return predicate, tuple(sides[side] for side in range(count))


def _is_truth(graph: Graph, predicate: str) -> bool:
    known = graph.type_of(predicate)
    return known is None or known.dtype == BOOL


def _branch(graph: Graph, result: str) -> Branch | None:
    branch = Branch(result)
    stack = [result]
    while stack:
        tensor = stack.pop()
        node = graph.find_producer(tensor)
        if node is None or node.op in MERGES or node.op in ("Enter", "NextIteration"):
            return None
        if node.op in SWITCHES:
            branch.entries[tensor] = node.inputs[0]
            branch.predicates.add((source(graph, node.inputs[1]), output_index(tensor)))
        elif node.name not in branch.nodes:
            branch.nodes[node.name] = node
            stack.extend(node.inputs)
            branch.predicates |= _tied_to(graph, node)
    return branch


def _tied_to(graph: Graph, node: Node) -> set[tuple[str, int]]:
    """A branch's constants hang on its pivot by a control input."""
    found = set()
    for name in node.controls:
        pivot = graph.get(name)
        switch = graph.find_producer(pivot.inputs[0]) if pivot is not None and pivot.op == "Identity" else None
        if pivot is not None and switch is not None and switch.op in SWITCHES:
            found.add((source(graph, switch.inputs[1]), output_index(pivot.inputs[0])))
    return found


def _replace(graph: Graph, found: Conditional) -> None:
    entries = {data: None for pair in found.branches for branch in pair for data in branch.entries.values()}
    captured = list(entries)
    first = found.merges[0]
    dtypes = _dtypes(graph, found, captured)
    names = []
    truth = _is_truth(graph, found.predicate)
    for side in (1, 0) if truth else range(found.ways):
        suffix = ("false", "true")[side] if truth else str(side)
        function = _function(f"{first.name}/{suffix}", [way[side] for way in found.branches], captured, dtypes)
        function.graph.producer = max(graph.producer, SCALARS_HAVE_SHAPES)
        graph.functions[function.name] = function
        names.append(FunctionRef(function.name))
    attrs = {"Tin": dtypes, "Tout": [merge.attrs["T"] for merge in found.merges], "output_shapes": [], UNTYPED: True}
    attrs |= {"Tcond": BOOL, "then_branch": names[0], "else_branch": names[1]} if truth else {"branches": names}
    op = "If" if truth else "Case"
    name = graph.fresh_name(f"{first.name}/{op}")
    choice = graph.add(Node(name, f"Stateless{op}", (found.predicate, *captured), attrs))
    for index, merge in enumerate(found.merges):
        known = graph.type_of(merge.output)
        if known is not None:
            graph.types[choice.tensor(index)] = known
        _put(graph, merge, choice.tensor(index), found)


def _put(graph: Graph, merge: Node, value: str, found: Conditional) -> None:
    """The Merge as an alias of ``value``; its output 1 says which input came through."""
    if graph.readers(merge.tensor(1)) and _is_truth(graph, found.predicate):
        true_is = 1 if found.branches[found.merges.index(merge)][1].result == merge.inputs[1] else 0
        chosen = found.predicate
        if not true_is:
            opposite = Node(graph.fresh_name(f"{merge.name}/opposite"), "LogicalNot", (chosen,))
            chosen = graph.add(opposite).output
            graph.types[chosen] = TensorType(BOOL, ())
        index = graph.add(
            Node(
                graph.fresh_name(f"{merge.name}/index"),
                "Cast",
                (chosen,),
                {"SrcT": BOOL, "DstT": INT32, "Truncate": False},
            )
        )
        graph.types[index.output] = TensorType(INT32, ())
        graph.redirect(merge.tensor(1), index.output)
    graph.replace(Node(merge.name, "Identity", (value,), {"T": merge.attrs["T"]}))


def _dtypes(graph: Graph, found: Conditional, captured: list[str]) -> list[DType]:
    known = {}
    for pair in found.branches:
        for branch in pair:
            for output, data in branch.entries.items():
                known[data] = graph[node_name(output)].attrs["T"]
    return [known[data] for data in captured]


def _function(name: str, branches: list[Branch], captured: list[str], dtypes: list[DType]) -> Function:
    taken = {node_name for branch in branches for node_name in branch.nodes}
    arguments = {}
    body = Graph()
    for index, (data, dtype) in enumerate(zip(captured, dtypes, strict=True)):
        argument = f"captured_{index}"
        while argument in taken:
            argument += "_"
        arguments[data] = body.add(Node(argument, "Placeholder", attrs={"dtype": dtype, "shape": None})).output
    entries = {output: arguments[data] for branch in branches for output, data in branch.entries.items()}
    for branch in branches:
        for node in branch.nodes.values():
            if node.name not in body:
                inputs = tuple(entries.get(tensor, tensor) for tensor in node.inputs)
                body.add(Node(node.name, node.op, inputs, node.attrs))
    outputs = tuple(entries.get(branch.result, branch.result) for branch in branches)
    return Function(name, body, tuple(arguments.values()), outputs)
