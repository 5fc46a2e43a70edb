"""What the random numbers of a graph are worth: their distribution, computed on a grid of quantiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from bnfold.graph import Array, FunctionRef, Graph, Node, node_name, output_index
from bnfold.inference.op_kinds import RANDOM, SHAPE_ONLY, VARIABLES

GRID = 20_000
"""Quantiles per distribution: probabilities come out to 1 / 20,000."""

GUESS = 0.625
"""Stands for a keep probability that is fed or stored: exact in binary, and nobody's default."""

UNIFORM = frozenset({"RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2", "StatefulUniform"})
NORMAL = frozenset(
    {
        "RandomStandardNormal",
        "TruncatedNormal",
        "StatelessRandomNormal",
        "StatelessRandomNormalV2",
        "StatelessTruncatedNormal",
        "StatelessTruncatedNormalV2",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
    }
)

FIRST_INPUT = frozenset(
    {
        "Identity", "Enter", "Reshape", "ExpandDims", "Squeeze", "Switch", "RefSwitch", "StopGradient", "BroadcastTo",
        "Tile", "ReadVariableOp", "Snapshot", "Exit",
    }
)  # fmt: skip
"""Ops whose values are those of their first input, as far as a distribution goes."""

RULES: Mapping[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "AddV2": np.add,
    "Ceil": np.ceil,
    "Div": np.divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Fill": np.asarray,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterEqual": np.greater_equal,
    "Inv": np.reciprocal,
    "Less": np.less,
    "LessEqual": np.less_equal,
    "Log": np.log,
    "LogicalNot": np.logical_not,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Pow": np.power,
    "RealDiv": np.divide,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Round": np.round,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Select": np.where,
    "SelectV2": np.where,
    "Sign": np.sign,
    "Sqrt": np.sqrt,
    "Square": np.square,
    "Sub": np.subtract,
}


@dataclass(frozen=True)
class Distribution:
    """The values a tensor takes, equally likely; one value for a constant.

    Attributes
    ----------
    values : ndarray of shape (1,) or (GRID,), float64
    origin : str
        The random op behind them; empty for a constant.
    guessed : bool
        Whether they rest on a guess at a value that is fed or stored.
    """

    values: Array
    origin: str = ""
    guessed: bool = False

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def spread(self) -> float:
        """The largest magnitude, or 1 where all is 0."""
        return float(np.abs(self.values).max()) or 1.0

    @property
    def is_binary(self) -> bool:
        """Whether the values are 0 and one other, or (at keep probability 1) that other alone."""
        distinct = np.unique(self.values)
        return len(distinct) == 1 or (len(distinct) == 2 and distinct[0] == 0)


