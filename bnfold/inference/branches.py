"""The body of a function put in the place of the node that calls it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bnfold.graph import Graph, node_name, output_index


@dataclass(frozen=True)
class Inlined:
    """The names of the new nodes, and the tensors that stand for the caller's outputs."""

    nodes: tuple[str, ...]
    results: tuple[str, ...]


def inline_branch(graph: Graph, caller: str, function: str) -> Inlined:
    """Replace node ``caller`` of ``graph`` by the body of ``function``, in place.

    The body's nodes are named ``caller/node``. Arguments are the caller's inputs after the predicate.
    """
    node = graph[caller]
    body = graph.functions[function]
    arguments = dict(zip(body.inputs, node.inputs[1:], strict=True))
    names: dict[str, str] = {}
    for inner in body.graph:
        if inner.output not in arguments:
            name = graph.fresh_name(f"{caller}/{inner.name}")
            while name in names.values():
                name = graph.fresh_name(f"{name}_1")
            names[inner.name] = name

    def outer(tensor: str) -> str:
        if tensor in arguments:
            return arguments[tensor]
        return f"{names[node_name(tensor)]}:{output_index(tensor)}"

    for inner in body.graph:
        if inner.name in names:
            inputs = tuple(outer(t) for t in inner.inputs)
            controls = tuple(names[c] for c in inner.controls if c in names) + node.controls
            graph.add(replace(inner, name=names[inner.name], inputs=inputs, controls=controls))
    results = tuple(outer(result) for result in body.outputs)
    for index, result in enumerate(results):
        graph.redirect(node.tensor(index), result)
    graph.remove(caller)
    return Inlined(tuple(names.values()), results)
