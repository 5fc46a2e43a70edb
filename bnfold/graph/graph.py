"""Graph and Node: a small in-memory graph over TensorFlow ops."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np

from bnfold.graph.dtypes import DType

Shape = tuple[int | None, ...]
"""A static shape: None for a size known only at run time. An unknown rank is None in place of the tuple."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and static shape of a tensor; ``shape`` is None when even the rank is unknown."""

    dtype: DType
    shape: Shape | None


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """An attribute that names a function of the graph's library (a branch of If, the body of While)."""

    name: str
    attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    """One op.

    Attributes
    ----------
    name, op : str
        TensorFlow's node name and op type.
    inputs : tuple of str
        Data inputs as ``producer:index``, the index always written.
    attrs : mapping
        Decoded attributes: bool, int, float, str, bytes, DType, shape tuple (None: unknown rank), ndarray,
        FunctionRef, or a list of these. A Const holds its array under ``value``.
    controls : tuple of str
        Names of the nodes that must run first. `infer` resolves and drops them.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    controls: tuple[str, ...] = ()

    def tensor(self, index: int = 0) -> str:
        return f"{self.name}:{index}"

    @property
    def output(self) -> str:
        return f"{self.name}:0"

    def with_attrs(self, **attrs: Any) -> Node:
        return replace(self, attrs={**self.attrs, **attrs})

    def with_inputs(self, inputs: Iterable[str]) -> Node:
        return replace(self, inputs=tuple(inputs))


def constant(name: str, value: Any, dtype: DType | None = None) -> Node:
    """A Const node that holds ``value`` (not copied when it is an array)."""
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        array = array.astype(object)
    return Node(name, "Const", attrs={"dtype": dtype or DType.of_numpy(array.dtype), "value": array})


def tensor_name(name: str) -> str:
    """``name`` in canonical form: ``conv`` and ``conv:0`` are both ``conv:0``; a control's ``^`` is refused."""
    if name.startswith("^"):
        raise ValueError(f"{name!r} is a control input, not a tensor")
    head, colon, index = name.rpartition(":")
    return name if colon and index.isdecimal() and head else f"{name}:0"


@lru_cache(maxsize=1 << 18)  # each walk over a graph asks for each tensor once more
def node_name(tensor: str) -> str:
    """The name of the node that produces ``tensor``."""
    head, colon, index = tensor.rpartition(":")
    return head if colon and index.isdecimal() else tensor


def output_index(tensor: str) -> int:
    """Which output of its node ``tensor`` is."""
    return int(tensor.rpartition(":")[2])


