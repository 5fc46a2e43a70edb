"""The interface as a whole: real checkpoints, names and shapes the user gives, batch sizes, and the cut itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from saved_graphs import conv, cross_entropy, dense, frozen, image, saved, tf, train, v1, variable

from bnfold.errors import InferenceError
from bnfold.graph.evaluate import run
from bnfold.graph.stages import Signature
from bnfold.inference import infer
from bnfold.inference.interface import cut, find_interface
from bnfold.load import load

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
RNG = np.random.default_rng(3)


def classifier() -> None:
    hidden = tf.nn.relu(conv(image(), 4, "hidden"))
    logits = dense(tf.reduce_mean(hidden, [1, 2]), 3, "logits")
    tf.nn.softmax(logits, name="p")
    train(cross_entropy(logits, v1.placeholder(tf.int32, [None], "labels")))


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v1-baked",
        "mobilenet_v2-baked",
        "shufflenet_v2-baked",
        "mobilenet_v1-placeholder",
        "IRCNN__dilated7",
        "tensorflow2caffe__mnistcls",
        "collision_detection__unfused",
        "xception__learning_phase",
        "keyword_spotting__DS_CNN_S",
        "leaf_disease__no_batch_norm",
    ],
)
def test_interface_of_a_real_checkpoint_is_that_of_its_truth(
    name: str, shared_checkpoint: Callable[[str], Path]
) -> None:
    folder = shared_checkpoint(name)
    expected = np.load(folder / "expected.npz")
    frozen_file = next(folder.glob("*.pb"), None)
    interface = find_interface(load(frozen_file or folder))
    assert [endpoint.name for endpoint in interface.inputs] == [str(expected["input_name"])]
    assert str(expected["output_name"]) in [endpoint.name for endpoint in interface.outputs]
    assert len(interface.outputs) <= 2
    assert interface.inputs[0].shape is not None
    assert interface.inputs[0].shape[0] is None


def _fixtures() -> list[str]:
    """Those with a truth and one graph, save the one whose truth is of the tower that was trained."""
    folders = sorted(path.parent.name for path in FIXTURES.glob("*/expected.npz"))
    return [name for name in folders if (FIXTURES / name / "checkpoint").exists() and name != "scope_reused"]


@pytest.mark.parametrize("name", _fixtures())
def test_interface_of_a_saved_form_is_that_of_its_truth(name: str) -> None:
    expected = np.load(FIXTURES / name / "expected.npz")
    names = {str(expected[key]) for key in expected.files if key.endswith("_name")}
    interface = find_interface(load(FIXTURES / name))
    assert {endpoint.name for endpoint in (*interface.inputs, *interface.outputs)} == names


def test_tower_is_that_of_evaluation_when_the_net_is_built_twice() -> None:
    interface = find_interface(load(FIXTURES / "scope_reused"))
    assert [endpoint.name for endpoint in interface.outputs] == ["net_1/logits/BiasAdd:0"]
    assert interface.outputs[0].alternatives[0] == "net/logits/BiasAdd:0"


# Names and shapes that the user gives


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_names_are_taken_when_written_with_and_without_an_index(suffix: str) -> None:
    interface = find_interface(saved(classifier), inputs={f"x{suffix}": None}, outputs=[f"logits/BiasAdd{suffix}"])
    assert [endpoint.name for endpoint in interface.inputs] == ["x:0"]
    assert [endpoint.name for endpoint in interface.outputs] == ["logits/BiasAdd:0"]
    assert {endpoint.reason for endpoint in (*interface.inputs, *interface.outputs)} == {"named by the user"}


@pytest.mark.parametrize(
    ("inputs", "outputs", "message", "hint"),
    [
        (None, ["logit/BiasAd"], "no tensor logit/BiasAd:0 in the graph", "did you mean logits/BiasAdd"),
        ({"X": None}, None, "no tensor X:0 in the graph", "did you mean x"),
        (None, ["scope/p"], "no tensor scope/p:0", "did you mean p"),
        (None, ["zzzzzz"], "no tensor zzzzzz:0", "bnfold inspect"),
        (None, ["p:1"], "p is a Softmax with 1 output", ""),
        (None, ["^p"], "no tensor ^p", "control"),
        ({"x": (1, 8, 8)}, None, "has shape [?, 8, 8, 3] in the graph", "as many sizes"),
        ({"x": None, "logits/BiasAdd": None}, ["hidden/BiasAdd"], "do not depend on logits/BiasAdd:0", "leave out"),
        ({"x": (1, 9, 8, 3)}, None, "cannot be given [1, 9, 8, 3]", "as many sizes"),
    ],
)
def test_interface_is_refused_when_a_name_or_shape_does_not_fit(
    inputs: dict[str, tuple[int, ...] | None] | None, outputs: list[str] | None, message: str, hint: str
) -> None:
    with pytest.raises(InferenceError) as caught:
        find_interface(saved(classifier), inputs=inputs, outputs=outputs)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_shape_is_the_users_when_given() -> None:
    interface = find_interface(saved(classifier), inputs={"x": (5, 8, 8, 3)})
    assert interface.inputs[0].shape == (5, 8, 8, 3)
    assert interface.outputs[0].shape == (5, 3)


def test_rest_of_the_inputs_is_found_when_the_user_names_one_of_them() -> None:
    def two_inputs() -> None:
        a, b = image([None, 5], "a"), image([None, 4], "b")
        y = tf.add(dense(a, 2, "left"), dense(b, 2, "right"), name="y")
        train(tf.reduce_mean(tf.square(y - v1.placeholder(tf.float32, [None, 2]))))

    interface = find_interface(saved(two_inputs), inputs={"b": (7, 4)})
    assert [(e.name, e.shape) for e in interface.inputs] == [("b:0", (7, 4)), ("a:0", (None, 5))]


def test_value_set_by_hand_is_no_input() -> None:
    def with_temperature() -> None:
        y = tf.nn.softmax(dense(image([None, 5]), 3, "a") / v1.placeholder(tf.float32, [], "temperature"), name="y")
        train(-tf.reduce_mean(tf.math.log(y) * v1.placeholder(tf.float32, [None, 3])))

    source = saved(with_temperature)
    assert [e.name for e in find_interface(source).inputs] == ["x:0", "temperature:0"]
    given = {"temperature:0": np.asarray(2.0, np.float32)}
    assert [e.name for e in find_interface(source, given=given).inputs] == ["x:0"]


def test_interface_is_refused_when_nothing_goes_through_weights_that_are_there() -> None:
    def net() -> None:
        tf.reverse(image(), [1])
        tf.reduce_sum(variable("kernel", [3, 4]), name="size_of_the_weights")

    with pytest.raises(InferenceError, match="no output found") as caught:
        find_interface(saved(net))
    assert "--output" in (caught.value.hint or "")


def test_interface_is_that_of_the_signature_when_there_is_one() -> None:
    signature = Signature("serving_default", {"image": "x:0"}, {"scores": "logits/BiasAdd:0"})
    interface = find_interface(replace(saved(classifier), signatures=(signature,)))
    assert [(e.name, e.reason) for e in interface.inputs] == [("x:0", "signature serving_default")]
    assert [(e.name, e.reason) for e in interface.outputs] == [("logits/BiasAdd:0", "signature serving_default")]


def test_signature_that_takes_serialized_examples_is_cut_behind_the_parser() -> None:
    def serving() -> None:
        text = v1.placeholder(tf.string, [None], "serialized")
        parsed = tf.io.parse_example(text, {"x": tf.io.FixedLenFeature([5], tf.float32)})["x"]
        tf.nn.softmax(dense(parsed, 3, "a"), name="p")

    signature = Signature("serving_default", {"examples": "serialized:0"}, {"p": "p:0"})
    [entry] = find_interface(replace(saved(serving), signatures=(signature,))).inputs
    assert entry.name == "ParseExample/ParseExampleV2:0"
    assert entry.shape == (None, 5)


# Batch sizes and shapes


def queue(batch: int = 6) -> object:
    return v1.FIFOQueue(10, [tf.int32, tf.float32], [[], [8, 8, 3]]).dequeue_many(batch, name="batch")


def test_batch_is_free_when_the_queue_alone_fixes_it() -> None:
    def net() -> None:
        target, x = queue()
        logits = dense(tf.reshape(tf.nn.relu(conv(x, 2, "a")), [-1, 128]), 3, "b")
        train(cross_entropy(logits, target))

    interface = find_interface(saved(net))
    assert interface.inputs[0].shape == (None, 8, 8, 3)
    assert interface.outputs[0].shape == (None, 3)


def test_kernel_keeps_its_height_when_it_is_fed_and_as_tall_as_the_batch() -> None:
    def net() -> None:
        kernel = v1.placeholder(tf.float32, [3, 5, 2, 4], "kernel")
        tf.nn.conv2d(v1.placeholder(tf.float32, [3, 8, 9, 2], "x"), kernel, 1, "SAME", name="y")

    interface = find_interface(saved(net), inputs={"x": None, "kernel": None}, outputs=["y"])
    assert [entry.shape for entry in interface.inputs] == [(None, 8, 9, 2), (3, 5, 2, 4)]
    assert interface.outputs[0].shape == (None, 8, 9, 4)


def test_sizes_keep_their_number_when_they_are_fed_and_as_many_as_the_rows() -> None:
    def net() -> None:
        x, sizes = v1.placeholder(tf.float32, [2, 6], "x"), v1.placeholder(tf.int32, [2], "sizes")
        tf.reshape(x, sizes, name="y")

    interface = find_interface(saved(net), inputs={"x": None, "sizes": None}, outputs=["y"])
    assert [entry.shape for entry in interface.inputs] == [(2, 6), (2,)]
    assert interface.outputs[0].shape == (None, None)


def test_bounds_of_a_slice_keep_their_number_when_there_are_as_many_as_rows() -> None:
    """The rank of the result hangs on it, of which TensorFlow says nothing while the strides are fed."""

    def net() -> None:
        x = v1.placeholder(tf.float32, [3, 4, 5], "x")
        begin, end, strides = (v1.placeholder(tf.int32, [3], name) for name in ("begin", "end", "strides"))
        tf.raw_ops.StridedSlice(input=x, begin=begin, end=end, strides=strides, shrink_axis_mask=4, name="y")

    inputs = dict.fromkeys(("x", "begin", "end", "strides"))
    interface = find_interface(saved(net), inputs=inputs, outputs=["y"])
    assert [entry.shape for entry in interface.inputs][1:] == [(3,)] * 3


def test_batch_is_free_when_only_a_dropout_that_goes_fixes_it() -> None:
    def net() -> None:
        target, x = queue()
        hidden = tf.nn.dropout(tf.reduce_mean(tf.nn.relu(conv(x, 4, "a")), [1, 2]), rate=0.4)
        train(cross_entropy(dense(hidden, 3, "b"), target))

    interface = find_interface(saved(net))
    assert interface.inputs[0].shape == (None, 8, 8, 3)
    assert interface.outputs[0].shape == (None, 3)


def flattened(x: object, rows: list[int]) -> None:
    flat = tf.reshape(tf.nn.relu(conv(x, 2, "a")), rows)
    logits = dense(tf.ensure_shape(flat, [None, 128]), 3, "b")
    tf.reshape(tf.nn.softmax(logits), [6, 3], name="p")
    train(cross_entropy(logits, v1.placeholder(tf.int32, [6])))


@pytest.mark.parametrize("rows", [[6, 128], [6, -1]])
def test_batch_is_free_when_reshapes_say_it_again_that_keep_the_rows_of_a_queue(rows: list[int]) -> None:
    source = saved(lambda: flattened(queue()[1], rows))  # type: ignore[index]
    interface = find_interface(source)
    assert interface.inputs[0].shape == (None, 8, 8, 3)
    assert interface.outputs[0].shape == (None, 3)
    x = RNG.normal(size=(6, 8, 8, 3)).astype(np.float32)
    alone = cut(frozen(source), interface).pruned(["p:0"])
    [whole] = run(frozen(source).pruned(["p:0"]), ["p:0"], {"batch:1": x})
    [part] = run(alone, ["p:0"], {"batch_1:0": x[:4]})
    np.testing.assert_allclose(part, whole[:4], rtol=1e-6)
    inference = infer(source)
    [through] = run(inference.graph, [inference.outputs[0].tensor], {inference.inputs[0].tensor: x[:4]})
    np.testing.assert_allclose(through, whole[:4], rtol=1e-6)


def test_batch_stays_when_the_placeholder_and_a_reshape_say_it() -> None:
    interface = find_interface(saved(lambda: flattened(image([6, 8, 8, 3]), [6, -1])))
    assert interface.inputs[0].shape == (6, 8, 8, 3)
    assert interface.outputs[0].shape == (6, 3)
    assert interface.reshapes == {}


def test_batch_stays_when_a_reshape_mixes_the_rows_of_a_queue() -> None:
    def net() -> None:
        x = queue()[1]  # type: ignore[index]
        pairs = tf.reshape(tf.reduce_mean(tf.nn.relu(conv(x, 4, "a")), [1, 2]), [3, 8])
        tf.nn.softmax(dense(pairs, 3, "b"), name="p")

    interface = find_interface(saved(net))
    assert interface.inputs[0].shape == (6, 8, 8, 3)
    assert interface.outputs[0].shape == (3, 3)


def test_batch_stays_when_diagonals_are_set_beside_it() -> None:
    def net() -> None:
        x = v1.placeholder(tf.float32, [5, 3, 4], "x")
        y = tf.nn.relu(tf.linalg.set_diag(x, tf.linalg.diag_part(x, k=(-1, 1)), k=(-1, 1)))
        tf.nn.softmax(dense(tf.reshape(y, [-1, 12]), 3, "a"), name="p")

    assert find_interface(saved(net)).inputs[0].shape == (5, 3, 4)


def test_shape_is_read_off_the_first_layer_when_the_placeholder_has_none() -> None:
    def net() -> None:
        x = v1.placeholder(tf.float32, None, "x")
        y = tf.nn.conv2d((x - 0.5) * 2.0, variable("kernel", [3, 3, 3, 4]), 1, "SAME")
        tf.identity(y, "y")

    [entry] = find_interface(saved(net)).inputs
    assert entry.shape == (None, None, None, 3)


# The cut


def test_cut_graph_computes_what_the_whole_graph_does_when_the_same_tensor_is_fed() -> None:
    def net() -> None:
        target, x = queue()
        logits = dense(tf.reduce_mean(tf.nn.relu(conv(x / 2.0, 4, "a")), [1, 2]), 3, "b")
        tf.nn.softmax(logits, name="p")
        train(cross_entropy(logits, target))

    source = saved(net)
    interface = find_interface(source)
    [entry] = interface.inputs
    assert (entry.name, entry.tensor) == ("batch:1", "batch_1:0")
    x = RNG.normal(size=(2, 8, 8, 3)).astype(np.float32)
    alone = cut(frozen(source), interface).pruned(["p:0"])
    assert {node.op for node in alone} & {"FIFOQueueV2", "QueueDequeueManyV2"} == set()
    [expected] = run(frozen(source).pruned(["p:0"]), ["p:0"], {"batch:1": x})
    [got] = run(alone, ["p:0"], {"batch_1:0": x})
    np.testing.assert_array_equal(got, expected)
    assert np.ptp(expected) > 0.01


def test_cut_leaves_the_graph_it_was_given_as_it_was() -> None:
    source = saved(classifier)
    before = list(source.graph)
    interface = find_interface(source, inputs={"hidden/BiasAdd": None}, outputs=["p"])
    result = cut(source.graph, interface)
    assert list(source.graph) == before
    assert result["hidden/BiasAdd"].op == "Placeholder"
    assert result["hidden/BiasAdd"].attrs["shape"] == (None, 8, 8, 4)
