"""SavedModels of TensorFlow 1 and 2: what they compute, which graph and signature is taken, what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.graph.evaluate import run
from bnfold.inference import infer
from bnfold.load import load

v1 = tf.compat.v1


class TwoWays(tf.Module):
    """A module with two functions to serve, and a variable that neither uses."""

    def __init__(self):
        self.weight = tf.Variable(np.float32([[1, -2], [3, 0.5]]), name="weight")
        self.unused = tf.Variable(np.float32([7]), name="unused")

    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="v")])
    def forward(self, v):
        return {"product": v @ self.weight, "sum": tf.reduce_sum(v, 1)}

    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="v")])
    def backward(self, v):
        return v @ tf.transpose(self.weight)


@pytest.fixture(scope="module")
def two_signatures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_signatures")
    model = TwoWays()
    tf.saved_model.save(model, str(folder), signatures={"forward": model.forward, "backward": model.backward})
    return folder


@pytest.mark.parametrize("kind", ["inference", "training"])
def test_graph_and_values_are_the_saved_ones_when_tensorflow_1_wrote_it(fixture_folder, kind):
    folder = fixture_folder("saved_model") / kind
    source = load(folder)
    assert (source.kind, source.label) == ("saved model", kind)
    (signature,) = source.signatures
    assert (signature.name, set(signature.inputs), set(signature.outputs)) == ("serving_default", {"image"}, {"logits"})
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    assert set(source.variables) == set(reader.get_variable_to_shape_map())
    for name, variable in source.variables.items():
        np.testing.assert_array_equal(variable.read(), reader.get_tensor(name))


def test_result_is_the_truth_when_tensorflow_1_wrote_an_inference_graph(fixture_folder, computed):
    truth = np.load(fixture_folder("saved_model") / "expected.npz")
    (output,) = computed(load(fixture_folder("saved_model") / "inference"), truth["input"])
    np.testing.assert_allclose(output, truth["output"], rtol=1e-6, atol=1e-6)


def test_result_is_the_models_when_keras_3_exported_it(tmp_path, keras_model, image, computed):
    keras_model.export(str(tmp_path), verbose=False)
    source = load(tmp_path)
    np.testing.assert_allclose(computed(source, image)[0], keras_model(image, training=False), rtol=1e-5, atol=1e-6)
    assert not [node.op for node in source.graph if "Call" in node.op]
    assert "SaveV2" not in {node.op for node in source.graph}


def test_result_is_the_models_when_a_module_serves_a_keras_model_in_training_mode(tmp_path, image):
    """Copies of the variables are saved, and the function reads the originals."""
    keras = tf.keras
    keras_model = keras.Sequential(
        [
            keras.layers.Conv2D(5, 3, bias_initializer="random_normal"),
            keras.layers.BatchNormalization(
                moving_mean_initializer="random_normal", gamma_initializer="random_normal", epsilon=0.01
            ),
        ]
    )
    keras_model.build(image.shape)

    class Trainer(tf.Module):
        def __init__(self):
            self.model = keras_model

        @tf.function(input_signature=[tf.TensorSpec((None, *image.shape[1:]), name="x")])
        def step(self, x):
            return self.model(x, training=True)

    trainer = Trainer()
    expected = keras_model(image, training=False).numpy()
    tf.saved_model.save(trainer, str(tmp_path), signatures=trainer.step)
    source = load(tmp_path)
    assert all(variable.key for variable in source.variables.values())
    inference = infer(source)
    (got,) = run(inference.graph, [inference.outputs[0].tensor], {inference.inputs[0].tensor: image})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_result_is_the_models_when_keras_2_saved_it(fixture_folder, computed):
    truth = np.load(fixture_folder("keras_2") / "expected_tf_keras.npz")
    source = load(fixture_folder("keras_2") / "saved_model")
    np.testing.assert_allclose(computed(source, truth["input"])[0], truth["output"], rtol=1e-5, atol=1e-6)
    assert source.signatures[0].outputs["head"] == "net/head/Softmax:0"


def test_every_variable_is_bound_when_tensorflow_2_saved_it(two_signatures):
    source = load(two_signatures, signature="forward")
    assert source.variables["weight"].key == "weight/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_array_equal(source.variables["weight"].read(), np.float32([[1, -2], [3, 0.5]]))
    np.testing.assert_array_equal(source.variables["unused"].read(), [7])


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_result_is_the_signatures_when_one_is_chosen(two_signatures, computed, name):
    source = load(two_signatures, signature=name)
    v = np.float32([[1, 2], [-3, 4]])
    model = TwoWays()
    truth = getattr(model, name)(v)
    truth = truth if isinstance(truth, dict) else {"output_0": truth}
    assert [s.name for s in source.signatures] == [name]
    for argument, output in zip(source.signatures[0].outputs, computed(source, v), strict=True):
        np.testing.assert_allclose(output, truth[argument], rtol=1e-6)


def test_saved_model_is_refused_with_the_names_when_no_signature_is_the_default(two_signatures):
    with pytest.raises(LoadError, match="has 2 signatures") as refusal:
        load(two_signatures)
    assert "--signature: backward, forward" in refusal.value.hint


def test_signature_is_refused_with_the_nearest_when_it_is_not_there(two_signatures):
    with pytest.raises(LoadError, match="has no signature 'foward'") as refusal:
        load(two_signatures, signature="foward")
    assert refusal.value.hint == "did you mean forward?"


def test_saved_model_is_refused_when_it_has_no_signature(tmp_path):
    model = tf.Module()
    model.weight = tf.Variable(1.0)
    tf.saved_model.save(model, str(tmp_path))
    with pytest.raises(LoadError, match="has no signature") as refusal:
        load(tmp_path)
    assert "get_concrete_function" in refusal.value.hint


def _save_tagged(folder, *tag_sets):
    """A SavedModel with one graph for each of ``tag_sets``; the graph adds its position."""
    builder = v1.saved_model.Builder(str(folder))
    for position, tags in enumerate(tag_sets):
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, (None,), name="x")
            weight = v1.get_variable("w", initializer=2.0, use_resource=False)
            y = tf.add(x * weight, float(position), name="y")
            session.run(v1.global_variables_initializer())
            signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
            if position == 0:
                builder.add_meta_graph_and_variables(session, tags, {"serving_default": signature})
            else:
                builder.add_meta_graph(tags, {"serving_default": signature})
    builder.save()


@pytest.mark.parametrize(
    ("tags", "position"),
    [(None, 1), ("train", 0), (["train"], 0), ("serve", 1), ("serve,gpu", 2), (["gpu", "serve"], 2)],
)
def test_graph_is_the_tagged_one_when_there_are_several(tmp_path, computed, tags, position):
    _save_tagged(tmp_path / "m", ["train"], ["serve"], ["serve", "gpu"])
    source = load(tmp_path / "m", tags=tags)
    np.testing.assert_array_equal(computed(source, np.float32([1, 5]))[0], np.float32([2, 10]) + position)
    assert [note.kind for note in source.notes] == (["tags-chosen"] if tags is None else [])


def test_graph_is_the_untagged_one_when_the_tags_are_empty(tmp_path, computed):
    _save_tagged(tmp_path / "m", [], ["train"])
    assert computed(load(tmp_path / "m", tags=""), np.float32([1, 5]))[0].tolist() == [2, 10]


def test_saved_model_is_refused_with_the_tags_when_none_is_serve(tmp_path):
    _save_tagged(tmp_path / "m", ["train"], ["eval"])
    with pytest.raises(LoadError, match="holds 2 graphs") as refusal:
        load(tmp_path / "m")
    assert "--tags" in refusal.value.hint
    with pytest.raises(LoadError, match="has no graph tagged serve") as refusal:
        load(tmp_path / "m", tags="serve")
    assert "train; eval" in refusal.value.hint


def test_saved_model_is_found_when_its_file_is_named(two_signatures):
    assert load(two_signatures / "saved_model.pb", signature="forward").label == two_signatures.name


def test_saved_model_is_read_when_it_is_text(two_signatures, tmp_path):
    from google.protobuf import text_format

    from bnfold.graph.tensorflow import message

    shutil.copytree(two_signatures, tmp_path / "m")
    proto = message("protobuf.saved_model", "SavedModel")
    proto.ParseFromString((tmp_path / "m" / "saved_model.pb").read_bytes())
    (tmp_path / "m" / "saved_model.pb").unlink()
    (tmp_path / "m" / "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    assert set(load(tmp_path / "m", signature="forward").variables) == {"weight", "unused"}


def _without(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("variables/*.index", r"variables\.index is missing"), ("variables/*.data*", "has no values")],
)
def test_saved_model_is_refused_when_a_file_is_missing(two_signatures, tmp_path, pattern, reason):
    shutil.copytree(two_signatures, tmp_path / "m")
    _without(tmp_path / "m", pattern)
    with pytest.raises(LoadError, match=reason) as refusal:
        load(tmp_path / "m", signature="forward")
    assert refusal.value.hint


def test_variable_is_refused_when_the_values_were_not_copied(two_signatures, tmp_path):
    shutil.copytree(two_signatures, tmp_path / "m")
    shutil.rmtree(tmp_path / "m" / "variables")
    source = load(tmp_path / "m", signature="forward")
    with pytest.raises(LoadError, match="has no directory 'variables': the variable weight has no value"):
        source.variables["weight"].read()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_saved_model_is_refused_when_it_is_truncated(two_signatures, tmp_path, kept):
    shutil.copytree(two_signatures, tmp_path / "m")
    path = tmp_path / "m" / "saved_model.pb"
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(LoadError) as refusal:
        load(tmp_path / "m", signature="forward")
    assert refusal.value.hint


def test_nothing_but_a_load_error_is_raised_when_a_saved_model_is_garbled(two_signatures, tmp_path):
    shutil.copytree(two_signatures, tmp_path / "m")
    path = tmp_path / "m" / "saved_model.pb"
    whole = path.read_bytes()
    rng = np.random.default_rng(4)
    refused = 0
    for position in rng.integers(0, len(whole), 100):
        content = bytearray(whole)
        content[position] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            for variable in load(tmp_path / "m", signature="forward").variables.values():
                variable.read()
        except LoadError:
            refused += 1
    assert refused > 5
