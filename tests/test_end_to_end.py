"""Training checkpoints in, ONNX files out; onnxruntime against the outputs TensorFlow gave in inference mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import bnfold
from bnfold.graph.stages import Folded

Find = Callable[[str], Path]

SAMPLES = ("separable_segmenter", "dense_norm", "phase_train", "decay/zero", "decay/one", "channels_first")

TRAINED = {
    "mobilenet_v1-baked": 27,
    "mobilenet_v1-placeholder": 27,
    "mobilenet_v2-baked": 52,
    "shufflenet_v2-baked": 56,
    "IRCNN__dilated7": 5,
    "tensorflow2caffe__mnistcls": 2,
    "collision_detection__unfused": 2,
    "xception__learning_phase": 14,
    "keyword_spotting__DS_CNN_S": 9,
    "leaf_disease__no_batch_norm": 0,
}
"""Checkpoints that convert with no flag but their path, and their batch norms."""

REFUSED = {
    "DCGAN__no_statistics": "moving",
    "resnet32__batch_moments": "batch",
    "pointnet__mismatch": "shape|NaN",
}
"""Checkpoints that must be refused, and a word of the reason."""

ONE_AT_A_TIME = {"keyword_spotting__DS_CNN_S"}
"""Networks written for a batch of one."""


def path_of(folder: Path) -> Path:
    frozen = sorted(folder.glob("*.pb"))
    return frozen[0] if frozen and not (folder / "checkpoint").exists() else folder


def session_of(model: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])


def onnx_output(model: Path, expected: Any, name: str, *, one_at_a_time: bool) -> np.ndarray:
    """Output ``name`` of the file on the stored input."""
    session = session_of(model)
    (entry,) = session.get_inputs()
    batches = np.split(expected["input"], len(expected["input"])) if one_at_a_time else [expected["input"]]
    return np.concatenate([session.run([name], {entry.name: batch})[0] for batch in batches])


def assert_matches(model: Path, folder: Path, *, one_at_a_time: bool = False, rtol: float = 1e-4) -> None:
    """The main output equals the truth; the logits too, where they are an output of their own."""
    expected = np.load(folder / "expected.npz")
    names = {output.name for output in session_of(model).get_outputs()}
    for key in ("output", "logits"):
        if key == "output" or str(expected.get("logits_name")) in names:
            actual = onnx_output(model, expected, str(expected[f"{key}_name"]), one_at_a_time=one_at_a_time)
            assert actual.shape == expected[key].shape
            assert np.abs(actual - expected[key]).max() <= rtol * np.abs(expected[key]).max()


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_model_is_converted_to_the_truth(name: str, sample_model: Find, tmp_path: Path) -> None:
    folder = sample_model(name)
    conversion = bnfold.convert(folder, tmp_path / "net.onnx", samples=2)
    assert conversion.report.equal
    assert_matches(tmp_path / "net.onnx", folder, rtol=1e-5)

    wanted = json.loads((folder / "fates.json").read_text())
    fates = {fate.name: fate for fate in conversion.report.fates}
    assert {fate: isinstance(fates[fate], Folded) for fate in fates} == {
        n: w["fate"] == "folded" for n, w in wanted.items()
    }
    for layer, want in wanted.items():
        fate = fates[layer]
        assert not isinstance(fate, Folded) or want["into"] in fate.into


def test_sample_model_warns_when_its_statistics_never_moved(sample_model: Find) -> None:
    quiet = bnfold.convert(sample_model("decay/zero"), check=False).report
    loud = bnfold.convert(sample_model("decay/one"), check=False).report
    assert "never-updated" not in {note.kind for note in quiet.notes}
    (note,) = [note for note in loud.notes if note.kind == "never-updated"]
    assert note.level == "warning"
    assert note.nodes == ("bn",)


def test_frozen_graph_is_converted_to_the_same_truth_as_its_checkpoint(sample_model: Find, tmp_path: Path) -> None:
    bnfold.convert(sample_model("dense_norm") / "dense_norm.pb", tmp_path / "net.onnx", samples=2)
    assert_matches(tmp_path / "net.onnx", sample_model("dense_norm"), rtol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_trained_checkpoint_is_converted_to_the_truth(name: str, shared_checkpoint: Find, tmp_path: Path) -> None:
    folder = shared_checkpoint(name)
    conversion = bnfold.convert(path_of(folder), tmp_path / "net.onnx", samples=1)
    report = conversion.report
    assert report.equal
    assert len(report.batch_norms) == TRAINED[name]
    assert [fate.name for fate in report.fates if not isinstance(fate, Folded)] == []
    assert not {node.op for node in conversion.folding.inference.graph} & {
        "FusedBatchNorm",
        "FusedBatchNormV2",
        "FusedBatchNormV3",
    }
    assert_matches(tmp_path / "net.onnx", folder, one_at_a_time=name in ONE_AT_A_TIME)


@pytest.mark.parametrize("name", REFUSED)
def test_trained_checkpoint_is_refused_when_it_cannot_be_right(
    name: str, shared_checkpoint: Find, tmp_path: Path
) -> None:
    with pytest.raises(bnfold.BnfoldError, match=REFUSED[name]) as refused:
        bnfold.convert(shared_checkpoint(name), tmp_path / "net.onnx")
    assert refused.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["quantised_fused", "quantised_unfused"])
def test_quantised_training_graph_converts_to_what_its_steps_give(name: str, tmp_path: Path) -> None:
    """onnxruntime's integer kernels, which it puts in for quantised parts, are a step off: they are no part of it."""
    folder = Path(__file__).parent / "fixtures" / name
    report = bnfold.convert(folder, tmp_path / "net.onnx", samples=4).report
    assert report.equal
    assert report.check is not None
    assert any("integer kernels" in note for note in report.check.notes)
    expected = np.load(folder / "expected.npz")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: expected["input"]})
    assert np.abs(got - expected["output"]).max() <= 1e-6 * np.abs(expected["output"]).max()
