"""Keras models, in memory and in files of Keras 3 and Keras 2: what they compute, and what is refused unread."""

from __future__ import annotations

import inspect
import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from bnfold.errors import LoadError
from bnfold.load import load
from bnfold.load.keras_legacy import LEFT_OUT, RENAMED, tolerant_layers
from bnfold.load.keras_model import REFUSED_LAYERS

# float32, a few hundred products a sum: the two sides differ by the order of additions alone
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def test_result_is_the_models_when_it_is_handed_over(keras_model, image, computed):
    source = load(keras_model)
    assert (source.kind, source.label, source.path) == ("keras model", "net", None)
    np.testing.assert_allclose(computed(source, image)[0], keras_model(image, training=False), **CLOSE)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_result_is_the_models_when_keras_3_saved_it(tmp_path, keras_model, image, computed, suffix):
    path = tmp_path / f"model{suffix}"
    keras_model.save(path)
    source = load(path)
    assert (source.kind, source.label, source.path) == ("keras model", path.name, path)
    np.testing.assert_allclose(computed(source, image)[0], keras_model(image, training=False), **CLOSE)


@pytest.mark.parametrize("name", ["tf_keras", "tf_1_15", "tf_1_15_sequence", "tf_1_15_nested"])
def test_result_is_the_truth_when_keras_2_saved_the_file(fixture_folder, computed, name):
    """The files have arguments that Keras 3 refuses or misreads, and a hard_sigmoid, which it computes differently."""
    folder = fixture_folder("keras_2")
    truth = np.load(folder / f"expected_{name}.npz")
    np.testing.assert_allclose(computed(load(folder / f"{name}.h5"), truth["input"])[0], truth["output"], **CLOSE)


def test_graph_is_that_of_inference_when_a_keras_model_is_traced(keras_model):
    source = load(keras_model)
    assert not {"RandomUniform", "AssignVariableOp", "AssignSubVariableOp"} & {node.op for node in source.graph}
    assert not [node.op for node in source.graph if "Call" in node.op]


def test_variables_are_named_by_their_path_when_keras_holds_them(keras_model):
    source = load(keras_model)
    variance = keras_model.get_layer("bn").moving_variance
    np.testing.assert_array_equal(source.variables[variance.path].read(), variance)


def test_interface_is_named_by_layers_when_the_model_says_so(keras_model):
    (signature,) = load(keras_model).signatures
    assert dict(signature.inputs) == {"image": "image:0"}
    assert list(signature.outputs) == ["head"]


def test_every_input_and_output_is_in_the_interface_when_there_are_several(computed):
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    total = keras.layers.Add(name="total")([a, b])
    model = keras.Model({"b": b, "a": a}, [total, keras.layers.Subtract(name="rest")([a, b])])
    source = load(model)
    (signature,) = source.signatures
    assert set(signature.inputs) == {"a", "b"}
    assert list(signature.outputs) == ["total", "rest"]
    values = {"a": np.float32([[1, 2, 3]]), "b": np.float32([[10, 20, 30]])}
    outputs = computed(source, *(values[name] for name in signature.inputs))
    np.testing.assert_array_equal(outputs[0], values["a"] + values["b"])
    np.testing.assert_array_equal(outputs[1], values["a"] - values["b"])


@keras.saving.register_keras_serializable("tests")
class Doubling(keras.Model):
    """A subclassed model, which has no symbolic inputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2, name="dense")
        self.norm = keras.layers.BatchNormalization(name="norm")

    def call(self, x, training=False):
        return 2 * self.norm(self.dense(x), training=training)


def test_result_is_the_models_when_it_is_subclassed_and_built(computed):
    model, x = Doubling(), np.float32([[1, -2, 3]])
    model(x)
    model.norm.moving_mean.assign([0.5, -2.0])
    np.testing.assert_allclose(computed(load(model), x)[0], model(x, training=False), **CLOSE)


def test_model_is_refused_when_it_has_no_shapes_yet():
    with pytest.raises(LoadError, match="has no input shape yet") as refusal:
        load(Doubling(name="unbuilt"))
    assert "call it on a sample" in refusal.value.hint


class Scaled(keras.layers.Layer):
    """A layer of the user's own, not registered with Keras."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_layer_is_found_when_it_is_passed_along(tmp_path, computed, suffix):
    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((2,)), Scaled(-3.0, name="scaled")]).save(path)
    with pytest.raises(LoadError, match="Scaled") as refusal:
        load(path)
    assert "custom_objects" in refusal.value.hint
    source = load(path, custom_objects={"Scaled": Scaled})
    np.testing.assert_array_equal(computed(source, np.float32([[1, 2]]))[0], np.float32([[-3, -6]]))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_layer_is_refused_when_it_is_nested(tmp_path, suffix):
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2, name="twice")])
    path = tmp_path / f"model{suffix}"
    keras.Sequential([keras.Input((2,)), inner]).save(path)
    with pytest.raises(LoadError, match=r"has a Lambda layer, twice: .* never executed") as refusal:
        load(path)
    assert refusal.value.hint


