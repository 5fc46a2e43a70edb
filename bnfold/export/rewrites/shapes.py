"""Static shapes of the If and While that were Switch and Merge: TensorFlow infers none from their functions."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from functools import reduce

from bnfold.errors import ExportError
from bnfold.export.bodies import CALLS, calls
from bnfold.export.loops import common_shape
from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.conditionals import UNTYPED
from bnfold.graph import Function, Graph, Node, Shape, TensorType, node_name
from bnfold.graph.evaluate import infer_types


@rewrites(order=-25)
def shapes_of_functions(graph: Graph, kept: Set[str]) -> None:
    """Outer ones first, since what they are called with tells about what is inside."""
    del kept
    if any(UNTYPED in node.attrs for node in graph):
        find_shapes(graph)


def find_shapes(graph: Graph) -> None:
    """Add to ``graph.types`` what is found out, If and While taken into account.

    Raises
    ------
    ExportError
        When TensorFlow refuses a branch or the body of a loop.
    """
    try:
        _add_types(graph)
        _find(graph, graph.functions)
    except ValueError as error:
        hint = "the graph is damaged, or --input gives a shape that a loop or branch of it does not take"
        raise ExportError(f"TensorFlow refuses the graph: {error}", hint=hint) from None


def _find(graph: Graph, library: dict[str, Function]) -> None:
    for node in graph.topological():
        if UNTYPED in node.attrs:
            shapes = _while(graph, node, library) if node.op.endswith("While") else _if(graph, node, library)
            graph.replace(node.with_attrs(output_shapes=shapes))
            _add_types(graph)


def _add_types(graph: Graph) -> None:
    for tensor, known in infer_types(graph).items():
        graph.types[tensor] = more_specific(graph.types.get(tensor), known)


def more_specific(before: TensorType | None, now: TensorType) -> TensorType:
    """What the two say together, if they do not contradict each other: else what is said ``now``."""
    if before is None or before.dtype != now.dtype or before.shape is None:
        return now
    if now.shape is None or len(now.shape) != len(before.shape):
        return before
    sizes = zip(before.shape, now.shape, strict=True)
    return TensorType(now.dtype, tuple(a if a is not None else b for a, b in sizes))


def _while(graph: Graph, node: Node, library: dict[str, Function]) -> list[Shape | None]:
    """Shapes that hold in every iteration."""
    shapes = {index: graph.shape_of(tensor) for index, tensor in enumerate(node.inputs)}
    while True:
        body = _set_shapes(library, node.attrs["body"].name, shapes)
        results = (body.graph.shape_of(tensor) for tensor in body.outputs)
        after = {index: common_shape(shapes[index], shape) for index, shape in enumerate(results)}
        if after == shapes:
            break
        shapes = after
    _set_shapes(library, node.attrs["cond"].name, shapes)
    return list(shapes.values())


def _if(graph: Graph, node: Node, library: dict[str, Function]) -> list[Shape | None]:
    first, _ = CALLS[node.op]
    before = {index: graph.shape_of(tensor) for index, tensor in enumerate(node.inputs[first:])}
    results: list[list[Shape | None]] = []
    for name in calls(node):
        typed = _set_shapes(library, name, before)
        results.append([typed.graph.shape_of(tensor) for tensor in typed.outputs])
    return [reduce(common_shape, shapes) for shapes in zip(*results, strict=True)]


def _set_shapes(library: dict[str, Function], name: str, shapes: dict[int, Shape | None]) -> Function:
    """Function ``name`` with arguments of these shapes; what it calls has been seen to as well."""
    function = library[name]
    graph = function.graph.copy()
    graph.functions = library
    for index, shape in shapes.items():
        argument = graph[node_name(function.inputs[index])]
        graph.replace(argument.with_attrs(shape=shape))
    graph.types = infer_types(graph)
    _find(graph, library)
    library[name] = replace(function, graph=graph)
    return library[name]
