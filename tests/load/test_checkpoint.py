"""What a TensorFlow 1 checkpoint gives: its graph, its variables' values, its collections."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.graph.tensorflow import message
from bnfold.load import load

v1 = tf.compat.v1


def test_graph_is_the_whole_training_graph_when_a_prefix_is_loaded(saved):
    source = load(saved.prefix)
    assert source.kind == "checkpoint"
    assert source.label == "model.ckpt-7"
    assert source.graph["net/matmul"].inputs == ("net/x:0", "net/dense/kernel/read:0")
    assert {"ApplyMomentum", "AssignSub", "SaveV2"} <= {node.op for node in source.graph}


@pytest.mark.parametrize("resource", [False, True], ids=["VariableV2", "VarHandleOp"])
@pytest.mark.parametrize("sharded", [False, True], ids=["one file", "sharded"])
@pytest.mark.parametrize("version", [1, 2], ids=["V1", "V2"])
def test_values_are_those_of_the_session_when_variables_are_read(
    tmp_path, save_training_graph, resource, sharded, version
):
    saved = save_training_graph(tmp_path, resource=resource, sharded=sharded, write_version=version)
    source = load(tmp_path)
    assert set(source.variables) == set(saved.values)
    for name, truth in saved.values.items():
        variable = source.variables[name]
        assert variable.key == name
        assert variable.dtype.numpy == truth.dtype
        assert variable.shape == truth.shape
        np.testing.assert_array_equal(variable.read(), truth)


def test_slices_are_read_apart_when_a_variable_is_partitioned(fixture_folder):
    source = load(fixture_folder("partitioned"))
    reader = tf.train.load_checkpoint(str(fixture_folder("partitioned") / "model.ckpt-12"))
    parts = [variable for variable in source.variables.values() if "part_" in variable.name]
    wholes = {variable.key for variable in parts}
    assert len(wholes) >= 4
    assert all(sum(variable.key == key for variable in parts) in (2, 3) for key in wholes)
    assert all(variable.read().shape == variable.shape for variable in parts)
    for key in wholes:
        truth = reader.get_tensor(key)
        slices = [variable.read() for variable in parts if variable.key == key]
        axis = next(a for a in range(truth.ndim) if slices[0].shape[a] < truth.shape[a])
        np.testing.assert_array_equal(np.concatenate(slices, axis), truth)


def test_slices_are_found_in_the_collections_when_there_is_no_saver(tmp_path, fixture_folder):
    folder = fixture_folder("partitioned")
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    meta = tmp_path / "model.ckpt-12.meta"
    proto = message("protobuf.meta_graph", "MetaGraphDef")
    proto.ParseFromString(meta.read_bytes())
    proto.ClearField("saver_def")
    meta.write_bytes(proto.SerializeToString())
    with_saver, without = load(folder), load(tmp_path)
    for name, variable in with_saver.variables.items():
        assert without.variables[name].key == variable.key
        np.testing.assert_array_equal(without.variables[name].read(), variable.read())


def test_names_are_the_savers_when_it_renames(fixture_folder):
    source = load(fixture_folder("prefix_in_saver"))
    assert source.variables["tower/bn/moving_mean"].key == "model/bn/moving_mean"
    assert source.variables["tower/bn/moving_mean"].read().shape == source.variables["tower/bn/moving_mean"].shape


def test_the_right_saver_is_followed_when_the_graph_has_two(tmp_path):
    """A Saver that restores moving averages under the weights' names must not tell where the weights are."""
    with tf.Graph().as_default(), v1.Session() as session:
        weight = v1.get_variable("w", initializer=np.float32([1.0, 2.0]), use_resource=False)
        shadow = v1.get_variable("w/ema", initializer=np.float32([3.0, 4.0]), use_resource=False)
        v1.train.Saver({"w": shadow, "other": weight})
        saver = v1.train.Saver()
        session.run(v1.global_variables_initializer())
        saver.save(session, str(tmp_path / "m"))
    variables = load(tmp_path).variables
    np.testing.assert_array_equal(variables["w"].read(), [1.0, 2.0])
    np.testing.assert_array_equal(variables["w/ema"].read(), [3.0, 4.0])


def test_old_variable_ops_are_bound_when_the_graph_is_of_tensorflow_0(fixture_folder):
    source = load(fixture_folder("old_variables"))
    assert {source.graph[name].op for name in source.variables} == {"Variable"}
    assert source.variables["bn/moving_mean"].read().shape == source.variables["bn/moving_mean"].shape


def test_collections_are_names_when_they_hold_ops_tensors_and_variables(saved):
    collections = load(saved.prefix).collections
    assert collections["losses"] == ("net/loss:0",)
    assert collections["train_op"] == ("Momentum",)
    assert collections["trainable_variables"] == ("net/dense/kernel", "net/bn/gamma")
    assert collections["global_step"] == ("global_step",)
    assert "net/bn/moving_mean" in collections["variables"]


def test_step_is_the_variables_when_the_name_says_otherwise(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("model.ckpt-7", "model.ckpt-999")))
    assert load(prefix.with_name("model.ckpt-999")).step == 7


