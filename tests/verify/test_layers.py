"""Layer by layer: the first tensor that diverges, the ops around it, and what a fold rewrites on purpose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from bnfold.graph.stages import BatchNorm, Folded
from bnfold.verify import verify
from bnfold.verify.layers import rewritten_tensors


def _with_norms(nets: Any) -> Any:
    """The reference with its batch norms recorded, as `infer` does."""

    def norm(number: int, x: str, gamma: Any, beta: Any, mean: Any, variance: Any) -> BatchNorm:
        name = f"conv{number}/BatchNorm"
        return BatchNorm(name, "FusedBatchNormV3", "", x, f"{name}:0", (name,), 3, gamma, beta, mean, variance, 1e-3)

    first = norm(1, "conv1/BiasAdd:0", nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE)
    second = norm(2, "conv2/Conv2D:0", None, None, nets.MEAN_2, nets.VARIANCE_2)
    return replace(nets.two_norms(), batch_norms=(first, second))


FOLDED = (Folded("conv1/BatchNorm", ("conv1/Conv2D",), "conv"), Folded("conv2/BatchNorm", ("conv2/Conv2D",), "conv"))


def _first(nets: Any, **changed: Any) -> tuple[Any, Any]:
    right = (nets.KERNEL, nets.BIAS, nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE)
    names = ("kernel", "bias", "gamma", "beta", "mean", "variance")
    values = [changed.pop(name, value) for name, value in zip(names, right, strict=True)]
    return nets.folded(*values, **changed)


def _weight_off(nets: Any) -> tuple[Any, Any]:
    kernel, bias = _first(nets)
    kernel = kernel.copy()
    kernel[2, 0, 1, 4] *= 1.001
    return kernel, bias


FAULTS: dict[str, Any] = {
    "wrong channel axis": lambda n: (_first(n)[0], np.roll(_first(n)[1], 1)),
    "unscaled bias": lambda n: (_first(n)[0], n.BIAS + n.BETA),
    "mean and variance swapped": lambda n: _first(n, mean=n.VARIANCE, variance=abs(n.MEAN)),
    "stale epsilon": lambda n: _first(n, epsilon=1e-5),
    "one weight off by 0.001": _weight_off,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_first_divergent_layer_is_named_when_a_fold_is_wrong(nets: Any, fault: str) -> None:
    model = nets.two_norms_onnx(first=FAULTS[fault](nets))
    report = verify(_with_norms(nets), model, layers=True, fates=FOLDED)
    found = report.layers
    assert not report.equal
    assert found.first == "conv1/BatchNorm:0"
    assert found.last_good == "centred:0"
    assert found.between == (
        "conv1/Conv2D (Conv2D)", "conv1/BiasAdd (BiasAdd)", "conv1/BatchNorm (FusedBatchNormV3)"
    )  # fmt: skip
    assert found.file_nodes == ("conv1/BatchNorm:0 (Conv)",)
    assert found.batch_norms == ("conv1/BatchNorm",)


def test_second_layer_is_named_when_its_fold_is_wrong(nets: Any) -> None:
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    wrong = nets.folded(nets.KERNEL_2, zeros, ones, zeros, nets.MEAN_2, nets.VARIANCE_2, 0.002)
    found = verify(_with_norms(nets), nets.two_norms_onnx(second=wrong), layers=True, fates=FOLDED).layers
    assert (found.first, found.last_good) == ("conv2/BatchNorm:0", "conv1/Relu:0")
    errors = [layer.onnx_error for layer in found.layers]
    assert max(errors[:-2]) < 1e-6 < min(errors[-2:])


def test_dropped_node_is_named_when_the_names_around_it_stay(nets: Any) -> None:
    found = verify(_with_norms(nets), nets.two_norms_onnx(relu="Identity"), layers=True).layers
    assert found.first == "conv1/Relu:0"
    assert found.between == ("conv1/Relu (Relu)",)


def test_no_layer_diverges_when_the_file_is_right(nets: Any) -> None:
    found = verify(_with_norms(nets), nets.two_norms_onnx(), layers=True, fates=FOLDED).layers
    assert found.first is None
    assert len(found.layers) == 6
    assert not any(layer.diverges for layer in found.layers)
    assert {layer.name for layer in found.layers} >= {"conv1/Relu:0", "conv2/BatchNorm:0"}


@pytest.mark.parametrize("half", [True, False])
def test_weights_of_half_precision_diverge_only_when_the_file_is_not_said_to_be_half(nets: Any, half: bool) -> None:
    model = nets.two_norms_onnx()
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            rounded = values.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, tensor.name))
    found = verify(_with_norms(nets), model, layers=True, fates=FOLDED, half=half).layers
    assert found.layers
    assert (found.first is None) == half


def _keeping_the_convolution_name(nets: Any) -> Any:
    """The folded file as an exporter writes it that calls the folded convolution's output by its old name."""
    model = nets.two_norms_onnx()
    nodes = {node.output[0]: node for node in model.graph.node}
    nodes["conv1/BatchNorm:0"].output[0] = "conv1/Conv2D:0"
    nodes["conv1/Relu:0"].input[0] = "conv1/Conv2D:0"
    return model