@pytest.mark.parametrize("kind", sorted(REFUSED_LAYERS))
def test_layer_is_refused_before_keras_sees_it_when_it_brings_code(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("the file was handed to Keras"))
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": kind, "config": {"name": "evil"}}]}}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    with pytest.raises(LoadError, match=f"has a {kind} layer, evil"):
        load(tmp_path / "model.keras")


def test_pickled_function_is_refused_when_a_config_holds_one(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("the file was handed to Keras"))
    code = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Activation", "config": {"f": code}}]}}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    with pytest.raises(LoadError, match="never executed"):
        load(tmp_path / "model.keras")


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_archive_is_refused_when_it_unpacks_to_much_more_than_it_is(tmp_path, monkeypatch, member):
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("the file was handed to Keras"))
    contents = {"config.json": "{}", member: bytes(300 << 20)}
    with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(LoadError, match=r"claims to unpack to 3145728\d\d bytes") as refusal:
        load(tmp_path / "model.keras")
    assert refusal.value.hint


def test_file_is_read_when_its_name_is_not_kerass(tmp_path, keras_model, image, computed):
    keras_model.save(tmp_path / "model.h5")
    (tmp_path / "model.h5").rename(tmp_path / "weights.hdf")
    output = computed(load(tmp_path / "weights.hdf"), image)[0]
    np.testing.assert_allclose(output, keras_model(image, training=False), **CLOSE)


def test_file_is_refused_when_it_holds_weights_only(tmp_path, keras_model):
    keras_model.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(LoadError, match="holds weights only") as refusal:
        load(tmp_path / "net.weights.h5")
    assert "model=" in refusal.value.hint


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_file_is_refused_when_it_is_truncated(tmp_path, keras_model, suffix, kept):
    path = tmp_path / f"model{suffix}"
    keras_model.save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(LoadError) as refusal:
        load(path)
    assert refusal.value.hint


def test_archive_is_refused_when_it_is_no_keras_file(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.ones(3))
    with pytest.raises(LoadError, match="without a Keras model"):
        load(tmp_path / "data.npz")


def test_description_is_refused_when_it_is_not_json(tmp_path):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = "{not json"
    with pytest.raises(LoadError, match="is not JSON"):
        load(tmp_path / "model.h5")


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_layer_of_keras_2_is_built_when_its_config_has_what_keras_3_refuses(name):
    """Each row is needed: without it Keras refuses the same config."""
    settings = {"filters": 2, "kernel_size": 3, "units": 2, "rate": 0.5, "factor": 0.1, "height_factor": 0.1}
    settings |= {"width_factor": 0.1, "height": 2, "width": 2, "cell": keras.layers.SimpleRNNCell(2)}
    layer = getattr(keras.layers, name)
    accepted = {key: value for key, value in settings.items() if key in inspect.signature(layer).parameters}
    config = {**keras.saving.serialize_keras_object(layer(**accepted))["config"]}
    stale = {**config, **{key: value for key, value in LEFT_OUT[name].items() if value is not ...}}
    stale |= {key: "stateful" for key, value in LEFT_OUT[name].items() if value is ...}
    with pytest.raises((TypeError, ValueError)):
        layer.from_config(dict(stale))
    assert isinstance(tolerant_layers(keras)[name].from_config(stale), layer)


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_layer_of_keras_2_has_a_successor_when_its_name_is_gone(name):
    layer = tolerant_layers(keras)[name].from_config({"name": "norm", "epsilon": 0.01})
    assert isinstance(layer, keras.layers.BatchNormalization)
    assert layer.epsilon == 0.01


def test_argument_of_keras_2_is_refused_when_it_did_mean_something(fixture_folder, tmp_path):
    """A grouped transposed convolution is not the ungrouped one."""
    path = tmp_path / "grouped.h5"
    shutil.copy(fixture_folder("keras_2") / "tf_keras.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layers = {layer["config"]["name"]: layer["config"] for layer in config["config"]["layers"]}
        layers["transposed"]["groups"] = 2
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(LoadError, match="groups") as refusal:
        load(path)
    assert "tf_keras" in refusal.value.hint


def test_keras_is_refused_when_it_runs_on_another_backend(monkeypatch, tmp_path, keras_model):
    keras_model.save(tmp_path / "model.keras")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(LoadError, match="Keras runs on jax") as refusal:
        load(tmp_path / "model.keras")
    assert "KERAS_BACKEND=tensorflow" in refusal.value.hint


def test_model_is_refused_with_the_layers_reason_when_it_cannot_be_traced():
    class Stubborn(keras.layers.Layer):
        def call(self, x):
            raise RuntimeError("no graphs, please")

        def compute_output_shape(self, shape):
            return shape

    model = keras.Sequential([keras.Input((2,)), Stubborn()])
    with pytest.raises(LoadError, match="no graphs, please"):
        load(model)
