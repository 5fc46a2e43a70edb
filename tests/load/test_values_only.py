"""Checkpoints without a graph: the model brings it, and keeps its own values."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.load import load

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def _checkpoint(model, how, folder):
    if how == "named":
        return tf.train.Checkpoint(net=model, step=tf.Variable(3)).write(str(folder / "ckpt-3"))
    if how == "root":
        return tf.train.Checkpoint(model).write(str(folder / "ckpt-3"))
    if how == "manager":
        return tf.train.CheckpointManager(tf.train.Checkpoint(model=model), str(folder), 2).save() and folder
    model.save_weights(folder / "net.weights.h5")
    return folder / "net.weights.h5"


@pytest.mark.parametrize("how", ["named", "root", "manager", "keras weights"])
def test_result_is_the_saved_models_when_another_brings_the_graph(
    tmp_path, keras_model, other_keras_model, image, computed, how
):
    before = other_keras_model.get_weights()
    source = load(_checkpoint(keras_model, how, tmp_path), model=other_keras_model)
    np.testing.assert_allclose(computed(source, image)[0], keras_model(image, training=False), **CLOSE)
    for value, old in zip(other_keras_model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_result_is_the_truth_when_keras_2_saved_the_values(fixture_folder, computed):
    """Matched by the variables' names: the object trees of Keras 2 and 3 differ."""
    import keras

    folder = fixture_folder("keras_2")
    truth = np.load(folder / "expected_tf_keras.npz")
    from bnfold.load.keras_model import _build

    model = _build(folder / "tf_keras.h5", {})
    model.set_weights([np.full_like(value, 0.25) for value in model.get_weights()])
    source = load(folder / "values", model=model)
    assert isinstance(model, keras.Model)
    np.testing.assert_allclose(computed(source, truth["input"])[0], truth["output"], **CLOSE)


class Scaler(tf.Module):
    def __init__(self, value, names=("scale", "shift")):
        self.parts = [tf.Variable(value, name=names[0]), tf.Variable(2 * value, name=names[1])]

    @tf.function(input_signature=[tf.TensorSpec((2,), name="v")])
    def __call__(self, v):
        return v * self.parts[0] + self.parts[1]


def test_values_are_found_by_place_when_the_names_differ(tmp_path, computed):
    path = tf.train.Checkpoint(scaler=Scaler(np.float32([3, -4]))).write(str(tmp_path / "ckpt"))
    source = load(path, model=Scaler(np.float32([0, 0]), names=("other", "names")))
    np.testing.assert_array_equal(computed(source, np.float32([10, 10]))[0], [36, -48])


def test_values_are_found_by_name_when_only_a_function_is_passed(tmp_path, computed):
    path = tf.train.Checkpoint(scaler=Scaler(np.float32([3, -4]))).write(str(tmp_path / "ckpt"))
    model = Scaler(np.float32([0, 0]))
    source = load(path, model=model.__call__)
    np.testing.assert_array_equal(computed(source, np.float32([10, 10]))[0], [36, -48])


def test_model_must_be_named_when_the_checkpoint_holds_it_twice(tmp_path, computed):
    """Trained weights and their averages, say."""
    both = tf.train.Checkpoint(trained=Scaler(np.float32([3, -4])), average=Scaler(np.float32([1, 2])))
    path, model = both.write(str(tmp_path / "ckpt")), Scaler(np.float32([0, 0]))
    with pytest.raises(LoadError, match=r"holds 2 such models: .*average") as refusal:
        load(path, model=model)
    assert "rename_variables" in refusal.value.hint
    for place, result in [("trained", [36, -48]), ("average", [12, 24])]:
        source = load(path, model=model, rename_variables={"": place})
        np.testing.assert_array_equal(computed(source, np.float32([10, 10]))[0], result)


def test_model_need_not_be_named_when_the_checkpoint_holds_one_under_two_names(tmp_path, computed):
    saved_model = Scaler(np.float32([3, -4]))
    path = tf.train.Checkpoint(a=saved_model, b=saved_model).write(str(tmp_path / "ckpt"))
    source = load(path, model=Scaler(np.float32([0, 0])))
    np.testing.assert_array_equal(computed(source, np.float32([10, 10]))[0], [36, -48])


def test_checkpoint_is_refused_with_the_way_out_when_no_model_is_passed(tmp_path, keras_model):
    path = tf.train.Checkpoint(model=keras_model).write(str(tmp_path / "ckpt"))
    with pytest.raises(LoadError, match="has no graph") as refusal:
        load(path)
    assert "bnfold.convert(checkpoint, model=...)" in refusal.value.hint


def test_checkpoint_is_refused_when_it_has_none_of_the_models_variables(tmp_path, keras_model):
    path = tf.train.Checkpoint(scaler=Scaler(np.float32([3, -4]))).write(str(tmp_path / "ckpt"))
    with pytest.raises(LoadError, match="none of the model's variables is in the checkpoint ckpt"):
        load(path, model=keras_model)


def test_variable_is_refused_when_its_shape_is_another(tmp_path):
    path = tf.train.Checkpoint(scaler=Scaler(np.float32([3, -4, 5]))).write(str(tmp_path / "ckpt"))
    source = load(path, model=Scaler(np.float32([0, 0])))
    with pytest.raises(LoadError, match=r"shapes disagree: scale is \(2,\) in the graph and \(3,\)"):
        source.variables["scale"].read()


def test_checkpoint_is_refused_when_it_is_truncated(tmp_path, keras_model, other_keras_model):
    path = tf.train.Checkpoint(model=keras_model).write(str(tmp_path / "ckpt"))
    data = tmp_path / "ckpt.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(LoadError, match="truncated"):
        load(path, model=other_keras_model)


def test_weights_are_refused_when_they_are_of_another_model(tmp_path, keras_model):
    import keras

    keras_model.save_weights(tmp_path / "net.weights.h5")
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    before = other.get_weights()
    with pytest.raises(LoadError, match="Keras cannot load the weights"):
        load(tmp_path / "net.weights.h5", model=other)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])


def test_values_are_found_when_a_tensorflow_1_checkpoint_has_lost_its_graph(saved, tmp_path, computed):
    prefix = saved.copied_to(tmp_path)
    prefix.with_name(f"{prefix.name}.meta").unlink()
    kernel = tf.Variable(np.zeros((5, 3), np.float32), name="dense/kernel")
    model = tf.function(lambda x: x @ kernel, input_signature=[tf.TensorSpec((None, 5), name="x")])
    source = load(tmp_path, model=model, rename_variables={"dense": "net/dense"})
    assert source.step == 7
    np.testing.assert_array_equal(source.variables["dense/kernel"].read(), saved.values["net/dense/kernel"])
