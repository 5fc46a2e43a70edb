"""TensorFlow running an inference graph, as it is and in float64; what it says when it cannot is an error of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Graph
from bnfold.graph.evaluate import Session
from bnfold.graph.stages import InferenceGraph
from bnfold.graph.tensorflow import reason_of, tensorflow
from bnfold.samples.float64 import widen
from bnfold.samples.words import as_text

_OTHERS = "an input may take only some sizes or values: --data with samples that it takes, --input with its sizes"


class Reference:
    """TensorFlow running an inference graph.

    Parameters
    ----------
    inference : InferenceGraph
    graph : Graph, optional
        Run this in place of its graph.
    """

    def __init__(self, inference: InferenceGraph, graph: Graph | None = None) -> None:
        self._nodes = graph or inference.graph
        self.outputs = [endpoint.tensor for endpoint in inference.outputs]
        try:
            self._session = Session(self._nodes)
        except ValueError as error:
            raise VerificationError(
                f"TensorFlow refuses the inference graph: {reason_of(error)}", hint=_OTHERS
            ) from error

    def __contains__(self, node: object) -> bool:
        return node in self._nodes

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str] | None = None) -> list[Array]:
        """The outputs, or the tensors ``fetches``.

        Raises
        ------
        VerificationError
            When TensorFlow cannot run it on ``feeds``; the message is TensorFlow's.
        """
        tf = tensorflow()
        try:
            values = self._session.run(fetches or self.outputs, feeds)
        except (tf.errors.OpError, ValueError) as error:
            raise VerificationError(f"TensorFlow: {reason_of(error)}", hint=_OTHERS) from error
        return [_as_text(np.asarray(value)) for value in values]

    def close(self) -> None:
        self._session.close()


class Truth(Reference):
    """The same graph in float64.

    Attributes
    ----------
    in_float32 : tuple of str
        Ops computed in float32 all the same, for want of a kernel.
    """

    def __init__(self, inference: InferenceGraph) -> None:
        wide = widen(inference.graph)
        self.in_float32 = wide.in_float32
        super().__init__(inference, wide.graph)

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str] | None = None) -> list[Array]:
        return super().run({name: _wide(array) for name, array in feeds.items()}, fetches)

    def shaken(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The outputs for inputs of which each number is one rounding off: up or down, always the same ones.

        No float program can be asked for a result nearer to the true one than this: its inputs are rounded too.
        """
        rng = np.random.default_rng(0)
        moved = {
            name: _wide(array) * (1 + _roundoff(array) * rng.choice((-1, 1), array.shape))
            if array.dtype.kind == "f"
            else array
            for name, array in feeds.items()
        }
        return super().run(moved)


def _roundoff(array: Array) -> float:
    """Half the distance from 1 to the next number of the type."""
    return float(np.finfo(array.dtype).eps) / 2


def _as_text(array: Array) -> Array:
    """TensorFlow's strings are bytes, onnxruntime's are text."""
    if array.dtype != object:
        return array
    return np.array([as_text(item) for item in array.flat], object).reshape(array.shape)


def _wide(array: Array) -> Array:
    floating = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    return array.astype(np.float64) if floating else array
