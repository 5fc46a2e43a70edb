"""Frozen graphs, binary and text; graphs that are not frozen."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.graph.evaluate import run
from bnfold.load import load

v1 = tf.compat.v1


def test_result_is_the_truth_when_an_inference_graph_was_frozen(fixture_folder):
    folder = fixture_folder("frozen_training_graph")
    truth = np.load(folder / "expected.npz")
    source = load(folder / "frozen_inference.pb")
    assert (source.kind, source.label, dict(source.variables)) == ("frozen graph", "frozen_inference.pb", {})
    feeds = {str(truth["input_name"]): truth["input"]}
    (output,) = run(source.graph, [str(truth["output_name"])], feeds)
    np.testing.assert_allclose(output, truth["output"], rtol=1e-6, atol=1e-6)


def test_leftovers_of_training_are_kept_when_tensorflow_would_refuse_the_graph(fixture_folder):
    path = fixture_folder("frozen_training_graph") / "frozen.pb"
    graph = load(path).graph
    assert {"RefSwitch", "AssignSub"} & {node.op for node in graph}
    proto = v1.GraphDef()
    proto.ParseFromString(path.read_bytes())
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Input 0 of node"):
        tf.graph_util.import_graph_def(proto, name="")


def test_text_is_read_when_a_graph_was_written_so(fixture_folder, tmp_path):
    path = fixture_folder("frozen_training_graph") / "frozen.pb"
    proto = v1.GraphDef()
    proto.ParseFromString(path.read_bytes())
    v1.train.write_graph(proto, str(tmp_path), "graph.pbtxt", as_text=True)
    binary, text = load(path).graph, load(tmp_path / "graph.pbtxt").graph
    assert [(n.name, n.op, n.inputs, n.controls) for n in text] == [
        (n.name, n.op, n.inputs, n.controls) for n in binary
    ]
    kernel = next(node.name for node in binary if node.op == "Const" and node.attrs["value"].ndim == 4)
    np.testing.assert_array_equal(text[kernel].attrs["value"], binary[kernel].attrs["value"])


def test_variables_are_refused_when_the_graph_is_not_frozen(fixture_folder):
    source = load(fixture_folder("frozen_training_graph") / "not_frozen.pb")
    with pytest.raises(
        LoadError, match=r"not_frozen\.pb is not frozen: the variable conv/kernel has no value"
    ) as refusal:
        source.variables["conv/kernel"].read()
    assert "checkpoint" in refusal.value.hint


def test_functions_are_inlined_when_tensorflow_2_froze_the_graph(tmp_path):
    scale = tf.Variable(np.float32([2, -3]))

    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="v")])
    def model(v):
        return tf.cond(tf.reduce_sum(v) > 0, lambda: v * scale, lambda: v - scale)

    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(model.get_concrete_function(), lower_control_flow=False)
    (tmp_path / "frozen.pb").write_bytes(frozen.graph.as_graph_def().SerializeToString())
    source = load(tmp_path / "frozen.pb")
    v = np.float32([[1, 2], [-3, -4]])
    (output,) = run(source.graph, [frozen.outputs[0].name], {frozen.inputs[0].name: v})
    np.testing.assert_array_equal(output, model(v))


def test_only_model_is_taken_when_the_directory_has_no_checkpoint(shared_checkpoint):
    folder = shared_checkpoint("keyword_spotting__DS_CNN_S")
    assert load(folder).label == "DS_CNN_S.pb"


@pytest.mark.parametrize(
    "content",
    [b"", b"hello\n", b"\xff\xd8\xff\xe0 JFIF" * 9, b"node { name: 'x' }", bytes(200), b"\x0a\x03\x0a\x01x"],
    ids=["empty", "text", "photo", "text without ops", "zeros", "node without op"],
)
def test_file_is_refused_when_it_is_no_graph(tmp_path, content):
    (tmp_path / "graph.pb").write_bytes(content)
    with pytest.raises(LoadError, match=r"graph\.pb is") as refusal:
        load(tmp_path / "graph.pb")
    assert refusal.value.hint


def test_file_is_refused_before_it_is_read_when_no_proto_is_so_long(tmp_path):
    with (tmp_path / "net.pb").open("wb") as file:
        file.truncate(1 << 36)  # a hole, that takes no room
    with pytest.raises(LoadError, match="more than 2 GiB") as refusal:
        load(tmp_path / "net.pb")
    assert refusal.value.hint
