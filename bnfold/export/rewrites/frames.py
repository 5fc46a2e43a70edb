"""TensorFlow 1's loops become While: Enter → Merge → Switch → body → NextIteration → Merge, and Switch → Exit."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from bnfold.export.rewrites import rewrites
from bnfold.export.rewrites.conditionals import (
    MERGES,
    SCALARS_HAVE_SHAPES,
    SWITCHES,
    UNTYPED,
    remove_unreachable,
    rewrite_conditionals,
)
from bnfold.graph import DType, Function, FunctionRef, Graph, Node, Shape, node_name

ENTERS = frozenset({"Enter", "RefEnter"})
EXITS = frozenset({"Exit", "RefExit"})
NEXTS = frozenset({"NextIteration", "RefNextIteration"})


@dataclass
class Variable:
    """Something that a loop carries along, or that it reads from outside.

    Attributes
    ----------
    initial : str
    inside : set of str
        The tensors that are its value in an iteration.
    following : str
        Its value in the next iteration; "" if it never changes.
    exits : list of Node
    """

    initial: str
    inside: set[str]
    following: str = ""
    exits: list[Node] = field(default_factory=list)


@dataclass
class Frame:
    """A loop.

    Attributes
    ----------
    name : str
    condition : str
    variables : list of Variable
    constants : dict of str to Node
        Constants that it reads, by the tensor that each is inside.
    """

    name: str
    condition: str
    variables: list[Variable]
    constants: dict[str, Node] = field(default_factory=dict)


@rewrites(order=-40)
def loops_as_functions(graph: Graph, kept: Set[str]) -> None:
    """Rewrite every loop, inner ones first."""
    frames = {node.attrs["frame_name"]: None for node in graph if node.op in ENTERS}
    if not frames:
        return
    remaining = list(frames)
    while remaining:
        name = next((name for name in remaining if _is_innermost(graph, name)), None)
        frame = _frame(graph, name) if name is not None else None
        if name is None or frame is None:
            return  # what is left of it is refused for lack of a lowering
        _replace(graph, frame)
        remaining.remove(name)
        remove_unreachable(graph, kept)


def _enters(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph if node.op in ENTERS and node.attrs["frame_name"] == name]


def _inside(graph: Graph, name: str) -> set[str]:
    """The nodes from the frame's Enters up to its Exits."""
    found = {node.name for node in _enters(graph, name)}
    stack = list(found)
    while stack:
        for reader in graph.consumers(stack.pop()):
            if reader.name not in found and reader.op not in EXITS:
                found.add(reader.name)
                stack.append(reader.name)
    return found


def _is_innermost(graph: Graph, name: str) -> bool:
    inside = (graph[node] for node in _inside(graph, name))
    return not any(node.op in ENTERS and node.attrs["frame_name"] != name for node in inside)


def _frame(graph: Graph, name: str) -> Frame | None:
    inside = _inside(graph, name)
    conditions = [graph[node].inputs[0] for node in inside if graph[node].op == "LoopCond"]
    if len(conditions) != 1:
        return None
    frame = Frame(name, conditions[0], [])
    for enter in _enters(graph, name):
        merges = [node for node in graph.readers(enter.output) if node.op in MERGES]
        constant = _constant_behind(graph, enter)
        if not merges and constant is not None:
            frame.constants[enter.output] = constant
        elif not merges:
            frame.variables.append(Variable(enter.inputs[0], {enter.output}))
        for merge in merges:
            if (variable := _variable(graph, enter, merge)) is None:
                return None
            frame.variables.append(variable)
    _add_strangers(graph, frame, inside)
    return frame


def _constant_behind(graph: Graph, node: Node | None) -> Node | None:
    """The Const that ``node`` brings into its frame, through the frames around it."""
    while node is not None and node.op in (*ENTERS, "Identity"):
        node = graph.find_producer(node.inputs[0])
    return node if node is not None and node.op == "Const" else None


def _variable(graph: Graph, enter: Node, merge: Node) -> Variable | None:
    others = [graph.find_producer(tensor) for tensor in merge.inputs if node_name(tensor) != enter.name]
    if len(others) != 1 or others[0] is None or others[0].op not in NEXTS:
        return None
    variable = Variable(enter.inputs[0], {merge.output}, others[0].inputs[0])
    for switch in graph.readers(merge.output):
        if switch.op in SWITCHES and switch.inputs[0] == merge.output and _is_loop_switch(graph, switch):
            variable.inside.add(switch.tensor(1))
            variable.exits += [node for node in graph.readers(switch.tensor(0)) if node.op in EXITS]
    return variable


