"""Layers of Keras 3 under their own names, where tracing numbers their scopes."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np

from bnfold.graph import DType, Graph, Node
from bnfold.graph.stages import Signature, SourceModel, Variable
from bnfold.load import load
from bnfold.load.keras_names import layer_names, named_by_layers

layers = keras.layers


def _scopes(source):
    """The scopes of the matrix products: one for each call of a dense layer."""
    return sorted(node.name.rpartition("/")[0] for node in source.graph if node.op == "MatMul")


def _nested_model():
    """Layers called ``d`` and ``d_1``, the first called twice, and another ``d`` in an inner model."""
    x = keras.Input((4,), name="x")
    shared = layers.Dense(4, name="d")
    y = layers.Dense(3, name="d_1")(shared(shared(x)))
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")], name="inner")
    return keras.Model(x, inner(y), name="outer")


def test_scope_is_the_layers_name_when_the_layer_is_called_once(keras_model):
    names = {node.name for node in load(keras_model).graph}
    assert "net/relu/Relu" in names
    assert any(name.startswith("net/bn/") for name in names)
    assert not any(name.startswith(("net_1", "net/bn_1")) for name in names)


def test_scopes_stay_apart_when_layers_have_names_that_tensorflow_would_number():
    assert _scopes(load(_nested_model())) == ["outer/d", "outer/d_1", "outer/d_3", "outer/inner/d"]


def test_result_is_the_models_when_scopes_are_renamed(computed):
    model = _nested_model()
    x = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(computed(load(model), x)[0], model(x, training=False), rtol=1e-5, atol=1e-6)


def test_output_is_in_the_layers_scope_when_it_is_named_in_the_signature(keras_model):
    (signature,) = load(keras_model).signatures
    assert dict(signature.outputs) == {"head": "net/head/BiasAdd:0"}


def test_variable_is_beside_its_layers_ops_when_the_scope_is_renamed(keras_model):
    source = load(keras_model)
    (readers,) = ([r.name for r in source.graph.consumers(name)] for name in source.variables if name.endswith("gamma"))
    assert all(reader.startswith("net/bn/") for reader in readers)


def test_nothing_is_renamed_when_two_names_would_meet():
    """An op that a layer calls as its variable is called."""
    nodes = [Node("d/kernel", "VarHandleOp"), Node("d_1/kernel", "Identity", ("d/kernel:0",)), Node("d_1/y", "Neg")]
    variable = Variable("d/kernel", None, DType.named("float32"), (), lambda: np.float32(0))
    signature = Signature("serving_default", {}, {"y": "d_1/y:0"})
    source = SourceModel(None, "keras model", "m", Graph(nodes), {"d/kernel": variable}, (signature,))
    named = named_by_layers(source, SimpleNamespace(name="d"))
    assert [node.name for node in named.graph] == ["d/kernel", "d_1/kernel", "d_1/y"]
    assert named.signatures == source.signatures


def test_layers_of_every_depth_are_known_by_name():
    assert layer_names(_nested_model()) >= {"outer", "x", "d", "d_1", "inner"}
