"""The file: names, layouts, precision, what is refused, and that the same source gives the same bytes."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnxruntime
import pytest
from harness import assert_lowers, assert_same, check_file, inference_graph, op_types, random

from bnfold.errors import ExportError
from bnfold.export import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, export, register_op, table
from bnfold.graph import Graph, Node
from bnfold.graph.evaluate import run
from bnfold.graph.tensorflow import tensorflow

tf = tensorflow()

IMAGE = {"x": random(2, 8, 6, 3)}
KERNELS = [random(3, 3, 3, 4, seed=1), random(3, 3, 4, 5, seed=2)]


def network(x):
    y = tf.nn.relu(tf.nn.conv2d(x, KERNELS[0], 1, "SAME") + random(4, seed=3), name="first")
    return tf.nn.relu(tf.nn.conv2d(y, KERNELS[1], 2, "SAME"), name="second")


def test_names_are_tensorflows():
    model = export(inference_graph(network, IMAGE))
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["x:0", "second:0"]
    assert {"first:0", "second:0/stored"} <= {name for node in model.graph.node for name in node.output}


@pytest.mark.parametrize("opset", [OLDEST_OPSET, DEFAULT_OPSET, NEWEST_OPSET])
def test_version_is_the_oldest_that_has_the_opset(opset):
    model = assert_lowers(network, IMAGE, opsets=[opset])
    assert model.opset_import[0].version == opset
    assert model.ir_version == onnx.helper.find_min_ir_version_for(model.opset_import)


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, NEWEST_OPSET + 1])
def test_opset_is_refused_when_no_runtime_has_it(opset):
    with pytest.raises(ValueError, match=f"opset {opset}"):
        export(inference_graph(network, IMAGE), opset=opset)


def test_names_are_new_when_renamed():
    model = assert_renamed({"x": "image", "second:0": "features"})
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "features"]


def assert_renamed(rename):
    model = export(inference_graph(network, IMAGE), rename=rename)
    check_file(model)
    return model


@pytest.mark.parametrize("rename", [{"first": "y"}, {"x": "second:0"}, {"x": ""}])
def test_rename_is_refused_when_it_names_nothing_or_twice_the_same(rename):
    with pytest.raises(ExportError, match=r"is no input or output|two inputs or outputs|would have no name"):
        assert_renamed(rename)


def test_unknown_sizes_have_names():
    inference = inference_graph(network, IMAGE, shapes={"x": (None, None, 6, 3)})
    dims = export(inference).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", "x_dim1", 6, 3]


def test_no_transpose_is_left_when_layout_is_nchw():
    inference = inference_graph(network, IMAGE, shapes={"x": (None, 8, 6, 3)})
    model = export(inference, layout="nchw")
    check_file(model)
    assert op_types(model) == ["Conv", "Relu", "Conv", "Relu"]
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["N", 3, 8, 6]
    assert "channels first" in model.graph.output[0].doc_string
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (got,) = session.run(None, {"x:0": IMAGE["x"].transpose(0, 3, 1, 2)})
    (wanted,) = run(inference.graph, ["second:0"], {"x:0": IMAGE["x"]})
    assert_same(got.transpose(0, 2, 3, 1), wanted, rtol=1e-5, atol=1e-5)


def test_layout_is_nchw_for_the_input_alone_when_asked():
    model = export(inference_graph(network, IMAGE), layout={"x": "nchw"})
    assert op_types(model) == ["Conv", "Relu", "Conv", "Relu", "Transpose"]


@pytest.mark.parametrize("name", ["x", "y:0"])
def test_layout_is_refused_when_what_it_names_is_no_image(name):
    inference = inference_graph(lambda x: tf.matmul(x, np.ones((4, 3), np.float32), name="y"), {"x": random(2, 4)})
    with pytest.raises(ExportError, match="is no image") as refused:
        export(inference, layout={name: "nchw"})
    assert refused.value.hint
    assert op_types(export(inference, layout="nchw")) == op_types(export(inference))


def test_outputs_that_no_convolution_stores_are_as_tensorflow_has_them_when_layout_is_nchw():
    """All sizes are 4: a wrong order of the axes would have the right shape."""
    kernel = random(3, 3, 4, 4, seed=1)

    def build(x):
        stacked = tf.stack([x, x * 2.0, x + 1.0, -x], 3)
        image = tf.nn.conv2d(stacked, kernel, 1, "SAME", name="image")
        return stacked, tf.transpose(x, [0, 2, 1]), tf.transpose(x[0]), tf.transpose(image, [0, 2, 1, 3]), image

    feeds = {"x": random(2, 4, 4)}
    inference = inference_graph(build, feeds, shapes={"x": (None, None, None)})
    model = export(inference, layout="nchw")
    check_file(model)
    assert [output.name for output in model.graph.output if output.doc_string] == ["image:0"]
    names = [endpoint.tensor for endpoint in inference.outputs]
    *plain, image = run(inference.graph, names, {"x:0": feeds["x"]})
    got = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x:0": feeds["x"]})
    for ours, wanted in zip(got, [*plain, image.transpose(0, 3, 1, 2)], strict=True):
        assert_same(ours, wanted, rtol=1e-5, atol=1e-5)


def test_layout_is_refused_when_it_is_unknown():
    with pytest.raises(ValueError, match="layout 'NHWC'"):
        export(inference_graph(network, IMAGE), layout="NHWC")
    with pytest.raises(ExportError, match="secnd is no input or output") as caught:
        export(inference_graph(network, IMAGE), layout={"secnd": "nchw"})
    assert caught.value.hint == "did you mean second:0?"


def test_bytes_are_the_same_when_the_source_is():
    models = [export(inference_graph(network, IMAGE), metadata={"b": "2", "a": "1"}) for _ in range(2)]
    assert models[0].SerializeToString(deterministic=True) == models[1].SerializeToString(deterministic=True)
    assert [entry.key for entry in models[0].metadata_props] == ["a", "b"]


def test_initializers_are_shared_when_equal():
    bias = random(4, seed=5)

    def build(x):
        y = tf.nn.conv2d(x, KERNELS[0], 1, "SAME") + bias
        return y, tf.nn.conv2d(x * 2.0, np.array(KERNELS[0]), 1, "SAME") + np.array(bias)

    model = assert_lowers(build, IMAGE)
    assert sum(tuple(t.dims) == (4, 3, 3, 3) for t in model.graph.initializer) == 1
    assert sum(tuple(t.dims) == (4,) for t in model.graph.initializer) == 1


def test_outputs_are_both_there_when_they_are_one_tensor_and_an_input():
    def build(x):
        y = tf.nn.relu(x)
        return tf.identity(y, name="a"), tf.identity(y, name="b"), tf.identity(x, name="c")

    model = assert_lowers(build, IMAGE)
    assert [value.name for value in model.graph.output] == ["a:0", "b:0", "c:0"]


def test_ops_without_a_lowering_are_all_named_at_once():
    def build(x):
        ratio = [1.0, 1.5, 1.5, 1.0]
        y = tf.raw_ops.FractionalMaxPool(value=x, pooling_ratio=ratio).output
        pools = (tf.raw_ops.FractionalAvgPool(value=v, pooling_ratio=ratio, name=n) for v, n in ((y, "a"), (x, "b")))
        return tuple(pool.output for pool in pools)

    with pytest.raises(ExportError) as caught:
        export(inference_graph(build, IMAGE))
    assert "FractionalMaxPool: FractionalMaxPool" in str(caught.value)
    assert "FractionalAvgPool: a, b" in str(caught.value)
    assert "register_op" in (caught.value.hint or "")


def test_nodes_that_are_refused_are_all_named_at_once(monkeypatch):
    """Also those behind another, in a branch, and those whose readers want what a refused node would give."""
    monkeypatch.setattr(table, "_USERS", {})

    @register_op("Softsign")
    def lower(call):
        raise call.refusal("it has no form here")

    def build(x, flag):
        first = tf.nn.softsign(x, name="first")
        second = tf.nn.softsign(tf.transpose(tf.nn.relu(first), [0, 2, 1, 3]), name="second")
        inside = tf.cond(flag, lambda: tf.nn.softsign(x * 2.0, name="inside"), lambda: x)
        return second, inside

    with pytest.raises(ExportError, match="nodes without an ONNX form") as caught:
        export(inference_graph(build, {**IMAGE, "flag": np.bool_(True)}))
    for name in ("first", "second", "inside"):
        assert re.search(rf"{name}\w* is a Softsign without an ONNX form: it has no form here", str(caught.value))
    assert "--output" in (caught.value.hint or "")


def test_node_is_refused_in_its_own_words_when_it_is_the_only_one(monkeypatch):
    monkeypatch.setattr(table, "_USERS", {})

    @register_op("Softsign")
    def lower(call):
        raise call.refusal("it has no form here")

    with pytest.raises(ExportError, match=r"^only is a Softsign without an ONNX form: it has no form here"):
        export(inference_graph(lambda x: tf.nn.relu(tf.nn.softsign(x, name="only")), IMAGE))


def test_op_is_lowered_by_its_user_when_registered(monkeypatch):
    monkeypatch.setattr(table, "_USERS", {})

    @register_op("Lgamma")
    def lower(call):
        return call.emit("Mul", call.input(0), call.scalar(2.0, call.dtype()))

    model = export(inference_graph(lambda x: tf.raw_ops.Lgamma(x=x), IMAGE))
    check_file(model)
    assert op_types(model) == ["Mul"]


def test_source_is_unchanged():
    inference = inference_graph(network, IMAGE)
    before = [(node.name, node.op, node.inputs) for node in inference.graph]
    export(inference, half=True, layout="nchw")
    assert [(node.name, node.op, node.inputs) for node in inference.graph] == before


def test_weights_and_arithmetic_are_float16_when_half():
    """Sums of 27 and 36 products: float16 carries 11 bits, 5e-3 of the largest output is what they leave."""
    model = assert_lowers(network, IMAGE, half=True, rtol=1e-2, atol=5e-3)
    assert {t.data_type for t in model.graph.initializer if len(t.dims) == 4} == {onnx.TensorProto.FLOAT16}
    assert op_types(model).count("Cast") == 2


def test_outputs_keep_their_names_when_half():
    inference = inference_graph(lambda x: tf.nn.softmax(tf.nn.relu(x), name="probabilities"), {"x": random(2, 4)})
    (output,) = export(inference, half=True).graph.output
    assert output.name == "probabilities:0"


def test_weights_stay_finite_when_half():
    big = np.array([1e6, -1e6, 1.0, np.inf], np.float32)
    model = export(inference_graph(lambda x: tf.minimum(x, big), {"x": random(2, 4)}), half=True)
    (stored,) = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
    np.testing.assert_array_equal(stored, np.array([65504, -65504, 1, np.inf], np.float16))


def test_ops_keep_float32_when_tensorflow_has_no_other():
    def build(x):
        y = tf.nn.conv2d(x, KERNELS[0], 1, "SAME")
        y = tf.raw_ops.FusedBatchNormV3(
            x=y, scale=[1.0, 2, -1, 0.5], offset=[0.0] * 4, mean=[0.1] * 4, variance=[1.0] * 4, is_training=False
        ).y
        return tf.nn.softmax(tf.reduce_mean(y, [1, 2]))

    model = assert_lowers(build, IMAGE, half=True, rtol=2e-2, atol=1e-2)
    assert onnx.TensorProto.FLOAT16 in {t.data_type for t in model.graph.initializer}


def test_graph_without_nodes_is_a_model():
    inference = inference_graph(lambda x: tf.identity(x, name="y"), IMAGE)
    model = export(inference)
    check_file(model)
    assert op_types(model) == ["Identity"]
    assert isinstance(inference.graph, Graph)
    assert isinstance(inference.graph["y"], Node)


def test_identities_leave_no_node_when_they_follow_one_another():
    def build(x):
        y = tf.identity(tf.stop_gradient(tf.identity(tf.nn.relu(x))))
        return y * 2.0, tf.identity(y, name="out")

    model = assert_lowers(build, IMAGE)
    assert op_types(model) == ["Relu", "Mul"]


def test_sizes_keep_their_names_where_they_stay_the_same():
    inference = inference_graph(network, IMAGE, shapes={"x": (None, None, 6, 3)})
    model = export(inference)
    dims = {
        info.name: [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*model.graph.value_info, *model.graph.output)
    }
    assert dims["first:0"] == ["N", 4, "x_dim1", 6]
    assert dims["second:0"][0] == "N"
    assert dims["second:0"][1] != "x_dim1"


def test_reshapes_are_one_when_they_follow_one_another():
    def build(x):
        y = tf.reshape(tf.expand_dims(tf.reshape(x, [-1, 48, 3]), 1), [-1, 12, 12])
        return tf.nn.relu(y), tf.nn.relu(tf.reshape(tf.reshape(x, [-1, 3]), [-1, 8, 6, 3]))

    model = assert_lowers(build, IMAGE, shapes={"x": (None, 8, 6, 3)})
    assert sorted(op_types(model)) == ["Relu", "Relu", "Reshape"]


def test_marks_of_custom_gradients_leave_no_node():
    def build(x):
        y, _ = tf.raw_ops.IdentityN(input=[x * tf.sigmoid(x), x])
        return tf.nn.relu(y)

    assert op_types(assert_lowers(build, IMAGE)) == ["Sigmoid", "Mul", "Relu"]
