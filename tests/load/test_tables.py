"""Lookup tables: entries from constants, vocabulary files, checkpoints and memory; lookups as TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from bnfold.graph.evaluate import run
from bnfold.load import load
from bnfold.load.lookups import LOOKUPS
from bnfold.load.tables import UNFILLED

v1 = tf.compat.v1
lookup = tf.lookup
raw = tf.raw_ops

WORDS = np.array([["b", "zebra"], ["a", "c"]], dtype=object)
NUMBERS = np.array([7, -1, 5, 7], np.int64)


def words_to_numbers(x):
    return lookup.StaticHashTable(lookup.KeyValueTensorInitializer(["a", "b", "c"], [5, -3, 9]), -1).lookup(x)


def numbers_to_words(x):
    return lookup.StaticHashTable(
        lookup.KeyValueTensorInitializer(tf.constant([7, 5], tf.int64), tf.constant(["seven", "five"])), "none"
    ).lookup(x)


def computed_entries(x):
    keys = tf.constant(["a", "b", "c"])
    return (
        v1.tables.index_table_from_tensor(keys, default_value=8).lookup(x)
        if hasattr(v1, "tables")
        else (lookup.StaticHashTable(lookup.KeyValueTensorInitializer(keys, tf.range(3) * 2), 8).lookup(x))
    )


def computed_default(x):
    table = lookup.StaticHashTable(lookup.KeyValueTensorInitializer(["a", "b"], [1.5, -2.5]), 0.0)
    fed = tf.cast(tf.size(x), tf.float32)
    return raw.LookupTableFindV2(table_handle=table.resource_handle, keys=x, default_value=fed)


def size(x):
    table = lookup.StaticHashTable(lookup.KeyValueTensorInitializer(["a", "b", "a"], [1, 2, 1]), 0)
    return table.lookup(x) + tf.cast(table.size(), tf.int32)


def by_reference(x):
    table = raw.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="shared")
    init = raw.InitializeTable(table_handle=table, keys=["c", "a"], values=tf.constant([3, 4], tf.int64))
    v1.add_to_collection("table_initializer", init)
    same = raw.HashTable(key_dtype=tf.string, value_dtype=tf.int64, shared_name="shared")
    return raw.LookupTableFind(table_handle=same, keys=x, default_value=tf.constant(-1, tf.int64))


def one_bucket_for_the_rest(x):
    entries = lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    return lookup.StaticVocabularyTable(entries, 1).lookup(x)


GRAPHS = {
    words_to_numbers: WORDS,
    numbers_to_words: NUMBERS,
    computed_entries: WORDS,
    computed_default: WORDS,
    size: WORDS,
    by_reference: WORDS,
    one_bucket_for_the_rest: WORDS,
}


def frozen(build, feed, path):
    """The graph of ``build`` in a file, and what it gives for ``feed`` once its tables are initialised."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        x = v1.placeholder(tf.string if feed.dtype == object else feed.dtype, feed.shape, name="x")
        y = tf.identity(build(x), name="y")
        session.run(v1.tables_initializer())
        expected = session.run(y, {x: feed})
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return expected


def assert_same_lookups(graph, feed, expected, tensors=("x:0", "y:0")):
    assert not [node.name for node in graph.pruned([tensors[1]]) if node.op in LOOKUPS]
    (got,) = run(graph.pruned([tensors[1]]), [tensors[1]], {tensors[0]: feed})
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == expected.dtype


@pytest.mark.parametrize("build", GRAPHS, ids=lambda build: build.__name__)
def test_lookups_are_the_same_when_the_graph_initialises_the_table(build, tmp_path):
    feed = GRAPHS[build]
    expected = frozen(build, feed, tmp_path / "graph.pb")
    assert_same_lookups(load(tmp_path / "graph.pb").graph, feed, expected)


# Vocabulary files

LINES = {
    "whole line to its number": ("a\nb\r\nc", {"key_index": -2, "value_index": -1}, tf.string, tf.int64, 4),
    "number of the line to it": ("a\nb\nc\n", {"key_index": -1, "value_index": -2}, tf.int64, tf.string, "none"),
    "columns": ("x,a,1.5\ny,c,-2\n", {"key_index": 1, "value_index": 2, "delimiter": ","}, tf.string, tf.float32, 0.0),
    "columns of numbers": ("7 70\n5 50\n", {"key_index": 0, "value_index": 1, "delimiter": " "}, tf.int64, tf.int64, 1),
    "first lines": ("a\nb\nc\n", {"key_index": -2, "value_index": -1, "vocab_size": 2}, tf.string, tf.int64, -1),
    "numbers from 10": ("a\nb\n", {"key_index": -2, "value_index": -1, "offset": 10}, tf.string, tf.int64, -1),
}


def from_file(path, kind):
    _, attrs, key_dtype, value_dtype, default = LINES[kind]

    def build(x):
        table = raw.HashTableV2(key_dtype=key_dtype, value_dtype=value_dtype, shared_name=kind.replace(" ", "_"))
        init = raw.InitializeTableFromTextFileV2(table_handle=table, filename=str(path), **attrs)
        v1.add_to_collection("table_initializer", init)
        return raw.LookupTableFindV2(table_handle=table, keys=x, default_value=tf.constant(default, value_dtype))

    return build


@pytest.mark.parametrize("kind", LINES)
def test_lookups_are_the_same_when_the_entries_are_in_a_file_beside_the_graph(kind, tmp_path):
    (tmp_path / "vocabulary.txt").write_bytes(LINES[kind][0].encode())
    feed = WORDS if LINES[kind][2] == tf.string else NUMBERS % 4 if "line" in kind else NUMBERS
    expected = frozen(from_file(tmp_path / "vocabulary.txt", kind), feed, tmp_path / "graph.pb")
    assert_same_lookups(load(tmp_path / "graph.pb").graph, feed, expected)


