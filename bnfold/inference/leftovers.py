"""What control flow and assertions leave unread: nobody's result, although nothing reads it."""

from __future__ import annotations

from collections.abc import Iterable

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.anatomy import in_loops

SWITCHES = frozenset({"Switch", "RefSwitch"})
CALLS = frozenset({"While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"})
WATCHERS = frozenset({"Assert", "Print", "PrintV2", "StringFormat"})
"""Ops that read a tensor to say something of it."""


def find_leftovers(graph: Graph) -> set[str]:
    """The nodes that nothing reads and that control flow or an assertion made for itself, and the insides of loops."""
    found = in_loops(graph)
    for node in graph:
        if not graph.consumers(node.name) and _is_leftover(graph, node):
            found.add(node.name)
    return found


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