@pytest.mark.parametrize("fates", [FOLDED, ()])
def test_rewritten_tensor_is_no_fault_when_what_follows_agrees(nets: Any, fates: Any) -> None:
    report = verify(_with_norms(nets), _keeping_the_convolution_name(nets), layers=True, fates=fates)
    assert report.equal
    assert report.layers.first is None
    marked = {layer.name for layer in report.layers.layers if layer.rewritten}
    assert marked == (set() if fates else {"conv1/Conv2D:0"})


def test_trace_is_empty_when_no_name_is_shared(nets: Any) -> None:
    model = nets.two_norms_onnx(names=("x", "y"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [
                name if name in ("x", "y", "k1", "b1", "k2", "b2", "half", "one") else f"t_{name}" for name in names
            ]
    report = verify(nets.two_norms(), model, layers=True)
    assert report.equal
    assert report.layers.layers == ()


def test_rewritten_tensors_are_those_between_norm_and_layer(nets: Any) -> None:
    tf = nets.tf
    with tf.Graph().as_default() as built:
        x = tf.compat.v1.placeholder(tf.float32, (None, 4), name="x")
        y = nets._norm(tf.reshape(x, (-1, 1, 1, 4)), *(np.ones(4, np.float32),) * 4, "norm")
        y = tf.reshape(y, (-1, 4), name="flat")
        y = tf.matmul(y, np.eye(4, 5, dtype=np.float32), name="dense")
        tf.nn.relu(y, name="out")
    inference = nets.inference_graph(built, ["x:0"], ["out:0"])
    norm = BatchNorm("norm", "", "", "Reshape:0", "norm:0", ("norm",), 3, None, None, np.ones(4), np.ones(4), 0.0)
    inference = replace(inference, batch_norms=(norm,))
    forward = rewritten_tensors(inference, [Folded("norm", ("dense",), "forward")])
    assert {"norm:0", "flat:0"} <= forward
    assert not {"dense:0", "out:0", "Reshape:0"} & forward


def test_optimiser_is_suspected_when_only_its_result_differs(nets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from bnfold.verify import runtime

    run = runtime.Runtime.run

    def wrong_when_optimised(self: Any, fetches: Any, feeds: Any) -> Any:
        return [value * (1.01 if self.mode == "on" else 1.0) for value in run(self, fetches, feeds)]

    monkeypatch.setattr(
        runtime.Runtime, "run", lambda s, f, x: [v.astype(np.float32) for v in wrong_when_optimised(s, f, x)]
    )
    report = verify(nets.two_norms(), nets.two_norms_onnx())
    assert not report.equal
    assert "optimiser" in report.suspect
    assert verify(nets.two_norms(), nets.two_norms_onnx(relu="Identity")).suspect == ""


def test_channels_first_tensors_are_compared_in_the_reference_layout(nets: Any) -> None:
    model = nets.two_norms_onnx()
    assert model.graph.node[0].op_type == "Transpose"  # inner tensors are channels first
    report = verify(nets.two_norms(), model, layers=True)
    assert all(layer.relative < 1e-6 for layer in report.layers.layers)
