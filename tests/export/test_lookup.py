"""Lookup tables as LabelEncoders, from the file to what onnxruntime gives; tables without entries."""

from __future__ import annotations

import numpy as np
import pytest
from harness import _runtime, check_file, onnxruntime, op_types

from bnfold.errors import ExportError
from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow
from bnfold.inference import infer
from bnfold.load import load

tf = tensorflow()
v1 = tf.compat.v1
lookup = tf.lookup

WORDS = np.array([["b", "zebra"], ["a", "c"]], dtype=object)
KEYS = {
    "string": ["a", "ä", "c"],
    "int64": [-7, 2**40, 0],
    "int32": [-7, 2**30, 0],
}
VALUES = {
    "string": (["x", "", "ü"], "none"),
    "int64": ([5, -(2**40), 9], -1),
    "int32": ([5, -3, 9], -1),
    "float32": ([0.1, -2.5, 3e8], -0.0),
    "float64": ([0.1, -2.5, 3e8], 1e-300),
    "bool": ([True, False, True], False),
}


def inferred(build, feed, folder):
    """The inference graph of ``build``, from a file, and what TensorFlow gives for ``feed``."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.as_dtype(feed.dtype), (None,) * feed.ndim, name="x")
        y = tf.identity(build(x), name="y")
        session.run(v1.tables_initializer())
        expected = session.run(y, {x: feed})
    (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    return infer(load(folder / "graph.pb"), inputs={"x": None}, outputs=["y"]), expected


def assert_looks_up(build, feed, folder, *, opsets=(13, 18, 26)):
    """The file is sound and gives what TensorFlow does, with onnxruntime's optimisations off and on."""
    inference, expected = inferred(build, feed, folder)
    for opset in opsets:
        model = export(inference, opset=opset)
        check_file(model)
        for level in (
            onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
            onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
        ):
            (got,) = _runtime(model, level).run(None, {"x:0": feed})
            wanted = expected
            if expected.dtype == object:
                wanted = np.array([item.decode() for item in expected.flat], object).reshape(expected.shape)
            np.testing.assert_array_equal(got, wanted)
            assert got.dtype == wanted.dtype
    return model


PAIRS = [
    *(("string", values) for values in VALUES),
    *(("int64", values) for values in ("string", "int64", "int32", "float32", "float64")),
    *(("int32", values) for values in ("string", "int32", "float32", "float64")),
]


@pytest.mark.parametrize(("given", "values"), PAIRS)
def test_lookups_are_the_same(given, values, tmp_path):
    keys, (found, default) = KEYS[given], VALUES[values]
    key_dtype = tf.as_dtype(given)
    feed = np.array([[keys[2], keys[0]], [keys[0], keys[1]]], dtype=key_dtype.as_numpy_dtype)
    feed[1, 0] = "other" if given == "string" else 77

    def build(x):
        entries = lookup.KeyValueTensorInitializer(
            tf.constant(keys, key_dtype), tf.constant(found, tf.as_dtype(values))
        )
        return lookup.StaticHashTable(entries, default).lookup(x)

    model = assert_looks_up(build, feed, tmp_path, opsets=(18,))
    assert "LabelEncoder" in op_types(model)
    assert "Unique" not in op_types(model)


def test_lookup_is_one_node_at_each_opset(tmp_path):
    def build(x):
        entries = lookup.KeyValueTensorInitializer(["a", "b", "c"], tf.constant([5, -3, 9], tf.int64))
        return lookup.StaticHashTable(entries, -1).lookup(x)

    model = assert_looks_up(build, WORDS, tmp_path)
    assert op_types(model) == ["LabelEncoder"]
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 26, "ai.onnx.ml": 2}


def test_domain_is_not_asked_for_when_there_is_no_table(tmp_path):
    inference, _ = inferred(lambda x: x + 1.0, np.float32([1, 2]), tmp_path)
    assert [entry.domain for entry in export(inference).opset_import] == [""]


def test_rows_are_gathered_when_the_values_are_vectors_or_the_default_is_computed(tmp_path):
    def vectors(x):
        table = lookup.experimental.MutableHashTable(tf.string, tf.float32, [-1.0, 0.5, 0.0])
        rows = tf.constant([[1.0, 2, 3], [-4.0, 5, 6]])
        v1.add_to_collection("table_initializer", table.insert(tf.constant(["c", "a"]), rows))
        return table.lookup(x)

    def default(x):
        table = lookup.StaticHashTable(lookup.KeyValueTensorInitializer(["a", "b"], [1.5, -2.5]), 0.0)
        size = tf.cast(tf.size(x), tf.float32)
        return tf.raw_ops.LookupTableFindV2(table_handle=table.resource_handle, keys=x, default_value=size)

    assert op_types(assert_looks_up(vectors, WORDS, tmp_path)) == ["LabelEncoder", "Gather"]
    assert "LabelEncoder" in op_types(assert_looks_up(default, WORDS, tmp_path))


def test_keys_beyond_the_table_are_the_same_when_they_have_one_bucket(tmp_path):
    def build(x):
        entries = lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
        return lookup.StaticVocabularyTable(entries, 1).lookup(x)

    assert_looks_up(build, WORDS, tmp_path)


def test_lookup_is_the_default_when_the_table_is_empty():
    table = lookup.experimental.MutableHashTable(tf.string, tf.int64, 3)
    function = tf.function(table.lookup, input_signature=[tf.TensorSpec((None,), tf.string)], autograph=False)
    model = export(infer(load(function)))
    check_file(model)
    runtime = _runtime(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    (got,) = runtime.run(None, {runtime.get_inputs()[0].name: np.array(["a", ""], object)})
    np.testing.assert_array_equal(got, [3, 3])


@pytest.mark.parametrize("read", ["lookup", "size"])
def test_table_is_refused_when_nothing_fills_it(read, tmp_path):
    def build(x):
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64, shared_name="empty")
        init = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=table, filename=str(outside), key_index=-2, value_index=-1
        )
        v1.add_to_collection("table_initializer", init)
        if read == "size":
            return tf.raw_ops.LookupTableSizeV2(table_handle=table) + tf.cast(tf.size(x), tf.int64)
        return tf.raw_ops.LookupTableFindV2(table_handle=table, keys=x, default_value=tf.constant(-1, tf.int64))

    outside = tmp_path / "words.txt"
    outside.write_text("a\nb\n")
    (tmp_path / "model").mkdir()
    inference, _ = inferred(build, WORDS, tmp_path / "model")
    with pytest.raises(ExportError, match=r"words\.txt, is not in the model's folder"):
        export(inference)