class Graph:
    """Nodes in the order they were added, indexed by name and by what they read.

    Edits happen inside a stage, on the stage's own `copy`. Arrays are shared between copies and never
    written to in place.

    Attributes
    ----------
    types : dict of str to TensorType
        Static types by tensor name; kept by the stage that last ran type inference, not by edits.
    functions : dict of str to Function
        The library: bodies of If, While and the like.
    producer : int
        GraphDef version of the writer, which decides how TensorFlow reads some legacy ops.
    """

    def __init__(self, nodes: Iterable[Node] = (), *, producer: int = 1882) -> None:
        self._nodes: dict[str, Node] = {}
        self._readers: dict[str, dict[str, dict[str, None]]] = {}  # producer → tensor → names of its readers
        self.types: dict[str, TensorType] = {}
        self.functions: dict[str, Function] = {}
        self.producer = producer
        for node in nodes:
            self.add(node)

    # Reading

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> Node:
        return self._nodes[name]

    def get(self, name: str) -> Node | None:
        return self._nodes.get(name)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"Graph({len(self)} nodes)"

    def producer_of(self, tensor: str) -> Node:
        """The node that computes ``tensor``."""
        return self._nodes[node_name(tensor)]

    def find_producer(self, tensor: str) -> Node | None:
        """The node that computes ``tensor``, or None where the graph was cut."""
        return self._nodes.get(node_name(tensor))

    def readers(self, tensor: str) -> list[Node]:
        """The nodes with ``tensor`` among their data inputs, each once, in the order they were added."""
        return [self._nodes[name] for name in self._reader_names(tensor)]

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read any output of node ``name``, each once."""
        found = {reader: None for readers in self._readers.get(name, {}).values() for reader in readers}
        return [self._nodes[reader] for reader in found]

    def outputs_read(self, name: str) -> list[str]:
        """The output tensors of node ``name`` that some node reads."""
        return list(self._readers.get(name, ()))

    def _reader_names(self, tensor: str) -> dict[str, None]:
        return self._readers.get(node_name(tensor), {}).get(tensor, {})

    def value(self, tensor: str) -> Array | None:
        """The array behind ``tensor`` if it is a constant, else None."""
        node = self.find_producer(tensor)
        if node is None or node.op != "Const":
            return None
        array: Array = node.attrs["value"]
        return array

    def type_of(self, tensor: str) -> TensorType | None:
        return self.types.get(tensor)

    def shape_of(self, tensor: str) -> Shape | None:
        """Static shape of ``tensor``, or None if its rank is unknown."""
        found = self.types.get(tensor)
        return found.shape if found else None

    def fresh_name(self, stem: str) -> str:
        """``stem``, or ``stem_1``, ``stem_2``, … if a node has that name already."""
        return _numbered(stem, self._nodes)

    def fresh_function_name(self, stem: str) -> str:
        """``stem``, or ``stem_1``, ``stem_2``, … if a function has that name already."""
        return _numbered(stem, self.functions)

    # Editing

    def add(self, node: Node) -> Node:
        if node.name in self._nodes:
            raise ValueError(f"the graph already has a node {node.name!r}")
        self._nodes[node.name] = node
        self._index(node)
        return node

    def replace(self, node: Node) -> Node:
        """Put ``node`` in the place of the node with its name."""
        self._unindex(self._nodes[node.name])
        self._nodes[node.name] = node
        self._index(node)
        return node

    def remove(self, name: str) -> None:
        self._unindex(self._nodes.pop(name))

    def redirect(self, old: str, new: str, *, only: Iterable[str] | None = None) -> None:
        """Make the readers of tensor ``old`` (or only the nodes named) read tensor ``new``."""
        chosen = None if only is None else set(only)
        for reader in self.readers(old):
            if chosen is None or reader.name in chosen:
                self.replace(reader.with_inputs(new if tensor == old else tensor for tensor in reader.inputs))

    def _index(self, node: Node) -> None:
        for tensor in node.inputs:
            producer = node_name(tensor)
            if (outputs := self._readers.get(producer)) is None:
                self._readers[producer] = {tensor: {node.name: None}}
            else:
                outputs.setdefault(tensor, {})[node.name] = None

    def _unindex(self, node: Node) -> None:
        for tensor in set(node.inputs):
            producer = self._readers[node_name(tensor)]
            del producer[tensor][node.name]
            if not producer[tensor]:
                del producer[tensor]
            if not producer:
                del self._readers[node_name(tensor)]

    # New graphs

    def copy(self) -> Graph:
        """A graph to edit: nodes and arrays are shared, the indices are not."""
        return self._with(self)

    def pruned(self, tensors: Iterable[str], *, stop: Iterable[str] = (), controls: bool = False) -> Graph:
        """The part of the graph that ``tensors`` depend on, in topological order.

        Parameters
        ----------
        tensors : iterable of str
        stop : iterable of str
            Tensors at which to stop: what computes them is left out.
        controls : bool
            Also follow control inputs.
        """
        order = self.topological(tensors, stop=stop, controls=controls)
        return self._with(replace(node, controls=()) if node.controls and not controls else node for node in order)

    def _with(self, nodes: Iterable[Node]) -> Graph:
        graph = Graph(nodes, producer=self.producer)
        graph.types = dict(self.types)
        graph.functions = dict(self.functions)
        return graph

    def topological(
        self, tensors: Iterable[str] | None = None, *, stop: Iterable[str] = (), controls: bool = False
    ) -> list[Node]:
        """The nodes that ``tensors`` depend on (all nodes by default), each after its inputs.

        The back edges of TF 1 loops (NextIteration → Merge) do not count: a Merge comes before what follows it, and
        every node of the loop is included.
        """
        roots = [node_name(t) for t in tensors] if tensors is not None else list(self._nodes)
        stops = set(stop)
        order: list[Node] = []
        seen: set[str] = set()
        stack: list[str | Node] = [*reversed(roots)]  # a name to visit, or a node whose inputs are all placed
        back: list[str] = []  # NextIterations, visited once all else is placed
        while stack or back:
            name = stack.pop() if stack else back.pop()
            if isinstance(name, Node):
                order.append(name)
                continue
            if name in seen or (node := self._nodes.get(name)) is None:
                continue
            seen.add(name)
            before = [node_name(t) for t in node.inputs if t not in stops]
            if not before and not (controls and node.controls):
                order.append(node)
                continue
            stack.append(node)
            if controls:
                before += node.controls
            if node.op in ("Merge", "RefMerge"):
                back += [parent for parent in before if self._closes_loop(parent)]
                before = [parent for parent in before if not self._closes_loop(parent)]
            stack.extend(reversed(before))
        return order

    def _closes_loop(self, name: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and node.op in ("NextIteration", "RefNextIteration")

    def ancestors(self, tensors: Iterable[str], *, stop: Iterable[str] = ()) -> set[str]:
        """Names of the nodes that ``tensors`` depend on through data inputs, their producers included."""
        return {node.name for node in self.topological(tensors, stop=stop)}

    def descendants(self, tensors: Iterable[str]) -> set[str]:
        """Names of the nodes that depend on ``tensors`` through data inputs."""
        found: set[str] = set()
        stack = list(tensors)
        while stack:
            for name in self._reader_names(stack.pop()):
                if name not in found:
                    found.add(name)
                    stack.extend(self.outputs_read(name))
        return found


@dataclass(frozen=True)
class Function:
    """A body in the graph's library.

    Attributes
    ----------
    name : str
    graph : Graph
        Its nodes; each argument is a Placeholder with attrs ``dtype`` and ``shape``.
    inputs : tuple of str
        Argument tensors (``name:0``), in order.
    outputs : tuple of str
        Result tensors, in order.
    """

    name: str
    graph: Graph
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def _numbered(stem: str, taken: Container[str]) -> str:
    """``stem``, or the first of ``stem_1``, ``stem_2``, … that is not taken."""
    if stem not in taken:
        return stem
    return next(name for number in count(1) if (name := f"{stem}_{number}") not in taken)
