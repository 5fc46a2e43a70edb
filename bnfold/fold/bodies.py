"""Folding inside the branches of an If or Case that stays: a batch norm there is a constant map as anywhere else.

A branch takes the weights of its ops as arguments. Those that are constants at the call become constants of the branch,
each call with branches of its own; then the branch is folded like a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bnfold.graph import Function, FunctionRef, Graph, Node, constant, node_name
from bnfold.graph.evaluate import with_types
from bnfold.graph.stages import Endpoint, Folded, Folding, InferenceGraph

BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "Case": ("branches",),
    "StatelessCase": ("branches",),
}
"""Op → the attributes that name its branches; its first input chooses one, the others are their arguments."""

Fold = Callable[[InferenceGraph], Folding]


def fold_branches(folding: Folding, fold: Fold) -> Folding:
    """``folding`` with the branches that its graph calls folded by ``fold``."""
    graph = folding.inference.graph
    calls = [node for node in graph if node.op in BRANCHES]
    if not calls:
        return folding
    graph = graph.copy()
    for node in calls:
        inner = _fold_call(graph, node, fold)
        others = [Folded(f"{node.name}/{each.name}", each.into, each.rule) for part in inner for each in part.others]
        folding = replace(
            folding,
            others=(*folding.others, *others),
            parameters_added=folding.parameters_added + sum(part.parameters_added for part in inner),
            largest_rounding=max([folding.largest_rounding, *(part.largest_rounding for part in inner)]),
        )
    pruned = graph.pruned([end.tensor for end in (*folding.inference.outputs, *folding.inference.inputs)])
    return replace(folding, inference=replace(folding.inference, graph=pruned))


def _fold_call(graph: Graph, node: Node, fold: Fold) -> list[Folding]:
    """Fold the branches of ``node``, in place; what became of each. Nothing changes if nothing folds."""
    references = [ref for key in BRANCHES[node.op] for ref in _listed(node.attrs[key])]
    arguments = node.inputs[1:]
    fixed = [position for position, tensor in enumerate(arguments) if _is_weight(graph, tensor)]
    inner = [fold(_branch(graph, graph.functions[ref.name], arguments, fixed)) for ref in references]
    if not any(part.others for part in inner):
        return []
    new = []
    for ref, part in zip(references, inner, strict=True):
        function = graph.functions[ref.name]
        name = graph.fresh_function_name(f"{ref.name}_folded")
        left = tuple(tensor for position, tensor in enumerate(function.inputs) if position not in fixed)
        graph.functions.update(part.inference.graph.functions)
        graph.functions[name] = Function(name, part.inference.graph, left, function.outputs)
        new.append(replace(ref, name=name))
    attrs = dict(node.attrs)
    for key in BRANCHES[node.op]:
        attrs[key] = new if isinstance(attrs[key], list) else new.pop(0)
    attrs["Tin"] = [dtype for position, dtype in enumerate(node.attrs["Tin"]) if position not in fixed]
    inputs = [node.inputs[0], *(tensor for position, tensor in enumerate(arguments) if position not in fixed)]
    graph.replace(replace(node, inputs=tuple(inputs), attrs=attrs))
    return inner


def _listed(value: FunctionRef | list[FunctionRef]) -> list[FunctionRef]:
    return value if isinstance(value, list) else [value]


def _is_weight(graph: Graph, tensor: str) -> bool:
    node = graph.find_producer(tensor)
    return node is not None and node.op == "Const" and bool(node.attrs["dtype"].is_floating)


def _branch(graph: Graph, function: Function, arguments: Sequence[str], fixed: Sequence[int]) -> InferenceGraph:
    """The body of ``function`` as a graph of its own, for a call with ``arguments``."""
    body = function.graph.copy()
    body.functions = dict(graph.functions)
    for position, (inside, outside) in enumerate(zip(function.inputs, arguments, strict=True)):
        name = node_name(inside)
        if position in fixed:
            body.replace(constant(name, graph.value(outside)))
        else:
            body.replace(body[name].with_attrs(shape=graph.shape_of(outside)))
    typed = with_types(body)
    inputs = [tensor for position, tensor in enumerate(function.inputs) if position not in fixed]
    return InferenceGraph(typed, tuple(_end(typed, t) for t in inputs), tuple(_end(typed, t) for t in function.outputs))


def _end(graph: Graph, tensor: str) -> Endpoint:
    type_ = graph.types[tensor]
    return Endpoint(tensor, tensor, type_.dtype, type_.shape)
