"""The ONNX graph while it is being written: light nodes, unique names, and then the proto."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, ValueInfoProto, helper, numpy_helper

from bnfold.graph import DType, Shape, TensorType
from bnfold.graph.dtypes import FLOAT32, FLOAT64


@dataclass
class OnnxNode:
    """An ONNX node; attributes are Python values, arrays, `Body` for a subgraph, or DType for a dtype."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attrs: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    domain: str = ""

    def bodies(self) -> Iterator[OnnxGraph]:
        return (value for value in self.attrs.values() if isinstance(value, OnnxGraph))

    def reads(self) -> Iterator[str]:
        """What the node reads, what its bodies capture included."""
        yield from filter(None, self.inputs)
        for body in self.bodies():
            yield from body.reads()

    def rename(self, names: Mapping[str, str]) -> None:
        """Call the values by their new names; in the node's bodies too."""
        self.inputs = [names.get(name, name) for name in self.inputs]
        self.outputs = [names.get(name, name) for name in self.outputs]
        for body in self.bodies():
            body.rename(names)


class Names:
    """Hands out names, each once in the whole model, bodies included."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._taken

    def take(self, stem: str) -> str:
        """``stem``, or ``stem_1``, ``stem_2``, … if that is taken."""
        if stem not in self._taken:
            self._taken[stem] = 0
            return stem
        while True:
            self._taken[stem] += 1
            name = f"{stem}_{self._taken[stem]}"
            if name not in self._taken:
                self._taken[name] = 0
                return name


class OnnxGraph:
    """A graph, or the body of an If, Loop or Scan.

    Attributes
    ----------
    nodes : list of OnnxNode
    inputs, outputs : list of str
    types : dict of str to TensorType
        As stored, by value name; `onnx_types.complete` finds the others.
    dims : dict of str to tuple
        Shapes with names for the sizes that are not known, where there are such.
    remarks : dict of str to str
        What the file should say of an input or output.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[OnnxNode] = []
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        self.types: dict[str, TensorType] = {}
        self.dims: dict[str, tuple[int | str | None, ...]] = {}
        self.remarks: dict[str, str] = {}

    def add(self, node: OnnxNode) -> OnnxNode:
        self.nodes.append(node)
        return node

    def reads(self) -> Iterator[str]:
        yield from self.outputs
        for node in self.nodes:
            yield from node.reads()

    def rename(self, names: Mapping[str, str]) -> None:
        if not names:
            return
        for node in self.nodes:
            node.rename(names)
        self.outputs = [names.get(name, name) for name in self.outputs]

    def domains(self) -> set[str]:
        """Those of its ops, and of its bodies' ops, that are not ONNX' own."""
        found = {node.domain for node in self.nodes if node.domain}
        return found.union(*(body.domains() for node in self.nodes for body in node.bodies()))

    def drop_unread(self) -> None:
        """Remove the nodes that no output depends on."""
        needed = set(self.outputs)
        kept: list[OnnxNode] = []
        for node in reversed(self.nodes):
            if needed.isdisjoint(node.outputs):
                continue
            for body in node.bodies():
                body.drop_unread()
            needed.update(node.reads())
            kept.append(node)
        self.nodes = kept[::-1]

    def to_proto(self) -> GraphProto:
        """The proto, without initializers.

        A node that TensorFlow named may be called as one that was made for another: ``x/Cast`` is both. Runtimes want
        names that differ.
        """
        proto = GraphProto(name=self.name)
        proto.node.extend(map(_node_proto, self.nodes))
        names = Names()
        for node in proto.node:
            node.name = names.take(node.name)
        proto.input.extend(map(self._value_info, self.inputs))
        proto.output.extend(map(self._value_info, self.outputs))
        declared = set(self.outputs)
        inner = (name for node in self.nodes for name in node.outputs if name in self.types)
        proto.value_info.extend(map(self._value_info, (name for name in inner if name not in declared)))
        return proto

    def _value_info(self, name: str) -> ValueInfoProto:
        info = value_info(name, self.types.get(name), self.dims.get(name))
        info.doc_string = self.remarks.get(name, "")
        return info


def value_info(name: str, known: TensorType | None, dims: Iterable[int | str | None] | None = None) -> ValueInfoProto:
    """A ValueInfoProto with what is known of the value's type."""
    if known is None or known.dtype.onnx is None:
        return ValueInfoProto(name=name)
    if dims is None:
        dims = known.shape
    return helper.make_tensor_value_info(name, known.dtype.onnx, None if dims is None else list(dims))


def stored_type(known: TensorType, permutation: tuple[int, ...] | None) -> TensorType:
    """The type of a value as it is stored: axes permuted, a complex number as two floats on a last axis."""
    shape: Shape | None = known.shape
    if shape is not None and permutation is not None:
        shape = tuple(shape[axis] for axis in permutation)
    if known.dtype.name.startswith("complex"):
        return TensorType(part_dtype(known.dtype), None if shape is None else (*shape, 2))
    return TensorType(known.dtype, shape)


def part_dtype(dtype: DType) -> DType:
    """The dtype of the two parts of a complex ``dtype``; any other dtype itself."""
    return {"complex64": FLOAT32, "complex128": FLOAT64}.get(dtype.name, dtype)


def _node_proto(node: OnnxNode) -> NodeProto:
    proto = NodeProto(op_type=node.op, name=node.name, domain=node.domain)
    proto.input.extend(node.inputs)
    proto.output.extend(node.outputs)
    for key, value in sorted(node.attrs.items()):
        if value is not None:
            proto.attribute.append(_attribute(key, value))
    return proto


def _attribute(key: str, value: Any) -> AttributeProto:
    match value:
        case OnnxGraph():
            return helper.make_attribute(key, value.to_proto())
        case DType():
            return helper.make_attribute(key, value.onnx)
        case bool():
            return helper.make_attribute(key, int(value))
        case np.ndarray():
            return helper.make_attribute(key, numpy_helper.from_array(value))
        case list() | tuple() if not value:
            return helper.make_attribute(key, [], attr_type=AttributeProto.INTS)
        case _:
            return helper.make_attribute(key, value)
