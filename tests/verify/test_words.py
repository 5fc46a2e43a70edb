"""Inputs and outputs that are text: what they are fed, and that a wrong word is found."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.load import load
from bnfold.samples.words import NUMBERS, words_of
from bnfold.verify import verify

tf = tensorflow()


def inferred(function, *shape):
    traced = tf.function(function, input_signature=[tf.TensorSpec(shape, tf.string)], autograph=False)
    return infer(load(traced))


@pytest.fixture(scope="module")
def animals():
    keys, values = ["cat", "dog"], ["meow", "woof"]
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), "?")
    return inferred(lambda x: {"says": table.lookup(x), "is_cat": tf.equal(x, "cat")}, None, 3)


def test_text_is_checked_when_the_graph_knows_words(animals):
    report = verify(animals, export(animals, opset=20))
    assert report.equal
    assert {"cat", "dog", ""} <= set(words_of(animals.graph, animals.inputs[0].tensor))


@pytest.mark.parametrize("attribute", ["values_strings", "default_string"])
def test_wrong_word_is_found(animals, attribute):
    model = export(animals, opset=20)
    (encoder,) = (node for node in model.graph.node if node.op_type == "LabelEncoder")
    (changed,) = (entry for entry in encoder.attribute if entry.name == attribute)
    value = b"moo" if attribute == "default_string" else [b"meow", b"wuff"]
    changed.CopyFrom(onnx.helper.make_attribute(attribute, value))
    report = verify(animals, model)
    assert not report.equal
    assert not next(output for output in report.outputs if output.dtype == "object").equal


def test_numbers_are_fed_when_text_is_read_as_numbers():
    inference = inferred(lambda x: tf.strings.to_number(tf.reshape(x, [-1, 2]), tf.float32), None)
    assert words_of(inference.graph, inference.inputs[0].tensor) == NUMBERS
    assert verify(inference, export(inference)).equal
    assert np.isfinite([float(word) for word in NUMBERS]).all()
