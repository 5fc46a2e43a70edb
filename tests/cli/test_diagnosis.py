"""The commands that prove, explain and repair, by their exit codes and words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from bnfold import calls
from bnfold.cli import app

Find = Callable[[str], Path]
FAST = ("--samples", "1")


def bnfold(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a converted model and all that can be written beside it."""
    folder = tmp_path_factory.mktemp("written")
    source = Path(__file__).parents[2] / "sample_models" / "phase_train"
    options = ("--junit", folder / "check.xml", "--certificate", folder / "cert.json", "--report", folder / "page.html")
    result = bnfold("convert", source, folder / "net.onnx", *FAST, *options)
    assert result.exit_code == 0
    assert "DIVERGES" not in result.stdout
    assert "largest error against" not in result.stdout  # the table is for --layers
    return folder


def _with_a_weight_off(path: Path, target: Path) -> Path:
    """``path`` with one weight of its first kernel off by one in a thousand."""
    model = onnx.load(path)
    tensor = max(model.graph.initializer, key=lambda t: len(t.dims))
    values = numpy_helper.to_array(tensor).copy()
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    values[place] *= 1.001
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)
    return target


def test_convert_writes_junit_certificate_and_page(written: Path) -> None:
    assert ElementTree.parse(written / "check.xml").getroot().get("failures") == "0"
    certificate = json.loads((written / "cert.json").read_text())
    assert certificate["equal"] is True
    assert len(certificate["model_sha256"]) == len(certificate["source_sha256"]) == 64
    assert {fate["fate"] for fate in certificate["batch_norms"]} == {"folded"}
    page = (written / "page.html").read_text()
    assert "layer by layer" in page
    assert "ms</td>" in page  # the latency was measured


def test_certificate_holds_for_the_file_it_is_of(written: Path) -> None:
    result = bnfold("check", written / "net.onnx", "--certificate", written / "cert.json", *FAST)
    assert result.exit_code == 0


def test_certificate_is_broken_when_a_weight_has_changed(written: Path, sample_model: Find, tmp_path: Path) -> None:
    changed = _with_a_weight_off(written / "net.onnx", tmp_path / "net.onnx")
    result = bnfold("check", changed, "--layers", *FAST)
    assert result.exit_code == 1
    assert "the model is not the one that was certified" in result.stdout
    assert "first to diverge:" in result.stdout
    assert "largest error against float64" in result.stdout
    # With a tolerance that lets the outputs pass, the certificate alone fails.
    source = sample_model("phase_train")
    loose = ("--rtol", "0.1", *FAST)
    assert bnfold("check", source, changed, *loose).exit_code == 0
    assert bnfold("check", source, changed, "--certificate", written / "cert.json", *loose).exit_code == 1


def test_check_finds_a_single_weight_that_is_off_when_exact(written: Path, sample_model: Find, tmp_path: Path) -> None:
    changed = _with_a_weight_off(written / "net.onnx", tmp_path / "net.onnx")
    result = bnfold("check", sample_model("phase_train"), changed, "--exact")
    assert result.exit_code == 1
    assert "max|onnx − float64| ≤ 4·max|tf − float64|" in result.stdout


def test_check_uses_the_users_data(written: Path, sample_model: Find) -> None:
    expected = sample_model("phase_train") / "expected.npz"
    result = bnfold("check", written / "net.onnx", "--data", expected, "--json")
    report = json.loads(result.stdout)
    assert report["data"] == "expected.npz"
    with np.load(expected) as arrays:
        assert report["samples"] == len(arrays["input"])


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_check_is_refused_when_the_certificate_is_none(written: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "cert.json").write_text(content)
    result = bnfold("check", written / "net.onnx", "--certificate", tmp_path / "cert.json")
    assert result.exit_code == 3
    assert "is no certificate" in result.stderr


def test_explain_shows_both_modes(sample_model: Find) -> None:
    result = bnfold("explain", sample_model("decay/one"), "bn", "--channel", "2", "--value", "0.5")
    assert result.exit_code == 0
    for words in ("inference, with the moving statistics", "training, with the batch's own", "scale and shift", "0.5"):
        assert words in result.stdout
    found = json.loads(bnfold("explain", sample_model("decay/one"), "bn", "--json").stdout)
    assert found["moving_variance"] == 1.0


def test_explain_asks_did_you_mean_when_the_layer_is_unknown(sample_model: Find) -> None:
    result = bnfold("explain", sample_model("separable_segmenter"), "input/conv1/conv1_1/BatchNrom")
    assert result.exit_code == 3
    assert "did you mean input/conv1/conv1_1/BatchNorm" in result.stderr


