"""The largest few, and greedy decoding."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, check_file, inference_graph, random

from bnfold.export import export
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()
raw = tf.raw_ops


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int32, np.int64, np.int8, np.uint8, np.int16])
def test_top_k_is_the_same(dtype):
    x = random(3, 7, dtype=dtype, low=-4, high=4)
    x[:, 5] = x[:, 2]
    assert_lowers(lambda x: tf.math.top_k(x, 3), {"x": x}, opsets=(13, 18))
    assert_lowers(lambda x: raw.TopKV2(input=x, k=7, index_type=tf.int64), {"x": x})


def test_top_k_is_the_same_when_k_is_computed():
    feeds = [{"x": random(2, 3, 7), "k": np.array(k, np.int32)} for k in (0, 1, 7)]
    assert_lowers(lambda x, k: tf.math.top_k(x, k), *feeds, dynamic=True)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 7)])
def test_top_k_of_old_graphs_is_the_same(shape):
    """Its k is an attribute; TensorFlow reads it in graphs of version 6 and before, but has lost the kernel."""

    def build(x):
        graph_def = tf.compat.v1.GraphDef()
        graph_def.versions.producer = 6
        graph_def.node.add(name="x", op="Placeholder").attr["dtype"].type = tf.float32.as_datatype_enum
        node = graph_def.node.add(name="top", op="TopK", input=["x"])
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["k"].i, node.attr["sorted"].b = 3, True
        return tf.import_graph_def(graph_def, {"x:0": x}, ["top:0", "top:1"], name="old")

    x = random(*shape)
    order = np.argsort(-x, axis=-1)[..., :3].astype(np.int32)
    for opset in (13, 18):
        model = export(inference_graph(build, {"x": x}), opset=opset)
        check_file(model)
        values, indices = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": x})
        assert_same(indices, order)
        assert_same(values, np.take_along_axis(x, order, -1), rtol=0, atol=0)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.int8, np.uint16, np.int32, np.int64, np.uint32, np.uint64]
)
def test_nth_element_is_the_same(dtype):
    x = random(2, 3, 7, dtype=dtype, low=-40, high=40)
    for reverse in (False, True):
        build = lambda x, n, r=reverse: raw.NthElement(input=x, n=n, reverse=r)  # noqa: E731
        assert_lowers(lambda x, b=build: b(x, 2), {"x": x}, opsets=(13, 18))
        assert_lowers(build, *({"x": x, "n": np.array(n, np.int32)} for n in (0, 6)), dynamic=True)


def test_order_of_uint64_is_that_of_all_its_bits():
    x = np.array([[2**63, 2**64 - 1, 1, 2**63 - 1, 0]], np.uint64)
    assert_lowers(lambda x: [*tf.math.top_k(x, 3), raw.NthElement(input=x, n=1)], {"x": x})


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_in_top_k_is_the_same(dtype):
    predictions = random(9, 5)
    predictions[1, 2], predictions[2, 0], predictions[3, 4] = np.nan, np.inf, -np.inf
    predictions[4] = 1
    targets = np.array([0, 1, 0, 4, 2, 3, 1, -1, 5], dtype)
    feeds = {"predictions": predictions, "targets": targets}
    for k in (1, 2, 4):
        assert_lowers(
            lambda predictions, targets, k=k: raw.InTopK(predictions=predictions, targets=targets, k=k), feeds
        )
    computed = lambda predictions, targets, k: raw.InTopKV2(predictions=predictions, targets=targets, k=k)  # noqa: E731
    assert_lowers(computed, {**feeds, "k": np.array(3, dtype)}, dynamic=True, opsets=(13, 18))


@pytest.mark.parametrize("merge_repeated", [True, False])
@pytest.mark.parametrize("blank_index", [-1, 0, 2])
def test_greedy_decoder_is_the_same(merge_repeated, blank_index):
    def build(inputs, lengths):
        return raw.CTCGreedyDecoder(
            inputs=inputs, sequence_length=lengths, merge_repeated=merge_repeated, blank_index=blank_index
        )

    inputs = np.repeat(random(6, 3, 4), 2, axis=0)
    feeds = {"inputs": inputs, "lengths": np.array([12, 5, 7], np.int32)}
    assert_lowers(build, feeds, opsets=(13, 18))
    assert_lowers(build, feeds, {"inputs": inputs[:, :2], "lengths": np.array([1, 12], np.int32)}, dynamic=True)
