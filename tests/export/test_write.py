"""Files: in one piece, or with their tensors beside them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from bnfold.export.write import add_metadata, model_size, write


@pytest.fixture
def model() -> onnx.ModelProto:
    rng = np.random.default_rng(7)
    weights = [rng.normal(size=(300 + i, 300 + i)).astype(np.float32) for i in range(2)]
    initializers = [numpy_helper.from_array(w, f"w{i}:0") for i, w in enumerate(weights)]
    initializers.append(numpy_helper.from_array(np.array([-1, 300], np.int64), "shape"))
    nodes = [
        helper.make_node("Reshape", ["x:0", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "w0:0"], ["y:0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, ["N", 300])],
        [helper.make_tensor_value_info("y:0", TensorProto.FLOAT, ["N", 300])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8, producer_name="p")
    helper.set_model_props(model, {"a": "1"})
    return model


def test_file_is_the_model_when_it_fits_in_one_proto(model, tmp_path):
    write(model, tmp_path / "m.onnx")
    assert onnx.load(tmp_path / "m.onnx") == model
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


def test_size_is_that_of_the_file(model, tmp_path):
    write(model, tmp_path / "m.onnx")
    assert model_size(model) == pytest.approx((tmp_path / "m.onnx").stat().st_size, rel=0.001)


def test_large_tensors_are_beside_the_file_when_it_would_be_too_long(model, tmp_path):
    write(model, tmp_path / "m.onnx", limit=1000)
    assert (tmp_path / "m.onnx").stat().st_size < 1500
    bare = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    offsets = [int(entry.value) for t in bare.graph.initializer for entry in t.external_data if entry.key == "offset"]
    assert len(offsets) == 2
    assert all(offset % 4096 == 0 for offset in offsets)
    loaded = onnx.load(tmp_path / "m.onnx")
    for ours, theirs in zip(loaded.graph.initializer, model.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(ours), numpy_helper.to_array(theirs))
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)


def test_outputs_are_the_same_when_tensors_are_beside_the_file(model, tmp_path):
    x = np.random.default_rng(1).normal(size=(2, 300)).astype(np.float32)
    results = []
    for limit in (1000, 10**9):
        write(model, tmp_path / "m.onnx", limit=limit)
        results.append(onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"x:0": x})[0])
    np.testing.assert_array_equal(*results)


def test_model_is_unchanged_when_it_was_written(model, tmp_path):
    before = model.SerializeToString(deterministic=True)
    write(model, tmp_path / "m.onnx", limit=1000)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("limit", [1000, 10**9])
def test_file_is_the_same_when_its_metadata_comes_later(model, tmp_path, limit):
    whole, late = tmp_path / "whole" / "m.onnx", tmp_path / "late" / "m.onnx"
    for path in (whole, late):
        path.parent.mkdir()
    write(model, whole, limit=limit)
    without = onnx.ModelProto()
    without.CopyFrom(model)
    del without.metadata_props[:]
    write(without, late, limit=limit)
    assert not onnx.load(late, load_external_data=False).metadata_props
    add_metadata(model, late)
    assert late.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("limit", [1000, 10**9])
def test_places_are_where_the_bytes_are(model, tmp_path, limit):
    places = write(model, tmp_path / "m.onnx", limit=limit)
    assert set(places) == {tensor.name for tensor in model.graph.initializer}
    for tensor in model.graph.initializer:
        place = places[tensor.name]
        assert place.path.read_bytes()[place.offset :].startswith(tensor.raw_data)
