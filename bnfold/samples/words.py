"""Words for inputs that are text: those that the graph itself knows, and others."""

from __future__ import annotations

from bnfold.graph import Graph, Node

NUMBERS = ("0", "-17", "3", "250", "8")
OTHERS = ("", "unheard of", "Two Words", "ünïcode", "a, b. c!")
MOST = 256


def words_of(graph: Graph, tensor: str) -> tuple[str, ...]:
    """Words to feed ``tensor``; numbers where it is read as one.

    The keys of lookup tables are constants of the graph.
    """
    if any(node.op == "StringToNumber" for node in _readers(graph, tensor)):
        return NUMBERS
    known: dict[str, None] = {}
    for node in graph:
        if node.op == "Const" and node.attrs["dtype"].name == "string" and node.attrs["value"].ndim == 1:
            known.update(dict.fromkeys(map(as_text, node.attrs["value"][:MOST])))
    return tuple(dict.fromkeys([*OTHERS, *list(known)[:MOST]]))


def as_text(item: bytes | str) -> str:
    return item.decode(errors="replace") if isinstance(item, bytes) else str(item)


def _readers(graph: Graph, tensor: str) -> list[Node]:
    """What reads ``tensor``, or what Identities and Reshapes make of it."""
    found = graph.readers(tensor)
    for node in found:
        if node.op in ("Identity", "Reshape"):
            found += graph.readers(node.output)
    return found
