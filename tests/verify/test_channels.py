"""Errors channel by channel: one wrong weight stands out, rounding does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bnfold.verify import verify
from bnfold.verify.channels import Noise, channel_axis

RNG = np.random.default_rng(8)
TRUTH = RNG.normal(size=(4, 6, 7, 32)) * np.geomspace(0.5, 50, 32)
FLOAT32 = TRUTH.astype(np.float32)


def test_rounding_stays_below_the_limit() -> None:
    other = (TRUTH * (1 + 1e-7 * RNG.normal(size=TRUTH.shape))).astype(np.float32)
    excess, _ = Noise().judge(TRUTH, FLOAT32, other, 3)
    assert 0 < excess < 0.5


def test_channel_with_an_error_is_named_though_the_tensor_hides_it() -> None:
    wrong = FLOAT32.copy()
    wrong[..., 2] *= np.float32(1 + 3e-5)  # 1e-6 of the tensor's largest value
    excess, channel = Noise().judge(TRUTH, FLOAT32, wrong, 3)
    assert excess > 5
    assert channel == 2
    assert Noise().judge(TRUTH, FLOAT32, wrong, None)[0] < excess / 5


def test_noise_of_earlier_layers_counts() -> None:
    noise = Noise()
    noise.judge(TRUTH, (TRUTH * (1 + 1e-5 * RNG.normal(size=TRUTH.shape))).astype(np.float32), FLOAT32, 3)
    wrong = FLOAT32 * np.float32(1 + 3e-5)
    assert noise.judge(TRUTH, FLOAT32, wrong, 3)[0] < 1 < Noise().judge(TRUTH, FLOAT32, wrong, 3)[0]


@pytest.mark.parametrize(("found", "excess"), [(np.zeros((2, 3)), 0.0), (np.full((2, 3), 1e-9), np.inf)])
def test_tensor_of_zeros_must_be_zeros(found: Any, excess: float) -> None:
    zeros = np.zeros((2, 3))
    assert Noise().judge(zeros, zeros.astype(np.float32), found.astype(np.float32), 1)[0] == excess


def test_nan_is_beyond_every_limit() -> None:
    wrong = FLOAT32.copy()
    wrong[0, 0, 0, 5] = np.nan
    assert Noise().judge(TRUTH, FLOAT32, wrong, 3) == (np.inf, 5)


def test_channels_are_last_unless_the_graph_has_them_first(nets: Any) -> None:
    graph = nets.two_norms().graph
    assert channel_axis(graph, "conv1/Relu:0") == 3
    first = graph.copy()
    first.replace(first["conv1/Conv2D"].with_attrs(data_format="NCHW"))
    assert channel_axis(first, "conv1/Relu:0") == 1


@pytest.mark.parametrize("which", ["first", "second"])
def test_any_single_weight_off_by_a_thousandth_is_localised(nets: Any, which: str) -> None:
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    right = {
        "first": nets.folded(nets.KERNEL, nets.BIAS, nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE),
        "second": nets.folded(nets.KERNEL_2, zeros, ones, zeros, nets.MEAN_2, nets.VARIANCE_2),
    }
    kernel, bias = right[which]
    layer = {"first": "conv1/BatchNorm:0", "second": "conv2/BatchNorm:0"}[which]
    for place in zip(*np.unravel_index(RNG.choice(kernel.size, 5, replace=False), kernel.shape), strict=True):
        changed = kernel.copy()
        changed[place] += 1e-3
        report = verify(nets.two_norms(), nets.two_norms_onnx(**{which: (changed, bias)}), layers=True, exact=True)
        assert not report.equal
        assert report.layers is not None
        assert report.layers.first == layer


def test_divergence_inside_makes_the_file_differ_when_exact(nets: Any) -> None:
    """A fault that no output shows: the tensor is read by nothing that reaches one."""
    reference = nets.two_norms()
    relu = replace(reference.outputs[0], name="scaled:0", tensor="scaled:0", shape=(None, 8, 9, 3))
    kernel, bias = nets.folded(nets.KERNEL, nets.BIAS, nets.GAMMA, nets.BETA, nets.MEAN, nets.VARIANCE)
    model = nets.two_norms_onnx(first=(kernel * np.float32(1.001), bias))
    model.graph.output[0].name = "scaled:0"
    for dim, size in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], (3, 8, 9), strict=True):
        dim.dim_value = size
    only = replace(reference, outputs=(relu,))
    assert verify(only, model, layers=True).equal
    report = verify(only, model, layers=True, exact=True)
    assert not report.equal
    assert "diverges inside the network" in report.problems[0]