def test_step_is_none_when_none_was_saved(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("w", initializer=1.0)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(tmp_path / "plain"))
    assert load(tmp_path).step is None


def test_signatures_are_tensors_by_argument_when_the_meta_graph_declares_them(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    meta = prefix.with_name(prefix.name + ".meta")
    proto = message("protobuf.meta_graph", "MetaGraphDef")
    proto.ParseFromString(meta.read_bytes())
    signature = proto.signature_def["serving_default"]
    signature.inputs["features"].name = "net/x:0"
    signature.outputs["score"].name = "net/loss:0"
    meta.write_bytes(proto.SerializeToString())
    (found,) = load(prefix).signatures
    assert (found.name, found.inputs, found.outputs) == (
        "serving_default",
        {"features": "net/x:0"},
        {"score": "net/loss:0"},
    )


def test_fingerprint_differs_when_one_byte_of_a_file_does(saved, tmp_path):
    prefix = saved.copied_to(tmp_path / "moved")
    assert load(prefix).fingerprint == load(saved.prefix).fingerprint
    assert re.fullmatch("[0-9a-f]{64}", load(prefix).fingerprint)
    data = next(prefix.parent.glob("*.data-*"))
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    assert load(prefix).fingerprint != load(saved.prefix).fingerprint


def test_variable_is_refused_only_when_read_when_the_saver_left_it_out(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        kept = v1.get_variable("bn/gamma", initializer=np.float32([2.0]), use_resource=False)
        v1.get_variable("bn/moving_mean", initializer=np.float32([3.0]), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver([kept]).save(session, str(tmp_path / "m"))
    variables = load(tmp_path).variables
    assert variables["bn/moving_mean"].key is None
    with pytest.raises(LoadError, match="bn/moving_mean is not in the checkpoint m") as refusal:
        variables["bn/moving_mean"].read()
    assert refusal.value.node == "bn/moving_mean"
    assert "Saver" in refusal.value.hint
    np.testing.assert_array_equal(variables["bn/gamma"].read(), [2.0])


def _save_one(folder, value):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("fc/weights", initializer=value, use_resource=False)
        v1.get_variable("fc/biases", initializer=np.float32([5.0]), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "m"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.ones((3, 4), np.float32), r"shapes disagree: fc/weights is \(2, 4\) in the graph and \(3, 4\)"),
        (np.ones(8, np.float32), r"shapes disagree: fc/weights is \(2, 4\) in the graph and \(8,\)"),
        (np.ones((2, 4), np.float64), "fc/weights is float32 in the graph and float64"),
    ],
    ids=["size", "rank", "dtype"],
)
def test_variable_is_refused_when_the_data_is_of_another_model(tmp_path, value, reason):
    (tmp_path / "other").mkdir()
    _save_one(tmp_path, np.full((2, 4), 2.0, np.float32))
    _save_one(tmp_path / "other", value)
    (tmp_path / "m.meta").replace(tmp_path / "other" / "m.meta")
    variables = load(tmp_path / "other").variables
    np.testing.assert_array_equal(variables["fc/biases"].read(), [5.0])
    with pytest.raises(LoadError, match=reason) as refusal:
        variables["fc/weights"].read()
    assert "different models" in refusal.value.hint


def test_shared_checkpoint_is_refused_when_meta_and_data_disagree(shared_checkpoint):
    variables = load(shared_checkpoint("pointnet__mismatch")).variables
    with pytest.raises(LoadError, match=r"shapes disagree: fc3/weights is \(64, 40\) .* \(3200, 40\)"):
        variables["fc3/weights"].read()


def test_prefix_is_named_when_the_checkpoint_lacks_it(fixture_folder):
    source = load(fixture_folder("prefix_foreign"))
    (note,) = source.notes
    assert (note.level, note.kind) == ("warning", "names-differ")
    assert "--rename-variables net/=" in note.hint
    with pytest.raises(LoadError, match="net/bn/gamma is not in the checkpoint") as refusal:
        source.variables["net/bn/gamma"].read()
    assert "--rename-variables net/=" in refusal.value.hint


def test_values_are_found_when_the_prefix_is_renamed(fixture_folder):
    folder = fixture_folder("prefix_foreign")
    source = load(folder, rename_variables={"net/": ""})
    reader = tf.train.load_checkpoint(str(folder / "model.ckpt-12"))
    assert source.notes == ()
    for name, variable in source.variables.items():
        np.testing.assert_array_equal(variable.read(), reader.get_tensor(name.removeprefix("net/")))


def test_text_meta_graph_is_read_when_it_was_exported_as_text(saved, tmp_path):
    from google.protobuf import text_format

    prefix = saved.copied_to(tmp_path)
    meta = prefix.with_name(prefix.name + ".meta")
    proto = message("protobuf.meta_graph", "MetaGraphDef")
    proto.ParseFromString(meta.read_bytes())
    meta.write_text(text_format.MessageToString(proto))
    assert len(load(prefix).graph) == len(load(saved.prefix).graph)
