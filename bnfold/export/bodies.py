"""Functions of the TensorFlow graph lowered into bodies of ONNX nodes, or straight into the graph that calls them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bnfold.export.call import Call
from bnfold.export.scope import Scope
from bnfold.graph import Array, Function, Graph, Node, Shape, TensorType, node_name, output_index
from bnfold.graph.dtypes import BOOL

SAME = frozenset({"Identity", "StopGradient", "PreventGradient", "EnsureShape"})

CALLS: dict[str, tuple[int, tuple[str, ...]]] = {
    "If": (1, ("then_branch", "else_branch")),
    "StatelessIf": (1, ("then_branch", "else_branch")),
    "Case": (1, ("branches",)),
    "StatelessCase": (1, ("branches",)),
    "While": (0, ("cond", "body")),
    "StatelessWhile": (0, ("cond", "body")),
}
"""Op → its input that is argument 0 of its functions, and the attributes that name them."""


@dataclass
class Arguments:
    """What a function is lowered with, one item for each argument.

    Attributes
    ----------
    names : list of str
        ONNX values; "" for an argument that nothing needed reads.
    values : dict of int to ndarray
        Those that are constants.
    shapes : dict of int to Shape
        Those of which more is known than the function says.
    """

    names: list[str]
    values: dict[int, Array] = field(default_factory=dict)
    shapes: dict[int, Shape | None] = field(default_factory=dict)

    @staticmethod
    def of(call: Call, first: int) -> Arguments:
        """The inputs of a node from ``first`` on."""
        positions = range(first, call.arity)
        arguments = Arguments([call.input(position) for position in positions])
        for index, position in enumerate(positions):
            array = call.value(position)
            if array is not None:
                arguments.values[index] = array
            arguments.shapes[index] = call.shape(position)
        return arguments

    def lower(self, function: Function, scope: Scope) -> list[str]:
        """The values of ``function``'s results, computed in the empty ``scope``."""
        return scope.lower_function(function, self.names, values=self.values, shapes=self.shapes)


def inlined(call: Call, scope: Scope, function: Function, arguments: Arguments) -> list[str]:
    """The values of ``function``'s results, computed among the nodes of ``scope``."""
    inner = call.body("inlined")
    results = arguments.lower(function, inner)
    scope.onnx.nodes.extend(inner.onnx.nodes)
    scope.onnx.types.update(inner.onnx.types)
    return results


def result_type(scope: Scope, tensor: str) -> TensorType:
    """The type of ``tensor``, a result of the function that was lowered into ``scope``."""
    known = scope.graph.type_of(tensor)
    assert known is not None  # TensorFlow's type inference leaves none out
    return known


def source(graph: Graph, tensor: str) -> str:
    """The tensor that ``tensor`` is a copy of."""
    while (node := graph.find_producer(tensor)) is not None:
        if node.op == "IdentityN":
            tensor = node.inputs[output_index(tensor)]
        elif node.op in SAME:
            tensor = node.inputs[0]
        else:
            break
    return tensor


def parameter(function: Function, tensor: str) -> int | None:
    """Which argument of ``function`` its tensor ``tensor`` is a copy of, if any."""
    origin = source(function.graph, tensor)
    return function.inputs.index(origin) if origin in function.inputs else None


def needs(function: Function, outputs: Sequence[str]) -> set[int]:
    """The arguments that ``outputs`` depend on."""
    above = function.graph.ancestors(outputs)
    return {index for index, tensor in enumerate(function.inputs) if node_name(tensor) in above}


def truth(call: Call, index: int) -> str:
    """Input ``index`` as a bool scalar: TensorFlow takes any number, and what is not zero is true."""
    return call.input(index) if call.dtype(index) == BOOL else call.cast(call.input(index), BOOL)


def with_bodies(nodes: Iterable[Node], graph: Graph) -> Iterator[tuple[Node, Graph]]:
    """``nodes`` of ``graph``, and the nodes of the functions they call, each with the graph it is in."""
    ahead = [(node, graph) for node in reversed(list(nodes))]
    called: set[str] = set()
    while ahead:
        node, owner = ahead.pop()
        yield node, owner
        for name in calls(node):
            if name not in called:
                called.add(name)
                function = graph.functions[name]
                arguments = {node_name(tensor) for tensor in function.inputs}
                inside = function.graph.topological(function.outputs)
                ahead.extend((inner, function.graph) for inner in inside if inner.name not in arguments)


def calls(node: Node) -> Iterator[str]:
    """The names of the functions that ``node`` calls."""
    for attr in CALLS[node.op][1] if node.op in CALLS else ():
        value = node.attrs[attr]
        yield from (reference.name for reference in (value if isinstance(value, list) else [value]))
