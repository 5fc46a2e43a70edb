"""What is compared with the reference: a model with declared inputs and outputs, and ways to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bnfold.graph import Array, DType, Shape
from bnfold.graph.stages import Endpoint, InferenceGraph
from bnfold.samples.session import Reference


@dataclass(frozen=True)
class Value:
    """An input or output that a model declares.

    Attributes
    ----------
    name : str
    dtype : DType or None
    shape : Shape or None
        None where the model does not say.
    """

    name: str
    dtype: DType | None
    shape: Shape | None


class Runner(Protocol):
    """A model ready to run."""

    def run(self, fetches: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]: ...


class Candidate(Protocol):
    """A model to compare.

    Attributes
    ----------
    label : str
        The name to print.
    inputs, outputs : list of Value
    modes : tuple of str
        The ways to run it; all must agree with the reference.
    is_large : bool
        Its weights should be in memory once at a time.
    """

    inputs: list[Value]
    outputs: list[Value]
    modes: tuple[str, ...]

    @property
    def is_large(self) -> bool: ...

    @property
    def label(self) -> str: ...

    def runner(self, mode: str) -> Runner:
        """The model ready to run in one of its modes."""
        ...


class GraphModel:
    """An inference graph, run by TensorFlow: what is written as a frozen graph."""

    label = "the frozen graph"
    modes: tuple[str, ...] = ("tensorflow",)
    is_large = False

    def __init__(self, inference: InferenceGraph) -> None:
        self._inference = inference
        self.inputs = [_value(endpoint) for endpoint in inference.inputs]
        self.outputs = [_value(endpoint) for endpoint in inference.outputs]
        self._tensors = {endpoint.name: endpoint.tensor for endpoint in (*inference.inputs, *inference.outputs)}

    def runner(self, mode: str) -> Runner:
        return _GraphRunner(Reference(self._inference), self._tensors)


class _GraphRunner:
    """Feeds and fetches an inference graph by its endpoints' names."""

    def __init__(self, session: Reference, tensors: Mapping[str, str]) -> None:
        self._session, self._tensors = session, tensors

    def run(self, fetches: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        named = {self._tensors[name]: array for name, array in feeds.items()}
        return self._session.run(named, [self._tensors[name] for name in fetches])


def _value(endpoint: Endpoint) -> Value:
    return Value(endpoint.name, endpoint.dtype, endpoint.shape)
