"""What a While does, read from its functions: what stays, what counts, what is collected, and when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bnfold.export.bodies import needs, parameter, source
from bnfold.export.scope import specialised
from bnfold.graph import Array, Function, Graph, Node, Shape, TensorType

RESERVED, ITEM = "_reserved", "_item"
"""Private attributes that the rewriting of lists leaves on its nodes: on a list of zeros the tensor with its length,
on a list with one item written the tensors of the list, the index ("" at the end) and the item."""


@dataclass(frozen=True)
class Collected:
    """A list that starts as zeros, and of which iteration ``i`` writes item ``i`` and nobody reads any.

    Attributes
    ----------
    item : str
        Tensor of the body.
    count : str
        Tensor of the calling graph: how many items the list has; "" if it has as many as are written.
    """

    item: str
    count: str


@dataclass
class Loop:
    """A While.

    Attributes
    ----------
    cond, body : Function
    initial : tuple of str
        The tensors of the calling graph that are the arguments of both at first.
    constants : set of int
        Arguments that never change.
    collected : dict of int to Collected
    limits : list of (int, int or ndarray)
        The loop goes on while argument ``a``, which counts up by one, is below argument ``b`` or the constant
        ``b``; empty where the condition is something else.
    """

    graph: Graph
    cond: Function
    body: Function
    initial: tuple[str, ...]
    constants: set[int] = field(default_factory=set)
    collected: dict[int, Collected] = field(default_factory=dict)
    limits: list[tuple[int, int | Array]] = field(default_factory=list)

    dead: set[int] = field(default_factory=set)

    @property
    def carried(self) -> list[int]:
        """The arguments that change and may be read."""
        left_out = self.constants | self.collected.keys() | self.dead
        return [i for i in range(len(self.initial)) if i not in left_out]


def read_loop(graph: Graph, node: Node, wanted: set[int]) -> Loop:
    """The loop of a While of ``graph``, whose results ``wanted`` are read."""
    functions = [graph.functions[node.attrs[attr].name] for attr in ("cond", "body")]
    loop = Loop(graph, functions[0], functions[1], node.inputs)
    loop.constants = {i for i, tensor in enumerate(loop.body.outputs) if parameter(loop.body, tensor) == i}
    loop.limits = _limits(loop)
    loop.collected = _collections(loop)
    loop.dead = _dead(loop, wanted)
    loop.collected = {i: collected for i, collected in loop.collected.items() if i not in loop.dead}
    return loop


def _dead(loop: Loop, wanted: set[int]) -> set[int]:
    live = wanted if loop.limits else wanted | needs(loop.cond, loop.cond.outputs)
    while True:
        outputs = [loop.collected[i].item if i in loop.collected else loop.body.outputs[i] for i in live]
        above = live | needs(loop.body, outputs)
        if above == live:
            return set(range(len(loop.initial))) - live
        live = above


def is_counter(loop: Loop, index: int, start: int | None = None) -> bool:
    """Does argument ``index`` grow by one in each iteration (from ``start`` on)?"""
    node = loop.body.graph.find_producer(source(loop.body.graph, loop.body.outputs[index]))
    if node is None or node.op not in ("Add", "AddV2"):
        return False
    for own, step in (node.inputs, node.inputs[::-1]):
        if parameter(loop.body, own) == index and _is_number(constant_in(loop, loop.body, step), 1):
            return start is None or _is_number(constant_outside(loop, index), start)
    return False


def _is_number(value: Array | None, number: int) -> bool:
    return value is not None and value.size == 1 and value.item() == number


def constant_outside(loop: Loop, index: int) -> Array | None:
    """What argument ``index`` is at first, if it is a constant."""
    return loop.graph.value(source(loop.graph, loop.initial[index]))


def constant_in(loop: Loop, function: Function, tensor: str) -> Array | None:
    """What ``tensor`` of ``function`` is in every iteration, if it is a constant there or outside."""
    value = function.graph.value(source(function.graph, tensor))
    index = parameter(function, tensor)
    return constant_outside(loop, index) if value is None and index in loop.constants else value


def _limits(loop: Loop) -> list[tuple[int, int | Array]]:
    """What the condition compares, if it is that counters are below limits that stay the same."""
    graph = loop.cond.graph
    found: list[tuple[int, int | Array]] = []
    stack = [loop.cond.outputs[0]]
    while stack:
        node = graph.find_producer(source(graph, stack.pop()))
        if node is None or node.op not in ("LogicalAnd", "Less", "Greater"):
            return []
        if node.op == "LogicalAnd":
            stack.extend(node.inputs)
            continue
        low, high = node.inputs if node.op == "Less" else node.inputs[::-1]
        counter, limit = parameter(loop.cond, low), parameter(loop.cond, high)
        if counter is None or not is_counter(loop, counter) or not _is_int(loop, counter):
            return []
        value = constant_in(loop, loop.cond, high)
        if value is not None and value.size == 1:
            found.append((counter, value))
        elif limit is not None and limit in loop.constants:
            found.append((counter, limit))
        else:
            return []
    return found


def _is_int(loop: Loop, index: int) -> bool:
    known = loop.graph.type_of(loop.initial[index])
    return known is not None and known.dtype.is_integer and known.shape == ()


def _collections(loop: Loop) -> dict[int, Collected]:
    found = {i: c for i in range(len(loop.initial)) if (c := _collected(loop, i)) is not None}
    while found:
        outputs = [c.item for c in found.values()]
        outputs += [tensor for i, tensor in enumerate(loop.body.outputs) if i not in found]
        read = (needs(loop.body, outputs) | needs(loop.cond, loop.cond.outputs)) & found.keys()
        if not read:
            break
        found = {i: c for i, c in found.items() if i not in read}
    return found


def _collected(loop: Loop, index: int) -> Collected | None:
    body = loop.body.graph
    last = body.find_producer(source(body, loop.body.outputs[index]))
    first = loop.graph.find_producer(source(loop.graph, loop.initial[index]))
    if last is None or first is None or ITEM not in last.attrs or RESERVED not in first.attrs:
        return None
    whole, place, item = last.attrs[ITEM]
    if parameter(loop.body, whole) != index:
        return None
    count = first.attrs[RESERVED]
    if not place:  # written at the end: it must have been empty
        length = loop.graph.value(count)
        return Collected(item, "") if length is not None and length.item() == 0 else None
    counter = parameter(loop.body, place)
    return Collected(item, count) if counter is not None and is_counter(loop, counter, start=0) else None


def without_collections(loop: Loop) -> Function:
    """The body with the results that a Loop has: what is carried, then the item of each collection."""
    outputs = [loop.body.outputs[i] for i in loop.carried] + [c.item for c in loop.collected.values()]
    return replace(loop.body, outputs=tuple(outputs))


def same_tensor(graph: Graph, one: str, other: str | Array) -> bool:
    """Are they the same tensor of ``graph``, or equal constants?"""
    first = graph.value(source(graph, one))
    if isinstance(other, str):
        if source(graph, one) == source(graph, other):
            return True
        second = graph.value(source(graph, other))
    else:
        second = other
    return first is not None and second is not None and first.size == second.size == 1 and first.item() == second.item()


def stable_shapes(
    body: Function,
    library: Mapping[str, Function],
    shapes: Mapping[int, Shape | None],
    carried: Mapping[int, str],
    values: Mapping[int, Array] | None = None,
) -> dict[int, TensorType]:
    """Types that hold in every iteration: a size that an iteration changes is unknown.

    Parameters
    ----------
    body : Function
    library : mapping of str to Function
    shapes : mapping of int to Shape
        Of the arguments of the first iteration.
    carried : mapping of int to str
        The arguments that change, and the tensor that each is in the next iteration.
    values : mapping of int to ndarray, optional
        Arguments that are constants.
    """
    current = dict(shapes)
    while True:
        graph = specialised(body, library, values or {}, current)
        types = {index: graph.types[tensor] for index, tensor in carried.items()}
        types = {i: TensorType(known.dtype, common_shape(current[i], known.shape)) for i, known in types.items()}
        if all(current[index] == known.shape for index, known in types.items()):
            return types
        current |= {index: known.shape for index, known in types.items()}


def common_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    """What two shapes agree on."""
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))