class Noise:
    """Tells data from random numbers from constants in a graph.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._found: dict[str, Distribution | None] = {}
        self._kinds: dict[str, str] = {}
        for node in graph.topological():
            self._kinds[node.name] = self._kind(node)

    def is_data(self, tensor: str) -> bool:
        """Whether ``tensor`` depends on what is fed or on weights."""
        return self._kinds.get(node_name(tensor), "data") == "data"

    def is_noise(self, tensor: str) -> bool:
        """Whether ``tensor`` is random, and nothing but random numbers, shapes and constants go into it."""
        return self._kinds.get(node_name(tensor)) == "noise"

    def number(self, tensor: str) -> float | None:
        """The one value of a constant ``tensor``; None when it is no such constant."""
        if self._kinds.get(node_name(tensor)) != "constant":
            return None
        found = self.distribution(tensor)
        return None if found is None else float(found.values[0])

    def _kind(self, node: Node) -> str:
        if node.op in RANDOM:
            return "noise"
        if node.op == "Const" or node.op in SHAPE_ONLY:
            return "constant"
        if node.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault") or node.op in VARIABLES:
            return "constant" if _may_be_scalar(node) else "data"
        if _is_fed_element(node, self.graph):
            return "constant"
        if any(isinstance(value, FunctionRef) for value in node.attrs.values()):
            return "data"
        inputs = node.inputs[:1] if node.op in ("Switch", "RefSwitch") else node.inputs
        kinds = {self._kinds.get(node_name(tensor), "constant") for tensor in inputs}
        return next((kind for kind in ("data", "noise") if kind in kinds), "constant")

    def distribution(self, tensor: str) -> Distribution | None:
        """The distribution of a random or constant ``tensor``; None where it cannot be told."""
        if tensor not in self._found:
            self._found[tensor] = None  # a loop leads back here: no telling
            self._found[tensor] = self._evaluate(tensor)
        return self._found[tensor]

    def _evaluate(self, tensor: str) -> Distribution | None:
        node = self.graph.find_producer(tensor)
        if node is None or self.is_data(tensor) or (output_index(tensor) and node.op not in FIRST_INPUT):
            return None
        if node.op in UNIFORM:
            return Distribution((np.arange(GRID) + 0.5) / GRID, node.name)
        if node.op in NORMAL:
            return Distribution(_normal_quantiles(), node.name)
        if node.op == "Const":
            return _constant(node)
        if not node.inputs or node.op == "PlaceholderWithDefault" or _is_fed_element(node, self.graph):
            return Distribution(np.array([GUESS]), guessed=True)
        if node.op in FIRST_INPUT:
            return self.distribution(node.inputs[0])
        return self._apply(node)

    def _apply(self, node: Node) -> Distribution | None:
        if node.op == "Merge":
            branches = [found for tensor in node.inputs if (found := self.distribution(tensor)) is not None]
            return branches[0] if branches else None
        inputs = node.inputs[:1] if node.op == "Cast" else node.inputs
        inputs = node.inputs[1:] if node.op == "Fill" else inputs
        if node.op in ("ZerosLike", "OnesLike"):
            return Distribution(np.array([0.0 if node.op == "ZerosLike" else 1.0]))
        rule = _cast(node) if node.op == "Cast" else RULES.get(node.op)
        arguments = [found for tensor in inputs if (found := self.distribution(tensor)) is not None]
        origins = {each.origin for each in arguments if each.origin}
        if rule is None or len(arguments) != len(inputs) or len(origins) > 1:
            return None
        with np.errstate(all="ignore"):
            values = rule(*(each.values for each in arguments))
        return Distribution(
            np.asarray(values, dtype=np.float64), "".join(origins), any(each.guessed for each in arguments)
        )


def _may_be_scalar(node: Node) -> bool:
    """Before TensorFlow 1.5 a Placeholder without a shape was written like a scalar; a keep probability is either."""
    dtype, shape = node.attrs.get("dtype"), node.attrs.get("shape")
    if dtype is not None and dtype.name in ("string", "resource", "variant") and node.op != "VarHandleOp":
        return False
    return not shape


def _is_fed_element(node: Node, graph: Graph) -> bool:
    """One element of a vector that is fed: ``keep_probabilities[2]``, with one for each layer."""
    if node.op != "StridedSlice" or node.attrs["shrink_axis_mask"] != 1:
        return False
    vector = graph.find_producer(node.inputs[0])
    if vector is None or vector.op not in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"):
        return False
    shape, dtype = vector.attrs.get("shape"), vector.attrs.get("dtype")
    return shape is not None and len(shape) == 1 and dtype is not None and bool(dtype.is_floating)


def _constant(node: Node) -> Distribution | None:
    values = node.attrs["value"]
    if values.dtype.kind not in "fiub" and values.dtype.name != "bfloat16":
        return None
    if values.size == 0 or (values != values.flat[0]).any():
        return None
    return Distribution(values.ravel()[:1].astype(np.float64))


def _cast(node: Node) -> Callable[[Array], Any]:
    dtype = node.attrs["DstT"]
    if dtype.name == "bool":
        return lambda x: x != 0
    return np.trunc if dtype.is_integer else np.asarray


@cache
def _normal_quantiles() -> Array:
    normal = NormalDist()
    half = np.array([normal.inv_cdf((i + 0.5) / GRID) for i in range(GRID // 2)])
    return np.concatenate([half, -half[::-1]])  # symmetric to the last bit, so that it averages to 0
