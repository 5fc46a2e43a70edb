"""Half precision: float16 weights and arithmetic between float32 inputs and outputs.

A rewrite of the TensorFlow graph, before anything is lowered, so that every lowering sees float16 as it would in a
model that was trained so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bnfold.export.table import find_row
from bnfold.graph import Array, DType, FunctionRef, Graph, Node, TensorType, constant, node_name
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
        counting = _counting(source)
        for node in source.topological():
            if node.op != "Const":  # constants come when something reads them, in the dtype that it reads
                stays = node.output in given or node.name in counting or self._is_exact(node)
                self._copy(node, set() if stays else _half_attrs(node))

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

    def _is_exact(self, node: Node) -> bool:
        """Does ``node`` cut floats to integers that are there in float32? In float16 they would be others."""
        return _cuts(node) and (node.inputs[0], FLOAT32) in self._copies

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


_ARITHMETIC = frozenset(
    (
        *("Add", "AddV2", "Sub", "Mul", "RealDiv", "Div", "Neg", "Pow", "Maximum", "Minimum"),
        *("Floor", "Ceil", "Round", "Rint", "Identity", "Pack", "ConcatV2", "Reshape", "StridedSlice"),
    )
)


def _counting(graph: Graph) -> set[str]:
    """The nodes by which integers, sizes as a rule, become floats and integers again: float16 counts to 2048 only."""
    found: set[str] = set()
    order = graph.topological()
    for node in order:
        given = [tensor for tensor in node.inputs if graph.value(tensor) is None]
        goes_on = node.op in _ARITHMETIC and given and all(node_name(tensor) in found for tensor in given)
        if goes_on or (node.op == "Cast" and node.attrs["DstT"] == FLOAT32 and node.attrs["SrcT"].is_integer):
            found.add(node.name)
    for node in reversed(order):
        if node.name in found:
            readers = graph.consumers(node.name)
            if not readers or any(reader.name not in found and not _cuts(reader) for reader in readers):
                found.discard(node.name)
    return found


def _cuts(node: Node) -> bool:
    """Does ``node`` cut floats to integers?"""
    return node.op == "Cast" and node.attrs["SrcT"] == FLOAT32 and node.attrs["DstT"].is_integer


def _half_attrs(node: Node) -> set[str]:
    """The dtype attributes of ``node`` that say float32 and may say float16."""
    definition = op_definition(node.op)
    if definition is None or any(isinstance(value, FunctionRef) for value in node.attrs.values()):
        return set()
    if node.op in _BITS:
        return set()
    if node.op.startswith(("TensorList", "EmptyTensorList")):  # loops, which stay as they are, take lists as variants
        return set()
    halves = {attr.name for attr in definition.attr if _may_be_half(attr, node.attrs.get(attr.name))}
    return halves if _is_lowered(node, halves) else set()


def _is_lowered(node: Node, halves: set[str]) -> bool:
    """Whether the table has the op for float16 too: TensorFlow may define it for more than its kernels compute."""
    row = find_row(node.op)
    decides = "T" in halves or not isinstance(node.attrs.get("T"), DType)
    return row is None or not decides or "float16" in row.dtypes


_BITS = frozenset({"Bitcast", "DecodeRaw", "DecodePaddedRaw", "AsString"})
"""Ops that take a dtype by its bits, or its digits."""


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
