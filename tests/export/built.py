"""ONNX graphs put together by hand, to be tidied."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import ModelProto, helper

from bnfold.export.initializers import Initializers, to_tensor
from bnfold.export.onnx_graph import Names, OnnxGraph, OnnxNode
from bnfold.export.tidying import tidy
from bnfold.graph import TensorType
from bnfold.graph.dtypes import FLOAT32, INT64

SHAPE = (2, 3, 5, 7)
X = np.random.default_rng(11).normal(size=SHAPE).astype(np.float32)


class Built:
    """An ONNX graph with one image ``x`` of unknown sizes, put together by hand."""

    def __init__(self) -> None:
        self.graph = OnnxGraph("g")
        self.names = Names()
        self.initializers = Initializers(self.names.take)
        self.graph.inputs.append(self.names.take("x"))
        self.graph.types["x"] = TensorType(FLOAT32, (None,) * 4)

    def __call__(self, op: str, *inputs: object, name: str = "", **attrs: object) -> str:
        name = self.names.take(name or op.lower())
        given = [value if isinstance(value, str) else self.initializers.add(np.asarray(value), "c") for value in inputs]
        self.graph.add(OnnxNode(op, given, [name], attrs, name))
        return name

    def ends(self, *values: str, dtype: object = INT64) -> None:
        for value in values:
            self.graph.outputs.append(value)
            self.graph.types[value] = TensorType(dtype, None)

    def run(self, opset: int) -> list[np.ndarray]:
        opsets = [helper.make_opsetid("", opset)]
        model = ModelProto(ir_version=8, opset_import=opsets, graph=self.graph.to_proto())
        reads = set(self.graph.reads())
        model.graph.initializer.extend(to_tensor(name, array) for name, array in self.initializers.among(reads))
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(list(self.graph.outputs), {"x": X})

    def tidied(self, opset: int = 18) -> list[str]:
        """The ops after tidying; the outputs are as they were, by name and by value."""
        outputs, before = list(self.graph.outputs), self.run(opset)
        tidy(self.graph, self.initializers, self.names, opset)
        assert self.graph.outputs == outputs
        for ours, theirs in zip(self.run(opset), before, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        return [node.op for node in self.graph.nodes]
