"""`verify`: right files are equal, wrong ones are not, and nothing passes by being empty."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bnfold.errors import VerificationError
from bnfold.verify import verify


def test_report_is_equal_when_the_file_is_right(nets: Any) -> None:
    report = verify(nets.two_norms(), nets.two_norms_onnx(), samples=8, seed=3)
    assert report.equal
    assert report.samples == 8 + 4
    assert report.reasons == ()
    (output,) = report.outputs
    assert set(output.relative_error) == {"off", "on"}
    assert 0 < max(output.relative_error.values()) <= report.tolerance.rtol < 1e-5
    assert {batch.shapes["image:0"][0] for batch in report.batches} == {1, 7, 4}
    assert json.loads(json.dumps(report.as_json()))["equal"] is True


def _rare(nets: Any, shift: float) -> tuple[Any, onnx.ModelProto]:
    """σ(x·w − 8), some 3e-4, on both sides; the file's logits are off by ``shift``."""
    tf = nets.tf
    weights, bias = np.float32([[0.1], [-0.3], [0.2], [0.05]]), np.float32([-8.0])
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        logits = tf.nn.bias_add(tf.matmul(x, weights), bias, name="logits")
        tf.reshape(tf.sigmoid(logits, name="p"), [-1], name="rare")
    nodes = [
        helper.make_node("MatMul", ["x:0", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["logits:0"]),
        helper.make_node("Sigmoid", ["logits:0"], ["p:0"]),
        helper.make_node("Reshape", ["p:0", "all"], ["rare:0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "rare",
        [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("rare:0", TensorProto.FLOAT, ["N"])],
        [
            onnx.numpy_helper.from_array(weights, "w"),
            onnx.numpy_helper.from_array(bias + np.float32(shift), "b"),
            onnx.numpy_helper.from_array(np.int64([-1]), "all"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return nets.inference_graph(built, ["x:0"], ["rare:0"]), model


@pytest.mark.parametrize("how", [{}, {"exact": True}, {"layers": True}])
def test_sigmoid_is_equal_when_only_the_kernel_is_off(nets: Any, how: dict[str, bool]) -> None:
    reference, model = _rare(nets, 0.0)
    report = verify(reference, model, samples=32, **how)
    assert report.equal
    assert report.layers is None or report.layers.first is None
    (output,) = report.outputs
    assert max(output.relative_error.values()) > 10 * report.tolerance.rtol  # the kernel is seen to be off


def test_sigmoid_differs_when_its_logits_do(nets: Any) -> None:
    report = verify(*_rare(nets, 0.003), samples=32)
    assert not report.equal
    reference, model = _rare(nets, 0.0)
    assert not verify(reference, model, samples=32, rtol=1e-5).equal  # the caller's word is final


def test_samples_are_the_same_when_the_seed_is(nets: Any) -> None:
    first, again, other = (verify(nets.two_norms(), nets.two_norms_onnx(), seed=seed) for seed in (5, 5, 6))
    assert first.as_json() == again.as_json()
    assert first.outputs[0].relative_error != other.outputs[0].relative_error


def test_two_sizes_are_run_when_height_and_width_are_open(nets: Any) -> None:
    report = verify(nets.two_norms((None, None, None, 3)), nets.two_norms_onnx(image=("N", "H", "W", 3)))
    assert report.equal
    sizes = {batch.shapes["image:0"][1:3] for batch in report.batches}
    assert len(sizes) == 2
    assert any(height != width for height, width in sizes)


def test_batch_is_filled_when_it_is_fixed(nets: Any) -> None:
    report = verify(nets.two_norms((3, 8, 9, 3)), nets.two_norms_onnx(image=(3, 8, 9, 3)), samples=4)
    assert report.equal
    assert {batch.shapes["image:0"] for batch in report.batches} == {(3, 8, 9, 3)}
    assert report.samples == 2 * 3 + 2 * 3  # two runs of random samples, two of the four edges


def test_file_of_another_tool_is_equal_when_names_and_layout_differ(nets: Any) -> None:
    model = nets.two_norms_onnx(names=("x", "y"), channels_first=True, image=("N", 3, 8, 9))
    report = verify(nets.two_norms(), model)
    assert report.equal
    assert report.inputs[0].how == "the only input"
    assert report.inputs[0].permutation == (0, 3, 1, 2)
    assert report.matches[0].permutation == (0, 3, 1, 2)


def test_other_layout_is_a_problem_when_it_is_not_accepted(nets: Any) -> None:
    model = nets.two_norms_onnx(channels_first=True, image=("N", 3, 8, 9))
    report = verify(nets.two_norms(), model, transposed=False)
    assert not report.equal
    assert "axes in the order (0, 3, 1, 2)" in report.problems[0]


def test_open_sizes_are_matched_by_the_known_ones_when_layouts_differ(nets: Any) -> None:
    model = nets.two_norms_onnx(channels_first=True, image=("N", 3, "H", "W"))
    assert verify(nets.two_norms((None, None, None, 3)), model).equal


def test_names_are_found_when_they_lack_the_index(nets: Any) -> None:
    report = verify(nets.two_norms(), nets.two_norms_onnx(names=("image", "features")))
    assert report.equal
    assert {match.how for match in (*report.inputs, *report.matches)} == {"name without :0"}


FAULTS = {
    "an unscaled bias": lambda n: n.folded(n.KERNEL, 0 * n.BIAS, n.GAMMA, n.BETA, n.MEAN, n.VARIANCE)[1] + n.BIAS,
    "swapped mean and variance": lambda n: n.folded(n.KERNEL, n.BIAS, n.GAMMA, n.BETA, n.VARIANCE, abs(n.MEAN)),
    "a stale epsilon": lambda n: n.folded(n.KERNEL, n.BIAS, n.GAMMA, n.BETA, n.MEAN, n.VARIANCE, 1.1e-3),
    "scale on the wrong axis": lambda n: n.folded(n.KERNEL[:, :, ::-1], n.BIAS, n.GAMMA, n.BETA, n.MEAN, n.VARIANCE),
    "a weight off by one in a thousand": lambda n: _one_weight_off(n),
}


def _one_weight_off(nets: Any) -> tuple[Any, Any]:
    kernel, bias = nets.folded(nets.KERNEL, nets.BIAS, nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE)
    kernel = kernel.copy()
    kernel[1, 0, 2, 3] *= 1.001
    return kernel, bias


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("exact", [False, True])
def test_fault_is_found_when_the_fold_is_wrong(nets: Any, fault: str, exact: bool) -> None:
    wrong = FAULTS[fault](nets)
    if isinstance(wrong, np.ndarray):
        right, _ = nets.folded(nets.KERNEL, nets.BIAS, nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE)
        wrong = (right, wrong)
    report = verify(nets.two_norms(), nets.two_norms_onnx(first=wrong), exact=exact)
    assert not report.equal
    assert "features:0" in report.reasons[0]


def test_fault_is_found_when_a_node_is_dropped(nets: Any) -> None:
    assert not verify(nets.two_norms(), nets.two_norms_onnx(relu="Identity")).equal


def test_given_tolerance_alone_counts_when_there_is_one(nets: Any) -> None:
    wrong = nets.two_norms_onnx(first=_one_weight_off(nets))
    assert verify(nets.two_norms(), wrong, rtol=1e-3).equal
    assert not verify(nets.two_norms(), wrong, rtol=1e-6).equal
    assert not verify(nets.two_norms(), nets.two_norms_onnx(), rtol=1e-9, atol=1e-12).equal
    assert verify(nets.two_norms(), nets.two_norms_onnx(), rtol=1e-5).tolerance.factor is None


def test_float64_decides_when_the_graph_itself_rounds_badly(nets: Any) -> None:
    """(x + 4000) − 4000 loses 12 bits in float32; a file that rounds as badly elsewhere is as good."""
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 6), name="x")
        tf.subtract(tf.add(tf.multiply(x, 0.3, name="m"), 4000.0, name="far"), 4000.0, name="y")
    reference = nets.inference_graph(built, ["x:0"], ["y:0"])
    weights = {"f": np.float32(0.3), "a": np.float32(5000.0)}
    nodes = [
        helper.make_node("Mul", ["x", "f"], ["m"]),
        helper.make_node("Add", ["m", "a"], ["n"]),
        helper.make_node("Sub", ["n", "a"], ["y"]),
    ]
    model = nets.model(nodes, {"x": ("N", 6)}, {"y": ("N", 6)}, weights)
    report = verify(reference, model)
    assert report.outputs[0].relative_error["off"] > report.tolerance.rtol
    assert report.equal
    assert "times TensorFlow's own rounding" in report.outputs[0].reason
    assert not verify(reference, model, rtol=report.tolerance.rtol).equal


def _edited(model: onnx.ModelProto, edit: Any) -> onnx.ModelProto:
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    edit(edited.graph)
    return edited


def _without_output(graph: Any) -> None:
    graph.node.append(helper.make_node("Relu", ["features:0"], ["other"]))
    graph.output[0].name = "other"
    graph.output.append(helper.make_tensor_value_info("conv1/Relu:0", TensorProto.FLOAT, None))


def _with_input(graph: Any) -> None:
    graph.input.append(helper.make_tensor_value_info("is_training", TensorProto.BOOL, []))


def _as_double(graph: Any) -> None:
    graph.node.append(helper.make_node("Cast", ["features:0"], ["wide"], to=TensorProto.DOUBLE))
    graph.output[0].CopyFrom(helper.make_tensor_value_info("wide", TensorProto.DOUBLE, ["N", 8, 9, 4]))


def _flattened(graph: Any) -> None:
    graph.node.append(helper.make_node("Flatten", ["features:0"], ["flat"]))
    graph.output[0].CopyFrom(helper.make_tensor_value_info("flat", TensorProto.FLOAT, None))


def _with_nan(graph: Any) -> None:
    graph.node.append(helper.make_node("Sub", ["features:0", "features:0"], ["zero"]))
    graph.node.append(helper.make_node("Div", ["zero", "zero"], ["nan"]))
    graph.output[0].name = "nan"


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without_output, "outputs that TensorFlow's graph does not"),
        (_with_input, "is_training"),
        (_as_double, "float64 in the file, float32 in TensorFlow"),
        (_flattened, "shape"),
        (_with_nan, "NaN in the file"),
    ],
)
def test_report_is_not_equal_when_the_interface_or_a_value_is_broken(nets: Any, edit: Any, reason: str) -> None:
    report = verify(nets.two_norms(), _edited(nets.two_norms_onnx(), edit))
    assert not report.equal
    assert reason in " ".join(report.reasons)


def test_report_is_not_equal_when_an_output_is_missing(nets: Any) -> None:
    reference = nets.two_norms()
    relu = replace(reference.outputs[0], name="conv1/Relu:0", tensor="conv1/Relu:0", shape=(None, 8, 9, 5))
    report = verify(replace(reference, outputs=(*reference.outputs, relu)), nets.two_norms_onnx())
    assert not report.equal
    assert "no output for conv1/Relu:0" in report.problems[0]
    assert report.outputs[0].equal  # what is there is compared all the same


def test_report_is_not_equal_when_tensorflow_itself_gives_nan(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        tf.math.log(tf.compat.v1.placeholder(tf.float32, (None, 2), name="x"), name="y")
    model = nets.model([helper.make_node("Log", ["x"], ["y"])], {"x": ("N", 2)}, {"y": ("N", 2)}, {})
    reference = nets.inference_graph(built, ["x:0"], ["y:0"])
    random = verify(reference, model)
    assert random.equal  # the samples are drawn from [0, 1) instead, and equal infinities are equal
    assert "give NaN" in " ".join(random.notes)
    given = verify(reference, model, data=np.float32([[-1, 2], [3, 4]]))
    assert not given.equal
    assert "TensorFlow itself gives NaN" in given.problems[0]


@pytest.mark.parametrize("samples", [0, -1])
def test_check_is_refused_when_there_are_no_samples(nets: Any, samples: int) -> None:
    with pytest.raises(VerificationError, match="prove nothing"):
        verify(nets.two_norms(), nets.two_norms_onnx(), samples=samples)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07", b"PK\x03\x04" + bytes(64)])
def test_check_is_refused_when_the_file_is_not_onnx(nets: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match=r"model\.onnx is not an ONNX model"):
        verify(nets.two_norms(), path)


def test_check_is_refused_when_there_is_no_file(nets: Any, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="no ONNX file"):
        verify(nets.two_norms(), tmp_path / "absent.onnx")


def test_check_is_refused_when_onnxruntime_cannot_load_the_file(nets: Any) -> None:
    def unknown(graph: Any) -> None:
        graph.node[1].op_type = "NoSuchOp"

    with pytest.raises(VerificationError, match=r"onnxruntime .* refuses"):
        verify(nets.two_norms(), _edited(nets.two_norms_onnx(), unknown))


def test_file_is_run_from_disk_when_a_path_is_given(nets: Any, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(nets.two_norms_onnx(), path, save_as_external_data=True, location="net.weights", size_threshold=0)
    assert verify(nets.two_norms(), path).equal


def test_integer_outputs_are_compared_exactly(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        tf.argmax(tf.compat.v1.placeholder(tf.float32, (None, 7), name="x"), axis=1, name="y")
    reference = nets.inference_graph(built, ["x:0"], ["y:0"])
    for operator, equal in (("ArgMax", True), ("ArgMin", False)):
        nodes = [helper.make_node(operator, ["x"], ["y"], axis=1, keepdims=0)]
        model = nets.model(nodes, {"x": ("N", 7)}, {}, {})
        model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.INT64, ["N"]))
        assert verify(reference, model).equal is equal


def test_folded_graph_is_compared_when_the_candidate_is_an_inference_graph(nets: Any) -> None:
    right = nets.two_norms()
    assert verify(right, right).equal
    graph = right.graph.copy()
    graph.replace(graph["conv1/BatchNorm"].with_attrs(epsilon=0.01))
    assert not verify(right, replace(right, graph=graph)).equal
