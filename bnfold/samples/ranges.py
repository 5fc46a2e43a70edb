"""What values an input takes, as far as the graph tells: what is done to it first gives its range away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Graph, Node
from bnfold.graph.stages import Endpoint, InferenceGraph
from bnfold.samples.words import words_of


@dataclass(frozen=True)
class InputRange:
    """How the samples of an input are drawn.

    Attributes
    ----------
    kind : {"normal", "uniform", "integer", "bool", "text"}
        ``normal`` has mean ``centre`` and deviation ``spread``; the others lie in [``low``, ``high``), and
        ``integer`` values are whole. ``text`` is of ``words``.
    low, high : float
    reason : str
    words : tuple of str
        The simplest first.
    """

    kind: str
    low: float
    high: float
    reason: str
    words: tuple[str, ...] = ()

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype) -> Array:
        if math.prod(shape) > MOST_ELEMENTS:
            raise VerificationError(
                f"an input of shape {list(shape)} is too large to be run",
                hint="fewer --samples, or a smaller --input NAME=SHAPE",
            )
        if self.kind == "bool":
            return rng.integers(0, 2, shape).astype(bool)
        if self.kind == "text":
            return np.array(self.words, object)[rng.integers(0, len(self.words), shape)].reshape(shape)
        if self.kind == "integer":
            return rng.integers(int(self.low), int(self.high), shape).astype(dtype)
        if self.kind == "normal":
            centre, spread = (self.low + self.high) / 2, (self.high - self.low) / 2
            return (centre + spread * rng.standard_normal(shape)).astype(dtype)
        return rng.uniform(self.low, self.high, shape).astype(dtype)

    def __str__(self) -> str:
        if self.kind == "normal":
            return f"normal, mean {(self.low + self.high) / 2:.4g}, deviation {(self.high - self.low) / 2:.4g}"
        if self.kind == "text":
            return f"{len(self.words)} words"
        return self.kind if self.kind == "bool" else f"{self.kind} in [{self.low:g}, {self.high:g})"


MOST_ELEMENTS = 1 << 28
"""Of one sample: a gigabyte of float32, 16,384 pixels square in grey."""

BYTES = 255.0
THRESHOLD = 16.0
"""A divisor or subtrahend above this is one of pixels from 0 to 255, not of fractions."""

PASSES = (
    "Identity", "Cast", "Reshape", "ExpandDims", "Squeeze", "Transpose", "StopGradient", "Pad", "PadV2", "MirrorPad",
    "ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "Split", "SplitV", "StridedSlice",
    "Slice", "Unpack", "ReverseV2", "GatherV2", "Snapshot", "PlaceholderWithDefault", "GatherNd", "Unique",
    "SparseFillEmptyRows",
)  # fmt: skip
VALUES = {"Split": 1, "SparseFillEmptyRows": 1}
"""Which input of those the values are; of the others it is the first."""
ARITHMETIC = ("Sub", "Add", "AddV2", "BiasAdd", "Mul", "RealDiv", "Div")


def input_range(reference: InferenceGraph, endpoint: Endpoint) -> InputRange:
    """The range of ``endpoint``, from its dtype and from the first arithmetic that the graph does on it."""
    graph, dtype = reference.graph, endpoint.dtype
    if dtype.name == "bool":
        return InputRange("bool", 0, 2, "a bool")
    if dtype.name == "string":
        words = words_of(graph, endpoint.tensor)
        return InputRange("text", 0, len(words), "the graph's own words, and others", words)
    if dtype.is_integer:
        return _integer_range(graph, endpoint)
    if told := _indices(graph, endpoint) or _statistics(reference, endpoint):
        return told
    found = [step for step in _arithmetic(graph, endpoint.tensor) if step is not None]
    for node, value in found:
        if _magnitude(node, value) >= THRESHOLD:
            return InputRange("uniform", 0.0, BYTES, f"pixels: {node.name} is a {node.op} by {_brief(value)}")
    if found:
        node, value = found[0]
        return InputRange("uniform", 0.0, 1.0, f"fractions: {node.name} is a {node.op} by {_brief(value)}")
    return InputRange("normal", -1.0, 1.0, "nothing in the graph tells its range")


def _indices(graph: Graph, endpoint: Endpoint) -> InputRange | None:
    """The range of numbers that are looked up, whole ones of a floating type perhaps, as Keras feeds them."""
    found = [
        (limit, reader.name)
        for tensor in _passed(graph, endpoint.tensor)
        for reader in graph.readers(tensor)
        if (limit := _index_limit(graph, reader, tensor)) is not None
    ]
    if not found:
        return None
    limit, name = min(found, key=lambda each: each[0])
    return InputRange("integer", 0, limit, f"indices: {name} looks up {limit} rows")


def _integer_range(graph: Graph, endpoint: Endpoint) -> InputRange:
    """What is looked up, bytes, or small integers; a number for each sample may be a length, of which none is 0."""
    if indices := _indices(graph, endpoint):
        return indices
    if endpoint.dtype.name == "uint8":
        return InputRange("integer", 0, 256, "bytes")
    least = 1 if endpoint.shape is not None and len(endpoint.shape) == 1 else 0
    return InputRange("integer", least, 10, "small integers: nothing in the graph tells the range")


def _index_limit(graph: Graph, reader: Node, tensor: str) -> int | None:
    if reader.op in ("Gather", "GatherV2", "ResourceGather") and reader.inputs[1] == tensor:
        axis = graph.value(reader.inputs[2]) if len(reader.inputs) > 2 else np.array(0)
        shape = graph.shape_of(reader.inputs[0])
        return None if axis is None or shape is None else shape[int(axis)]
    if reader.op == "OneHot" and reader.inputs[0] == tensor:
        depth = graph.value(reader.inputs[1])
        return None if depth is None else int(depth)
    return None


def _passed(graph: Graph, tensor: str) -> Iterator[str]:
    """``tensor``, and what ops that keep its values make of it."""
    pending, seen = [tensor], {tensor}
    while pending:
        current = pending.pop(0)
        yield current
        for reader in graph.readers(current):
            if _keeps(reader, current):
                for output in graph.outputs_read(reader.name):
                    if output not in seen:
                        seen.add(output)
                        pending.append(output)


def _keeps(reader: Node, tensor: str) -> bool:
    """Whether ``reader`` gives values of ``tensor``; a Select that counts what is below 0 from the end gives most."""
    if reader.op in ("Select", "SelectV2"):
        return reader.inputs[2] == tensor
    return reader.op in PASSES and reader.inputs[VALUES.get(reader.op, 0)] == tensor


def _arithmetic(graph: Graph, tensor: str) -> Iterator[tuple[Node, Array]]:
    """The arithmetic with constants that is done on ``tensor`` before anything else, in order."""
    pending, seen = [tensor], {tensor}
    while pending and len(seen) < 64:
        for current in _passed(graph, pending.pop(0)):
            for reader in graph.readers(current):
                value = _operand(graph, reader, current)
                if value is None or reader.output in seen:
                    continue
                seen.add(reader.output)
                pending.append(reader.output)
                yield reader, value


def _operand(graph: Graph, reader: Node, tensor: str) -> Array | None:
    if reader.op not in ARITHMETIC or len(reader.inputs) != 2:
        return None
    first, second = reader.inputs
    value = graph.value(second if first == tensor else first)
    return value if value is not None and value.size and value.dtype.kind in "fiuV" else None


def _magnitude(node: Node, value: Array) -> float:
    size = float(np.median(np.abs(value.astype(np.float64))))
    if node.op == "Mul":
        return 1 / size if size else 0.0
    return size


def _brief(value: Array) -> str:
    return f"{float(value.reshape(-1)[0]):.4g}" if value.size == 1 else f"{value.size} values"


def _statistics(reference: InferenceGraph, endpoint: Endpoint) -> InputRange | None:
    """The range that a batch norm straight on the input was trained on: its own moving statistics."""
    passed = set(_passed(reference.graph, endpoint.tensor))
    for norm in reference.batch_norms:
        if norm.x in passed:
            mean = float(np.mean(norm.moving_mean.astype(np.float64)))
            spread = float(np.sqrt(np.mean(np.maximum(norm.moving_variance.astype(np.float64), 0.0)) + norm.epsilon))
            return InputRange("normal", mean - spread, mean + spread, f"the moving statistics of {norm.name}")
    return None