def reason_of(path):
    (table,) = [node for node in load(path).graph if node.op == "HashTableV2"]
    return table.attrs[UNFILLED]


def test_vocabulary_is_not_read_when_it_is_outside_of_the_models_folder(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("a\nb\n")
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "graph.pb"
    frozen(from_file(tmp_path / "vocabulary.txt", "first lines"), WORDS, path)
    assert "is not in the model's folder" in reason_of(path)
    (tmp_path / "model" / "vocabulary.txt").symlink_to(tmp_path / "vocabulary.txt")
    assert "is not in the model's folder" in reason_of(path)
    (tmp_path / "model" / "vocabulary.txt").unlink()
    (tmp_path / "model" / "vocabulary.txt").write_text("q\nr\n")  # as if it had been copied there with the model
    assert_same_lookups(load(path).graph, np.array([["q", "a"], ["r", "q"]], object), np.array([[0, -1], [1, 0]]))


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("a\n", "first lines", "has 1 lines, and 2 are wanted"),
        ("a\n\nb\n", "whole line to its number", "line 2 of its vocabulary"),
        ("x,a\n", "columns", "has not the columns"),
        ("x,a,much\n", "columns", "has not the columns"),
        ("a\nb\na\n", "whole line to its number", "'a' has two values|b'a' has two values"),
    ],
)
def test_vocabulary_is_refused_when_it_is_damaged(text, kind, reason, tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_bytes(LINES[kind][0].encode())
    frozen(from_file(path, kind), WORDS, tmp_path / "graph.pb")
    path.write_text(text)
    assert any(part in reason_of(tmp_path / "graph.pb") for part in reason.split("|"))


def test_table_stays_empty_when_nothing_in_the_file_fills_it(tmp_path):
    frozen(words_to_numbers, WORDS, tmp_path / "graph.pb")
    proto = v1.GraphDef()
    proto.ParseFromString((tmp_path / "graph.pb").read_bytes())
    pruned = v1.graph_util.extract_sub_graph(proto, ["y"])
    (tmp_path / "graph.pb").write_bytes(pruned.SerializeToString())
    assert "nothing in the file fills it" in reason_of(tmp_path / "graph.pb")


# Checkpoints, SavedModels, memory


def test_lookups_are_the_same_when_a_checkpoint_has_the_table(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.string, WORDS.shape, name="x")
        tf.identity(words_to_numbers(x), name="y")
        kernel = v1.get_variable("kernel", initializer=np.float32([2, 3]))
        session.run([v1.tables_initializer(), kernel.initializer])
        expected = session.run("y:0", {x: WORDS})
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    assert_same_lookups(load(tmp_path).graph, WORDS, expected)


class Tables(tf.Module):
    """Tables of each kind that a module may hold."""

    def __init__(self, path):
        super().__init__()
        words, values = tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)
        self.static = lookup.StaticHashTable(lookup.KeyValueTensorInitializer(words, values), -1)
        in_file = lookup.TextFileInitializer(str(path), tf.string, -2, tf.int64, -1)
        self.vocabulary = lookup.StaticVocabularyTable(in_file, 1)
        self.mutable = lookup.experimental.MutableHashTable(tf.string, tf.float32, [0.5, -0.5])
        self.mutable.insert(words, tf.constant([[1.0, -2.0], [3.0, 4.0]]))
        self.dense = lookup.experimental.DenseHashTable(tf.string, tf.int64, -9, "", "gone")
        self.dense.insert(words, values)

    @tf.function(input_signature=[tf.TensorSpec((None, 2), tf.string, name="x")])
    def __call__(self, x):
        flat = tf.reshape(x, [-1])
        dense = self.dense.lookup(flat) + self.dense.size()
        tables = {"static": self.static, "vocabulary": self.vocabulary, "mutable": self.mutable}
        return {**{name: table.lookup(x) for name, table in tables.items()}, "dense": dense}


def assert_module_is_the_same(source, expected):
    (signature,) = source.signatures
    (x,) = signature.inputs.values()
    for name, tensor in signature.outputs.items():
        assert_same_lookups(source.graph, WORDS, expected[name].numpy(), (x, tensor))


def test_lookups_are_the_same_when_a_module_has_tables(tmp_path):
    (tmp_path / "words.txt").write_text("c\nb\n")
    module = Tables(tmp_path / "words.txt")
    expected = module(tf.constant(WORDS))
    assert_module_is_the_same(load(module), expected)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.__call__.get_concrete_function())
    (tmp_path / "words.txt").unlink()
    assert_module_is_the_same(load(tmp_path / "model"), expected)


def test_lookups_are_the_same_when_a_saved_model_of_tensorflow_1_has_the_file(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("a\nb\nc\n")
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.string, WORDS.shape, name="x")
        asset = tf.constant(str(tmp_path / "vocabulary.txt"))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        y = tf.identity(from_file(asset.eval(session=session).decode(), "first lines")(x), name="y")
        session.run(v1.tables_initializer())
        expected = session.run(y, {x: WORDS})
        builder = v1.saved_model.Builder(str(tmp_path / "model"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            main_op=v1.tables_initializer(),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        builder.save()
    (tmp_path / "vocabulary.txt").unlink()
    assert_same_lookups(load(tmp_path / "model").graph, WORDS, expected)
