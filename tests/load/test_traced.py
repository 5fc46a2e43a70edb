"""Functions handed to the API: traced graphs, captured variables and constants."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.errors import LoadError
from bnfold.load import load


class Scorer(tf.Module):
    def __init__(self):
        self.weight = tf.Variable(np.float32([[1, -2], [3, 0.5]]), name="weight")
        self.mean = tf.constant([0.5, -4.0])

    @tf.function(input_signature=[tf.TensorSpec((None, 2), name="v")])
    def __call__(self, v):
        return {"score": (v - self.mean) @ self.weight, "energy": tf.reduce_sum(v * v, 1)}


V = np.float32([[1, 2], [-3, 4]])


@pytest.mark.parametrize("form", ["module", "function", "concrete function"])
def test_result_is_the_functions_when_it_is_handed_over(computed, form):
    model = Scorer()
    whole = {"module": model, "function": model.__call__, "concrete function": model.__call__.get_concrete_function()}
    source = load(whole[form])
    assert source.kind == "function"
    (signature,) = source.signatures
    assert dict(signature.inputs) == {"v": "v:0"}
    assert list(signature.outputs) == ["energy", "score"]
    for name, output in zip(signature.outputs, computed(source, V), strict=True):
        np.testing.assert_allclose(output, model(V)[name], rtol=1e-6)


def test_variable_is_one_node_when_it_is_captured_and_read_twice():
    weight = tf.Variable([2.0, 3.0], name="weight")
    other = tf.Variable([5.0, 7.0], name="weight")
    model = tf.function(lambda v: v * weight + weight - other, input_signature=[tf.TensorSpec((2,))])
    source = load(model)
    assert {name: list(variable.read()) for name, variable in source.variables.items()} == {
        "weight": [2.0, 3.0],
        "weight_1": [5.0, 7.0],
    }


def test_value_is_the_present_one_when_it_is_read():
    weight = tf.Variable([2.0, 3.0], name="weight")
    source = load(tf.function(lambda v: v * weight, input_signature=[tf.TensorSpec((2,))]))
    weight.assign([4.0, 5.0])
    np.testing.assert_array_equal(source.variables["weight"].read(), [4.0, 5.0])


def test_captured_tensor_is_a_constant_when_it_is_no_variable():
    source = load(Scorer())
    values = [node.attrs["value"] for node in source.graph if node.op == "Const"]
    assert any(np.array_equal(value, np.float32([0.5, -4.0])) for value in values)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float64, tf.int32], ids=lambda dtype: dtype.name)
def test_dtype_is_the_variables_when_it_is_not_float32(dtype):
    weight = tf.Variable(tf.cast([2, -3], dtype), name="weight")
    source = load(tf.function(lambda v: v * weight, input_signature=[tf.TensorSpec((2,), dtype)]))
    variable = source.variables["weight"]
    assert variable.dtype.name == dtype.name
    assert variable.read().dtype == variable.dtype.numpy
    np.testing.assert_array_equal(variable.read().astype(np.float64), [2, -3])


def test_fingerprint_differs_when_a_weight_does():
    weight = tf.Variable([2.0, 3.0], name="weight")
    model = tf.function(lambda v: v * weight, input_signature=[tf.TensorSpec((2,))])
    before = load(model).fingerprint
    assert load(model).fingerprint == before
    weight.assign([2.0, 3.5])
    assert load(model).fingerprint != before


def _fails(v):
    raise ValueError("it never worked")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda v: v, "is a plain function"),
        (tf.function(lambda v: v), "cannot be traced without arguments"),
        (tf.function(_fails, input_signature=[tf.TensorSpec(())]), "it never worked"),
    ],
    ids=["plain", "no signature", "raises"],
)
def test_function_is_refused_when_it_cannot_be_traced(function, reason):
    with pytest.raises(LoadError, match=reason) as refusal:
        load(function)
    assert refusal.value.hint


@pytest.mark.parametrize("source", [None, 3, ["model.ckpt"], {"path": "x"}], ids=repr)
def test_source_is_a_type_error_when_it_is_neither_path_nor_model(source):
    with pytest.raises(TypeError, match="neither a path nor a model"):
        load(source)
