"""Lowered: an ONNX model whose weights are still the graph's arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import ModelProto, TensorProto

from bnfold.export.initializers import to_tensor
from bnfold.graph import Array


@dataclass(frozen=True, eq=False)
class Lowered:
    """A model that has not been put into one proto, which would hold its weights once more and ends at 2 GiB.

    Attributes
    ----------
    shell : onnx.ModelProto
        The model without its initializers.
    weights : mapping of str to ndarray
        The initializers by name, in order. Read only: most are the arrays of the graph that was lowered.
    """

    shell: ModelProto
    weights: Mapping[str, Array]

    def tensors(self) -> Iterator[TensorProto]:
        """The initializers, each made when it is asked for."""
        return (to_tensor(name, array) for name, array in self.weights.items())

    def to_proto(self) -> ModelProto:
        """The whole model."""
        model = ModelProto()
        model.CopyFrom(self.shell)
        for tensor in self.tensors():
            model.graph.initializer.append(tensor)
        return model
