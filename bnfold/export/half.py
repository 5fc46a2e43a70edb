"""Half precision: float16 weights and arithmetic between float32 inputs and outputs.

A rewrite of the TensorFlow graph, before anything is lowered, so that every lowering sees float16 as it would in a
model that was trained so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bnfold.graph import Array, DType, FunctionRef, Graph, Node, TensorType, constant
from bnfold.graph.dtypes import FLOAT16, FLOAT32
from bnfold.graph.graph_def import op_definition
from bnfold.graph.stages import Endpoint, InferenceGraph

LARGEST = float(np.finfo(np.float16).max)
"""65504: finite weights beyond it are set to it, with their sign."""


def in_half_precision(inference: InferenceGraph) -> InferenceGraph:
    """The same graph with float32 replaced by float16 wherever TensorFlow's op takes it.

    Inputs and outputs keep their dtypes. Ops that only take float32 (resizes, the statistics of batch norms,
    bodies of loops) keep it, between casts.
    """
    halving = _Halving(inference.graph, {endpoint.tensor for endpoint in inference.inputs})
    return replace(inference, graph=halving.graph, outputs=tuple(map(halving.output, inference.outputs)))


class _Halving:
    """Copies ``source`` node by node; each of its tensors exists as it was, as float16, or as both."""

    def __init__(self, source: Graph, given: set[str]) -> None:
        self.source = source
        self.graph = Graph(producer=source.producer)
        self.graph.functions = source.functions
        self._copies: dict[tuple[str, DType], str] = {}  # by tensor of the source, and dtype
        for node in source.topological():
            if node.op != "Const":  # constants come when something reads them, in the dtype that it reads
                self._copy(node, set() if node.output in given else _half_attrs(node))

    def _copy(self, node: Node, halves: set[str]) -> None:
        """Add ``node`` with float16 for the dtype attributes ``halves``."""
        definition: Any = op_definition(node.op)
        inputs = []
        for index, tensor in enumerate(node.inputs):
            half = bool(halves) and _type_attr(definition.input_arg, node, index) in halves
            inputs.append(self._read(tensor, FLOAT16 if half else self.source.types[tensor].dtype))
        self.graph.add(node.with_inputs(inputs).with_attrs(**dict.fromkeys(halves, FLOAT16)))
        for index, tensor in enumerate(_outputs(self.source, node)):
            known = self.source.types[tensor]
            if halves and _type_attr(definition.output_arg, node, index) in halves:
                known = TensorType(FLOAT16, known.shape)
            self._record(tensor, tensor, known)

    def _record(self, tensor: str, copy: str, known: TensorType) -> None:
        self.graph.types[copy] = known
        self._copies[tensor, known.dtype] = copy

    def _read(self, tensor: str, dtype: DType) -> str:
        """The copy of ``tensor`` with ``dtype``: made from the other with a Cast if need be."""
        if (tensor, dtype) not in self._copies:
            known = TensorType(dtype, self.source.types[tensor].shape)
            array = self.source.value(tensor)
            if array is not None:
                node = self._constant(tensor, array, dtype)
            else:
                other = FLOAT32 if dtype == FLOAT16 else FLOAT16
                name = self.graph.fresh_name(f"{tensor.replace(':', '_')}/{dtype.name}")
                attrs = {"SrcT": other, "DstT": dtype, "Truncate": False}
                node = Node(name, "Cast", (self._copies[tensor, other],), attrs)
            self._record(tensor, self.graph.add(node).output, known)
        return self._copies[tensor, dtype]

    def _constant(self, tensor: str, array: Array, dtype: DType) -> Node:
        name = tensor.removesuffix(":0")
        if dtype != FLOAT16 or array.dtype == np.float16:
            return constant(self.graph.fresh_name(name), array, dtype)
        return constant(self.graph.fresh_name(name), halved(array), dtype)

    def output(self, endpoint: Endpoint) -> Endpoint:
        """``endpoint`` in its own dtype."""
        return replace(endpoint, tensor=self._read(endpoint.tensor, endpoint.dtype))


def halved(array: Array) -> Array:
    """``array`` as float16; what is finite stays finite."""
    finite = np.isfinite(array)
    clipped = np.clip(array, -LARGEST, LARGEST)
    return np.where(finite, clipped, array).astype(np.float16)


def _half_attrs(node: Node) -> set[str]:
    """The dtype attributes of ``node`` that say float32 and may say float16."""
    definition = op_definition(node.op)
    if definition is None or any(isinstance(value, FunctionRef) for value in node.attrs.values()):
        return set()
    if node.op.startswith(("TensorList", "EmptyTensorList")):  # loops, which stay as they are, take lists as variants
        return set()
    return {attr.name for attr in definition.attr if _may_be_half(attr, node.attrs.get(attr.name))}


def _may_be_half(attr: Any, value: Any) -> bool:
    if value != FLOAT32:
        return False
    allowed = attr.allowed_values.list.type
    return not allowed or FLOAT16.tf in allowed


def _type_attr(arguments: Any, node: Node, index: int) -> str:
    """The attribute that gives the dtype of the argument at ``index``; empty where the op fixes it."""
    for argument in arguments:
        index -= int(node.attrs[argument.number_attr]) if argument.number_attr else 1
        if index < 0:
            return str(argument.type_attr)
    return ""


def _outputs(graph: Graph, node: Node) -> list[str]:
    found: list[str] = []
    while graph.type_of(node.tensor(len(found))) is not None:
        found.append(node.tensor(len(found)))
    return found