def _is_loop_switch(graph: Graph, switch: Node) -> bool:
    predicate = graph.find_producer(switch.inputs[1])
    return predicate is not None and predicate.op == "LoopCond"


def _borders(frame: Frame) -> set[str]:
    """The tensors at which the inside of a loop begins."""
    return {tensor for variable in frame.variables for tensor in variable.inside} | frame.constants.keys()


def _add_strangers(graph: Graph, frame: Frame, inside: set[str]) -> None:
    """What is read from outside without an Enter: constants are copied, anything else becomes an argument."""
    stops = _borders(frame)
    ends = [frame.condition, *(v.following for v in frame.variables if v.following)]
    ends = [tensor for tensor in ends if tensor not in stops]
    strangers: dict[str, None] = {}
    for node in graph.topological(ends, stop=stops):
        if node.name in inside:
            for tensor in node.inputs:
                outer = graph.find_producer(tensor)
                if outer is not None and tensor not in stops and outer.name not in inside and outer.op != "Const":
                    strangers[tensor] = None
    frame.variables += [Variable(tensor, {tensor}) for tensor in strangers]


def _replace(graph: Graph, frame: Frame) -> None:
    dtypes = [_dtype(graph, variable.initial) for variable in frame.variables]
    name = graph.fresh_name(f"{frame.name.rpartition('/')[0] or frame.name}/While")
    followings = [variable.following for variable in frame.variables]
    cond = _function(graph, f"{name}/cond", frame, dtypes, [frame.condition])
    body = _function(graph, f"{name}/body", frame, dtypes, followings)
    for function in (cond, body):
        graph.functions[function.name] = function
    attrs = {
        "T": dtypes,
        "cond": FunctionRef(cond.name),
        "body": FunctionRef(body.name),
        "output_shapes": [],
        "parallel_iterations": 10,
        UNTYPED: True,
    }
    loop = graph.add(Node(name, "StatelessWhile", tuple(v.initial for v in frame.variables), attrs))
    for index, variable in enumerate(frame.variables):
        for leave in variable.exits:
            known = graph.type_of(leave.output)
            if known is not None:
                graph.types[loop.tensor(index)] = known
            graph.replace(Node(leave.name, "Identity", (loop.tensor(index),), {"T": dtypes[index]}))


def _dtype(graph: Graph, tensor: str) -> DType:
    return graph.types[tensor].dtype


def _function(graph: Graph, name: str, frame: Frame, dtypes: list[DType], outputs: list[str]) -> Function:
    """``outputs`` as a function of the frame's variables; "" gives the variable in that place back."""
    stops = _borders(frame)
    nodes = graph.topological([tensor for tensor in outputs if tensor and tensor not in stops], stop=stops)
    taken = {node.name for node in nodes}
    body = Graph(producer=max(graph.producer, SCALARS_HAVE_SHAPES))
    body.functions = graph.functions
    values: dict[str, str] = {}
    for index, (variable, dtype) in enumerate(zip(frame.variables, dtypes, strict=True)):
        argument = f"variable_{index}"
        while argument in taken:
            argument += "_"
        shape = _fixed_shape(graph, variable)
        made = body.add(Node(argument, "Placeholder", attrs={"dtype": dtype, "shape": shape}))
        values.update(dict.fromkeys(variable.inside, made.output))
    arguments = tuple(node.output for node in body)
    for tensor, constant in frame.constants.items():
        values[tensor] = body.add(Node(body.fresh_name(node_name(tensor)), "Const", attrs=constant.attrs)).output
    for node in nodes:
        body.add(Node(node.name, node.op, tuple(values.get(t, t) for t in node.inputs), node.attrs, node.controls))
    results = tuple(values.get(t, t) if t else arguments[index] for index, t in enumerate(outputs))
    rewrite_conditionals(body)
    remove_unreachable(body, [*results, *arguments])
    for node in body:
        body.replace(Node(node.name, node.op, node.inputs, node.attrs))
    return Function(name, body, arguments, results)


def _fixed_shape(graph: Graph, variable: Variable) -> Shape | None:
    """What never changes has the shape it came with."""
    return None if variable.following else graph.shape_of(variable.initial)
