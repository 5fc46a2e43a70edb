"""Files that other tools wrote, or nobody should have: what they declare, and how their outputs come."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bnfold.errors import VerificationError
from bnfold.verify import OnnxModel, model_fingerprint, verify


def model(inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto], *nodes: onnx.NodeProto) -> OnnxModel:
    graph = helper.make_graph(list(nodes), "g", inputs, outputs)
    return OnnxModel(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))


def test_size_is_unknown_when_the_file_says_minus_one(nets: ModuleType) -> None:
    proto = nets.two_norms_onnx(image=(-1, 8, 9, 3))
    assert OnnxModel(proto).inputs[0].shape == (None, 8, 9, 3)
    assert verify(nets.two_norms(), proto, samples=2).equal


@pytest.mark.parametrize("number", [TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT4E2M1, 99, 0])
def test_dtype_is_unknown_when_tensorflow_has_none_such(number: int) -> None:
    value = onnx.ValueInfoProto(name="x")
    value.type.tensor_type.elem_type = number
    assert [found.dtype for found in model([value], [value]).inputs] == [None]


def test_output_that_is_a_sequence_is_refused_in_words() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    shape = helper.make_node("SequenceConstruct", ["x", "s"], ["y"])
    summed = helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0)
    with pytest.raises(VerificationError, match="output y is no tensor but a sequence") as refused:
        model([x], [y], summed, shape).session("off").run(["y"], {"x": np.ones((2, 3), np.float32)})
    assert refused.value.hint


@pytest.mark.parametrize("damage", ["type", "dims", "place"])
def test_fingerprint_is_refused_when_a_weight_makes_no_sense(nets: ModuleType, tmp_path: Path, damage: str) -> None:
    proto = nets.two_norms_onnx()
    weight = proto.graph.initializer[0]
    if damage == "type":
        weight.data_type = 99
    elif damage == "dims":
        weight.dims[0] += 4
    else:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value="../../etc/passwd")
    onnx.save(proto, tmp_path / "net.onnx")
    with pytest.raises(VerificationError, match="cannot be read") as refused:
        model_fingerprint(tmp_path / "net.onnx")
    assert refused.value.hint


def test_file_is_run_when_its_name_is_no_text(nets: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"net\xff.onnx")
    path.write_bytes(nets.two_norms_onnx().SerializeToString())
    assert verify(nets.two_norms(), path, samples=2, layers=True).equal


def test_file_is_refused_when_its_name_is_too_long() -> None:
    with pytest.raises(VerificationError, match="no ONNX file"):
        OnnxModel("n" * 5000)


def test_nothing_is_printed_when_onnxruntime_refuses_a_file(
    nets: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for results: of ``--json`` it is JSON, whatever onnxruntime has to say."""
    proto = nets.two_norms_onnx()
    proto.graph.node[0].op_type = "NoSuchOp"
    with pytest.raises(VerificationError, match="refuses"):
        OnnxModel(proto).session("off")
    assert capfd.readouterr().out == ""
