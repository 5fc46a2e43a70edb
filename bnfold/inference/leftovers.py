"""What control flow and assertions leave unread: nobody's result, although nothing reads it."""

from __future__ import annotations

from collections.abc import Iterable

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.anatomy import in_loops

SWITCHES = frozenset({"Switch", "RefSwitch"})
MERGES = frozenset({"Merge", "RefMerge"})
CALLS = frozenset({"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"})
WATCHERS = frozenset({"Assert", "Print", "PrintV2", "StringFormat"})
"""Ops that read a tensor to say something of it."""


def find_leftovers(graph: Graph) -> set[str]:
    """The nodes that nothing reads and that control flow or an assertion made for itself, and the insides of loops."""
    found = in_loops(graph)
    unread = [node for node in graph if not graph.consumers(node.name)]
    inside = in_branches(graph) - found
    return found | {node.name for node in unread if node.name in inside or _is_leftover(graph, node)}


def in_branches(graph: Graph) -> set[str]:
    """The nodes in one branch of a conditional of TensorFlow 1: what they compute leaves it by a Merge, or never."""
    found: set[str] = set()
    if not any(node.op in SWITCHES for node in graph):
        return found
    sides: dict[str, frozenset[str]] = {}
    for node in graph.topological():
        if node.op in SWITCHES:
            around = sides.get(node.inputs[0], frozenset())
            for index in range(2):
                side = frozenset[str]() if _goes_round(graph, node) else {f"{node.inputs[1]} is {index}"}
                sides[node.tensor(index)] = around | side
            continue
        before = [sides.get(tensor, frozenset[str]()) for tensor in node.inputs]
        if node.op in MERGES:  # of a loop, what comes round is not known yet
            before = [sides[tensor] for tensor in node.inputs if tensor in sides]
        held = frozenset.intersection(*before) if node.op in MERGES and before else frozenset[str]().union(*before)
        sides.update((tensor, held) for tensor in graph.outputs_read(node.name) or [node.output])
        if held:
            found.add(node.name)
    return found


def _goes_round(graph: Graph, switch: Node) -> bool:
    predicate = graph.find_producer(switch.inputs[1])
    return predicate is not None and predicate.op == "LoopCond"


def fed_from(graph: Graph, tensors: Iterable[str]) -> set[str]:
    """The nodes that depend on ``tensors``: of a loop that does, all that it gives back; of a branch, its constants."""
    found = graph.descendants(tensors)
    enters = [node for node in graph if node.op in ("Enter", "RefEnter")]
    waiting = [node for node in graph if node.controls]
    while True:
        frames = {node.attrs["frame_name"] for node in enters if node.name in found}
        new = [node for node in enters if node.attrs["frame_name"] in frames and node.name not in found]
        new += [node for node in waiting if node.name not in found and not found.isdisjoint(node.controls)]
        if not new:
            return found
        found |= {node.name for node in new} | graph.descendants(node.output for node in new)


def _is_leftover(graph: Graph, node: Node) -> bool:
    return any(rule(graph, node) for rule in (_anchors, _echoes, _shadows, _guards))


def _anchors(graph: Graph, node: Node) -> bool:
    """Identities that exist so that control inputs can name one side of a Switch, or its predicate."""
    producer = graph.find_producer(node.inputs[0]) if node.op == "Identity" else None
    if producer is None or producer.op in SWITCHES:
        return producer is not None
    return any(reader.op in SWITCHES and reader.inputs[1] == node.inputs[0] for reader in graph.readers(node.inputs[0]))


def _echoes(graph: Graph, node: Node) -> bool:
    """TensorFlow puts an Identity in its own scope behind each result of a loop or branch, whether wanted or not."""
    producer = graph.find_producer(node.inputs[0]) if node.op == "Identity" else None
    return producer is not None and producer.op in CALLS and node.name.startswith(f"{producer.name}/")


def _shadows(graph: Graph, node: Node) -> bool:
    """A function with a gradient of its own, ``tf.nn.silu``: its result goes on in an IdentityN with its operands."""
    if node.op != "Identity":
        return False
    onward = [reader for reader in graph.readers(node.inputs[0]) if reader.op == "IdentityN"]
    operands = {tensor for reader in onward for tensor in reader.inputs} - {node.inputs[0]}
    return bool(operands) and not graph.ancestors([node.inputs[0]]).isdisjoint(map(node_name, operands))


def _guards(graph: Graph, node: Node) -> bool:
    """What an assertion runs in: it gives back a truth that nobody asked for."""
    if node.op == "Identity":
        producer = graph.find_producer(node.inputs[0])
        return producer is not None and producer.op in CALLS and _asserts(graph, producer)
    if node.op in CALLS:
        return _asserts(graph, node)
    return node.op == "Merge" and any(_follows_assertion(graph, tensor) for tensor in node.inputs)


def _asserts(graph: Graph, node: Node) -> bool:
    names = [node.attrs[attr].name for attr in ("then_branch", "else_branch") if attr in node.attrs]
    functions = [graph.functions[name] for name in names if name in graph.functions]
    return any(_follows_assertion(function.graph, t) for function in functions for t in function.outputs)


def _follows_assertion(graph: Graph, tensor: str) -> bool:
    """Is it an Identity of a bool that waits for an Assert?"""
    node = graph.find_producer(tensor)
    while node is not None and node.op == "Identity":
        if any((before := graph.get(name)) is not None and before.op == "Assert" for name in node.controls):
            return True
        node = graph.find_producer(node.inputs[0])
    return False
