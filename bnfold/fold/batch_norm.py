"""Reading affine maps off the graph: which nodes apply one, and to which tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bnfold.fold.algebra import Affine, affine, batch_norm, identity
from bnfold.fold.exact import Exact
from bnfold.graph import Array, Graph, Node, Shape

FUSED_OPS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


@dataclass(frozen=True)
class Step:
    """A node that applies a constant affine map: its output is ``map(x)``.

    Attributes
    ----------
    node : Node
    x : str
        The tensor it reads.
    map : Affine
        Of the rank of ``x``.
    """

    node: Node
    x: str
    map: Affine


def read_step(graph: Graph, exact: Exact, node: Node) -> Step | None:
    """The constant affine map that ``node`` applies, or None if it applies none.

    A fused batch norm counts once its flag is off and its four vectors are constant; Mul, Add, Sub and Div count when
    one operand is a floating-point constant that does not make the other one larger by broadcasting.
    """
    reader = _READERS.get(node.op)
    return reader(graph, exact, node) if reader else None


def is_fused_batch_norm(node: Node) -> bool:
    return node.op in FUSED_OPS


def _fused(graph: Graph, exact: Exact, node: Node) -> Step | None:
    if node.attrs.get("is_training", True) or any(not t.endswith(":0") for t in graph.outputs_read(node.name)):
        return None
    vectors = [exact.value(tensor) for tensor in node.inputs[1:5]]
    if any(vector is None or vector.size == 0 for vector in vectors):
        return None
    gamma, beta, mean, variance = (np.asarray(vector) for vector in vectors)
    scale, shift = batch_norm(gamma, beta, mean, variance, node.attrs["epsilon"])
    layout = node.attrs["data_format"]
    shape = [-1 if letter == "C" else 1 for letter in layout]
    return Step(node, node.inputs[0], affine(scale.reshape(shape), shift.reshape(shape)))


def _bias_add(graph: Graph, exact: Exact, node: Node) -> Step | None:
    bias, shape = exact.value(node.inputs[1]), graph.shape_of(node.inputs[0])
    if bias is None or shape is None or not _is_floating(graph, node):
        return None
    axis = 1 if node.attrs.get("data_format") == "NCHW" else len(shape) - 1
    shift = bias.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return Step(node, node.inputs[0], affine(np.ones_like(shift), shift))


def _negative(graph: Graph, exact: Exact, node: Node) -> Step | None:
    shape = graph.shape_of(node.inputs[0])
    if shape is None or not _is_floating(graph, node):
        return None
    same = identity(len(shape))
    return Step(node, node.inputs[0], affine(-same.scale, same.shift))


Arithmetic = Callable[[Array, bool], tuple[Array, Array] | None]


def _arithmetic(map_of: Arithmetic) -> Callable[[Graph, Exact, Node], Step | None]:
    """A reader for an op of two operands, one constant; ``map_of`` gets the constant and whether it is the first."""

    def read(graph: Graph, exact: Exact, node: Node) -> Step | None:
        if not _is_floating(graph, node):
            return None
        for position, (other, tensor) in enumerate(zip(reversed(node.inputs), node.inputs, strict=True)):
            value = exact.value(tensor)
            if value is None or exact.value(other) is not None:
                continue
            operand = _as_operand(value, graph.shape_of(other))
            pair = None if operand is None else map_of(operand, position == 0)
            return None if pair is None else Step(node, other, affine(*pair))
        return None

    return read


def _as_operand(value: Array, shape: Shape | None) -> Array | None:
    """``value`` with the rank of the tensor of ``shape``; None where it would broadcast that tensor to a larger one.

    A size that is known only at run time may be 1, so only 1 is safe beside it.
    """
    if shape is None or value.ndim > len(shape):
        return None
    value = value.reshape((1,) * (len(shape) - value.ndim) + value.shape)
    fits = all(size in (1, extent) for size, extent in zip(value.shape, shape, strict=True))
    return value if fits else None


def _add(value: Array, _first: bool) -> tuple[Array, Array]:
    return np.ones_like(value), value


def _multiply(value: Array, _first: bool) -> tuple[Array, Array]:
    return value, np.zeros_like(value)


def _subtract(value: Array, first: bool) -> tuple[Array, Array]:
    ones = np.ones_like(value)
    return (-ones, value) if first else (ones, -value)


def _divide(value: Array, first: bool) -> tuple[Array, Array] | None:
    if first or not value.all():
        return None
    return 1 / value, np.zeros_like(value)


_READERS: dict[str, Callable[[Graph, Exact, Node], Step | None]] = {
    **dict.fromkeys(FUSED_OPS, _fused),
    "BiasAdd": _bias_add,
    "BiasAddV1": _bias_add,
    "Add": _arithmetic(_add),
    "AddV2": _arithmetic(_add),
    "Sub": _arithmetic(_subtract),
    "Mul": _arithmetic(_multiply),
    "RealDiv": _arithmetic(_divide),
    "Div": _arithmetic(_divide),
    "Neg": _negative,
}


def _is_floating(graph: Graph, node: Node) -> bool:
    found = graph.type_of(node.output)
    return found is not None and found.dtype.is_floating
