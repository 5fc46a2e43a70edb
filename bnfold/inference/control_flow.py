"""Conditionals with a known predicate give way to the branch that is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bnfold.graph import Array, Graph, Node, node_name, output_index
from bnfold.inference.blending import Blending
from bnfold.inference.branches import inline_branch
from bnfold.inference.scalars import evaluate_scalar

SWITCHES = frozenset({"Switch", "RefSwitch"})
MERGES = frozenset({"Merge", "RefMerge"})
SELECTS = frozenset({"Select", "SelectV2"})
BRANCHING = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
BACK_EDGES = frozenset({"NextIteration", "RefNextIteration"})


def predicate_of(node: Node) -> str | None:
    """The tensor that decides which way conditional ``node`` goes; None for other ops."""
    if node.op in SWITCHES:
        return node.inputs[1]
    return node.inputs[0] if node.op in SELECTS or node.op in BRANCHING else None


@dataclass(frozen=True)
class Resolved:
    """A graph without the conditionals whose predicate is known.

    Attributes
    ----------
    graph : Graph
    guards : mapping of str to str
        Nodes that stood in, or read from, a resolved conditional → the tensor that was its predicate.
    renamed : mapping of str to str
        Outputs that a resolved conditional gave → the tensors that give them now.
    """

    graph: Graph
    guards: Mapping[str, str]
    renamed: Mapping[str, str]


def resolve(graph: Graph, known: Mapping[str, Array], outputs: Iterable[str] = ()) -> Resolved:
    """Take the branch that each known predicate selects, and drop the nodes that can never run.

    A node is dead when one of its data or control inputs is: TensorFlow 1 ties the constants of a branch to it by
    control inputs alone. A Merge is dead when all of its inputs are.

    Parameters
    ----------
    graph : Graph
    known : mapping of str to ndarray
        Values of training flags. Products with what follows from them are simplified too: some authors blend the
        statistics of the batch and the moving ones by arithmetic.
    outputs : iterable of str
        Tensors that must stay, under their names if they are output 0 of their nodes.
    """
    exits = {tensor: tensor for tensor in outputs}
    guards: dict[str, str] = {}
    while True:
        walk = _Walk(graph, known)
        walk.run()
        guards.update(walk.guards)
        before, graph = graph, walk.rebuilt()
        for tensor, now in exits.items():
            if now in walk.alias:
                exits[tensor] = _leave_exit(graph, before[node_name(now)], now, walk.alias[now])
        if not walk.taken:
            return Resolved(graph, guards, {tensor: now for tensor, now in exits.items() if tensor != now})
        for name, branch in walk.taken.items():
            caller = graph[name]
            inlined = inline_branch(graph, name, branch)
            guards.update(dict.fromkeys(inlined.nodes, caller.inputs[0]))
            for tensor, now in exits.items():
                if node_name(now) == name:
                    exits[tensor] = _leave_exit(graph, caller, now, inlined.results[output_index(now)])


def _leave_exit(graph: Graph, conditional: Node, tensor: str, source: str) -> str:
    """Put an Identity of ``source`` where ``tensor``, an output of the graph, was given by a conditional."""
    index = output_index(tensor)
    name = graph.fresh_name(conditional.name if index == 0 else f"{conditional.name}_{index}")
    dtype = conditional.attrs["T"] if "T" in conditional.attrs else conditional.attrs["Tout"][index]
    return graph.add(Node(name, "Identity", (source,), {"T": dtype})).output


@dataclass
class _Walk:
    """One pass over the graph in topological order.

    ``values``: small tensors whose value is known. ``alias``: tensors that another tensor stands for.
    ``dead``: nodes, and single outputs of a Switch, that never run → the predicate that killed them.
    """

    graph: Graph
    known: Mapping[str, Array]
    values: dict[str, Array] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)
    guards: dict[str, str] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)  # aliased tensor → predicate

    def __post_init__(self) -> None:
        self.values.update(self.known)
        self.blending = Blending(self.values, self.stand_in, {tensor: tensor for tensor in self.known})

    def run(self) -> None:
        for node in self.graph.topological(controls=True):
            self.visit(node)

    def visit(self, node: Node) -> None:
        if node.op in MERGES:
            self.visit_merge(node)
            return
        if (killer := self.killer(node)) is not None:
            self.dead[node.name] = killer
            return
        self.note_guard(node)
        if node.op in SWITCHES:
            self.visit_switch(node)
        elif node.op in SELECTS:
            self.visit_select(node)
        elif node.op in BRANCHING:
            self.visit_branching(node)
        else:
            inputs = self.resolved_inputs(node)
            evaluate_scalar(node, inputs, self.values)
            self.blending.follow(node, inputs)

    def resolved_inputs(self, node: Node) -> tuple[str, ...]:
        return tuple(self.alias.get(tensor, tensor) for tensor in node.inputs)

    def death(self, tensor: str) -> str | None:
        """The predicate that keeps ``tensor`` from ever being computed, or None."""
        return self.dead.get(tensor) or self.dead.get(node_name(tensor))

    def killer(self, node: Node) -> str | None:
        causes = [self.death(t) for t in node.inputs] + [self.dead.get(name) for name in node.controls]
        return next((cause for cause in causes if cause is not None), None)

    def note_guard(self, node: Node) -> None:
        found = [self.origin.get(t) for t in node.inputs] + [self.guards.get(name) for name in node.controls]
        guard = next((g for g in found if g is not None), None)
        if guard is not None:
            self.guards[node.name] = guard

    def stand_in(self, old: str, new: str, predicate: str) -> None:
        new = self.alias.get(new, new)
        self.alias[old] = new
        self.origin[old] = predicate
        if new in self.values:
            self.values[old] = self.values[new]

    def visit_switch(self, node: Node) -> None:
        data, predicate = self.resolved_inputs(node)
        if predicate not in self.values:
            if data in self.values:  # a flag handed into a branch is the same flag there
                self.values.update(dict.fromkeys((node.tensor(0), node.tensor(1)), self.values[data]))
            return
        taken = int(bool(self.values[predicate]))
        source = node.inputs[1]
        self.stand_in(node.tensor(taken), data, source)
        self.dead[node.tensor(1 - taken)] = source

    def visit_merge(self, node: Node) -> None:
        deaths = [self.death(tensor) for tensor in node.inputs]
        looping = any((p := self.graph.find_producer(t)) is not None and p.op in BACK_EDGES for t in node.inputs)
        if deaths[0] is not None if looping else all(d is not None for d in deaths):
            self.dead[node.name] = deaths[0] or ""
            return
        live = [index for index, cause in enumerate(deaths) if cause is None]
        if looping or len(live) != 1 or len(deaths) == 1:
            return
        cause = next(d for d in deaths if d is not None)
        self.stand_in(node.output, node.inputs[live[0]], cause)
        self.dead[node.tensor(1)] = cause

    def visit_select(self, node: Node) -> None:
        predicate, yes, no = self.resolved_inputs(node)
        value = self.values.get(predicate)
        if value is not None and value.size == 1 and (value.ndim == 0 or node.op == "Select"):  # SelectV2 broadcasts
            self.stand_in(node.output, yes if bool(value.item()) else no, node.inputs[0])

    def visit_branching(self, node: Node) -> None:
        value = self.values.get(self.resolved_inputs(node)[0])
        if value is None or value.size != 1:
            return
        if node.op.endswith("Case"):
            branches = node.attrs["branches"]
            index = int(value.item())
            self.taken[node.name] = branches[index if 0 <= index < len(branches) else -1].name
        else:
            self.taken[node.name] = node.attrs["then_branch" if bool(value.item()) else "else_branch"].name

    def rebuilt(self) -> Graph:
        """The live nodes, reading past the conditionals that are gone."""
        gone = {node_name(tensor) for tensor in self.alias}
        result = self.graph.copy()
        for node in self.graph:
            if node.name in self.dead or node.name in gone:
                result.remove(node.name)
                continue
            inputs = self.resolved_inputs(node)
            controls = tuple(name for name in node.controls if name not in gone and name not in self.dead)
            if inputs != node.inputs or controls != node.controls:
                result.replace(replace(node, inputs=inputs, controls=controls))
        return result
