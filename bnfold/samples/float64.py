"""The graph in float64: the truth that float32 results are measured against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from bnfold.graph import DType, Graph, Node, constant
from bnfold.graph.dtypes import FLOAT64, INT32
from bnfold.graph.graph_def import op_definition
from bnfold.graph.tensorflow import tensorflow

NARROW = ("float16", "bfloat16", "float32")


@dataclass(frozen=True)
class Widened:
    """A graph that computes in float64.

    Attributes
    ----------
    graph : Graph
        Same node names; each tensor that was of a narrower float type is float64.
    in_float32 : tuple of str
        Ops that TensorFlow has no float64 kernel for: computed in float32, between casts.
    """

    graph: Graph
    in_float32: tuple[str, ...]


def widen(graph: Graph) -> Widened:
    """``graph`` with float64 in place of every narrower float type, weights and functions included."""
    narrow: dict[str, None] = {}

    def convert(part: Graph) -> Graph:
        nodes = [new for node in part for new in _widen(node, narrow)]
        wide = Graph(nodes, producer=part.producer)
        wide.functions = {name: replace(body, graph=convert(body.graph)) for name, body in part.functions.items()}
        return wide

    return Widened(convert(graph), tuple(narrow))


def _widen(node: Node, narrow: dict[str, None]) -> Iterator[Node]:
    if node.op == "Const":
        yield _widen_constant(node)
    elif node.op in _FUSED and not node.attrs.get("is_training"):
        yield from _batch_norm(node)
    elif _has_float64_kernel(wide := replace(node, attrs={k: _widen_attr(v) for k, v in node.attrs.items()})):
        yield wide
    else:
        narrow[node.op] = None
        yield from _between_casts(node)


def _widen_constant(node: Node) -> Node:
    value = node.attrs["value"]
    if node.attrs["dtype"].name not in NARROW:
        return node
    return node.with_attrs(dtype=FLOAT64, value=value.astype(np.float64))


def _widen_attr(value: Any) -> Any:
    match value:
        case DType() if value.name in NARROW:
            return FLOAT64
        case list():
            return [_widen_attr(item) for item in value]
    return value


# Ops without a float64 kernel


def _has_float64_kernel(node: Node) -> bool:
    definition = op_definition(node.op)
    if definition is None:
        return True  # TensorFlow will say so itself
    fixed = [
        arg for arg in (*definition.input_arg, *definition.output_arg) if DType.of_tf(arg.type or 0).name in NARROW
    ]
    if fixed:
        return False
    attrs = {key: value for key, value in node.attrs.items() if isinstance(value, DType)}
    if FLOAT64 not in attrs.values():
        return True
    kernels = _cpu_kernels(node.op)
    return not kernels or any(_accepts(kernel, attrs) for kernel in kernels)


@cache
def _cpu_kernels(op: str) -> tuple[dict[str, frozenset[int]], ...]:
    """For each CPU kernel of ``op``, the types it takes by attribute."""
    tensorflow()
    kernels = import_module("tensorflow.python.framework.kernels")
    found = kernels.get_registered_kernels_for_op(op).kernel
    return tuple(
        {rule.name: frozenset(rule.allowed_values.list.type) for rule in kernel.constraint}
        for kernel in found
        if kernel.device_type in ("CPU", "DEFAULT")
    )


def _accepts(kernel: dict[str, frozenset[int]], attrs: dict[str, DType]) -> bool:
    return all(name not in attrs or attrs[name].tf in types for name, types in kernel.items())


def _between_casts(node: Node) -> Iterator[Node]:
    """``node`` as it was, its float inputs cast down and its float outputs cast up again."""
    inner = replace(
        node,
        name=f"{node.name}/float32/op",
        inputs=tuple(f"{node.name}/float32/in_{i}:0" for i in range(len(node.inputs))),
    )
    arguments = _arguments(node, "input_arg")
    results = _arguments(node, "output_arg")
    for position, (tensor, dtype) in enumerate(zip(node.inputs, arguments, strict=False)):
        yield _cast(f"{node.name}/float32/in_{position}", tensor, FLOAT64, dtype)
    yield inner
    if len(results) == 1:
        yield _cast(node.name, inner.output, results[0], FLOAT64)
        return
    widened = []
    for position, dtype in enumerate(results):
        cast = _cast(f"{node.name}/float32/out_{position}", inner.tensor(position), dtype, FLOAT64)
        widened.append(cast)
        yield cast
    types = [cast.attrs.get("DstT", cast.attrs.get("T")) for cast in widened]
    yield Node(node.name, "IdentityN", tuple(cast.output for cast in widened), {"T": types})


def _cast(name: str, tensor: str, source: DType, target: DType) -> Node:
    """A cast between ``source`` and ``target`` where either is a float type; else the tensor itself."""
    floating = target if target.is_floating and source.is_floating else None
    if floating is None:
        return Node(name, "Identity", (tensor,), {"T": target if source is FLOAT64 else source})
    return Node(name, "Cast", (tensor,), {"SrcT": source, "DstT": target, "Truncate": False})


def _arguments(node: Node, which: str) -> list[DType]:
    """The dtype of each input or output tensor of ``node``."""
    types: list[DType] = []
    for arg in getattr(op_definition(node.op), which):
        if arg.type_list_attr:
            types += node.attrs[arg.type_list_attr]
            continue
        dtype = node.attrs[arg.type_attr] if arg.type_attr else DType.of_tf(arg.type)
        types += [dtype] * (int(node.attrs[arg.number_attr]) if arg.number_attr else 1)
    return types


# Batch norm: its kernels know float32 alone, and it is what everything here is about


_FUSED = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def _batch_norm(node: Node) -> Iterator[Node]:
    """``y = (x − mean) · rsqrt(variance + epsilon) · gamma + beta`` in float64; the statistics' outputs repeat them."""
    x, gamma, beta, mean, variance = node.inputs
    stem = f"{node.name}/float64"
    first = str(node.attrs.get("data_format", "NHWC")).startswith("NC")
    if first:
        rank = len(node.attrs["data_format"])
        shape = constant(f"{stem}/shape", np.array([1, -1, *[1] * (rank - 2)], np.int32))
        yield shape
        vectors = []
        for name, tensor in (("gamma", gamma), ("beta", beta), ("mean", mean), ("variance", variance)):
            reshaped = Node(f"{stem}/{name}", "Reshape", (tensor, shape.output), {"T": FLOAT64, "Tshape": INT32})
            yield reshaped
            vectors.append(reshaped.output)
    else:
        vectors = [gamma, beta, mean, variance]
    epsilon = constant(f"{stem}/epsilon", np.float64(np.float32(node.attrs["epsilon"])))
    yield epsilon
    steps: list[tuple[str, str, tuple[str, ...]]] = [
        ("shifted", "AddV2", (vectors[3], epsilon.output)),
        ("rsqrt", "Rsqrt", (f"{stem}/shifted:0",)),
        ("scale", "Mul", (f"{stem}/rsqrt:0", vectors[0])),
        ("centred", "Sub", (x, vectors[2])),
        ("scaled", "Mul", (f"{stem}/centred:0", f"{stem}/scale:0")),
        ("y", "AddV2", (f"{stem}/scaled:0", vectors[1])),
    ]
    for name, op, inputs in steps:
        yield Node(f"{stem}/{name}", op, inputs, {"T": FLOAT64})
    outputs = [f"{stem}/y:0", mean, variance, mean, variance]
    if node.op == "FusedBatchNormV3":
        outputs.append(mean)
    yield Node(node.name, "IdentityN", tuple(outputs), {"T": [FLOAT64] * len(outputs)})