def test_calibrated_checkpoint_converts_without_the_warning(sample_model: Find, tmp_path: Path) -> None:
    source, data = sample_model("decay/one"), tmp_path / "data.npy"
    np.save(data, np.random.default_rng(0).normal(0.4, 2.0, (16, 10, 12, 3)).astype(np.float32))
    result = bnfold("calibrate", source, tmp_path / "calibrated" / "model.ckpt-60", "--data", data)
    assert result.exit_code == 0
    assert "16 samples of data.npy" in result.stdout
    assert "variance 1 … 1 →" in result.stdout
    converted = bnfold("convert", tmp_path / "calibrated", tmp_path / "net.onnx", "--strict", *FAST)
    assert converted.exit_code == 0, converted.stderr
    again = bnfold("calibrate", tmp_path / "calibrated", tmp_path / "again", "--data", data)
    assert again.exit_code == 3
    assert "no batch norm needs calibration" in again.stderr


def test_calibrate_writes_nothing_when_the_data_does_not_fit(sample_model: Find, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros((2, 5, 5, 3), np.float32))
    target = tmp_path / "out" / "model.ckpt"
    result = bnfold("calibrate", sample_model("decay/one"), target, "--data", tmp_path / "data.npy")
    assert result.exit_code == 3
    assert "takes (?, 10, 12, 3)" in result.stderr
    assert not target.parent.exists()


def test_inspect_writes_a_page_and_sorts(sample_model: Find, tmp_path: Path) -> None:
    source = sample_model("separable_segmenter")
    by_variance = bnfold("inspect", source, "--sort", "variance", "--html", tmp_path / "page.html")
    assert by_variance.exit_code == 0
    assert "would be" in (tmp_path / "page.html").read_text()
    rows = [line.split() for line in by_variance.stdout.splitlines() if "FusedBatchNormV3" in line]
    smallest = [float(row[6]) for row in rows]
    assert len(rows) == 5
    assert smallest == sorted(smallest)
    assert bnfold("inspect", source, "--sort", "colour").exit_code == 2


def test_report_that_cannot_be_written_is_an_error(sample_model: Find, tmp_path: Path) -> None:
    result = bnfold("inspect", sample_model("decay/one"), "--html", tmp_path / "absent" / "page.html")
    assert result.exit_code == 3
    assert "cannot write" in result.stderr


def test_wrong_conversion_leaves_its_reports_and_no_model(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = calls.export

    def without_relu(*arguments: Any) -> Any:
        artifact = export(*arguments)
        for node in artifact.model.graph.node:
            node.op_type = "Identity" if node.op_type == "Relu" else node.op_type
        return artifact

    monkeypatch.setattr(calls, "export", without_relu)
    beside = ("--junit", tmp_path / "check.xml", "--report", tmp_path / "page.html")
    result = bnfold("convert", sample_model("phase_train"), tmp_path / "net.onnx", *beside, *FAST)
    assert result.exit_code == 1
    assert "first to diverge:" in result.stdout
    assert "not in a fold" in result.stdout
    assert not (tmp_path / "net.onnx").exists()
    assert ElementTree.parse(tmp_path / "check.xml").getroot().get("failures") == "1"
    page = (tmp_path / "page.html").read_text()
    assert "differs from TensorFlow" in page
    assert "First to diverge" in page


@pytest.mark.parametrize("option", ["--report", "--certificate", "--junit"])
def test_convert_is_refused_at_once_when_a_file_beside_the_model_cannot_be_written(
    sample_model: Find, tmp_path: Path, option: str
) -> None:
    """Not after the work, with the model already in its place."""
    place = tmp_path / "absent" / "file"
    result = bnfold("convert", sample_model("dense_norm"), tmp_path / "net.onnx", option, place, *FAST)
    assert result.exit_code == 3
    assert f"error: cannot write {place}: there is no directory" in result.stderr
    assert "hint: mkdir -p" in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.iterdir())


def test_check_says_so_when_the_file_was_made_from_another_source(
    written: Path, sample_model: Find, tmp_path: Path
) -> None:
    """Equal or not is for the figures to say; that the certificate in the file is of something else is said too."""
    source = sample_model("phase_train")
    assert "certificate:" not in bnfold("check", source, written / "net.onnx", *FAST).stdout
    other = shutil.copytree(source, tmp_path / "other")
    (other / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-150"\n')
    meta = next(other.glob("*.meta"))
    meta.write_bytes(meta.read_bytes() + b"\x9a\x06\x01x")  # a field of the proto that nobody knows
    result = bnfold("check", other, written / "net.onnx", *FAST)
    assert result.exit_code == 0
    assert "certificate: model.ckpt-150 is not the source that the file was made from" in result.stdout
    changed = _with_a_weight_off(written / "net.onnx", tmp_path / "changed.onnx")
    result = bnfold("check", source, changed, *FAST)
    assert "certificate: the model has been changed since it was written" in result.stdout
