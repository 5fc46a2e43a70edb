"""What can be asked of the file: other names, another layout, half precision; and that a check still finds its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

import bnfold

Find = Callable[[str], Path]
SEGMENTER = "separable_segmenter"


def made(sample_model: Find, tmp_path: Path, **options: Any) -> Path:
    target = tmp_path / "net.onnx"
    conversion = bnfold.convert(sample_model(SEGMENTER), target, samples=2, **options)
    assert conversion.report.equal is True
    return target


def truth(sample_model: Find) -> Any:
    return np.load(sample_model(SEGMENTER) / "expected.npz")


def test_file_has_new_names_when_renamed(sample_model: Find, tmp_path: Path) -> None:
    expected = truth(sample_model)
    rename = {str(expected["input_name"]): "image", str(expected["output_name"]): "segments"}
    session = onnxruntime.InferenceSession(made(sample_model, tmp_path, rename=rename))
    (got,) = session.run(["segments"], {"image": expected["input"]})
    np.testing.assert_allclose(got, expected["output"], rtol=1e-4, atol=1e-4 * np.abs(expected["output"]).max())


def test_file_takes_images_channels_first_when_asked(sample_model: Find, tmp_path: Path) -> None:
    expected = truth(sample_model)
    path = made(sample_model, tmp_path, layout="nchw")
    assert "Transpose" not in {node.op_type for node in onnx.load(path).graph.node}
    session = onnxruntime.InferenceSession(path)
    feed = {session.get_inputs()[0].name: expected["input"].transpose(0, 3, 1, 2)}
    got = session.run(None, feed)[0]
    if got.ndim == 4:
        got = got.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, expected["output"], rtol=1e-4, atol=1e-4 * np.abs(expected["output"]).max())


@pytest.mark.parametrize("options", [{"half": True}, {"rename": {"nothing": "x"}}], ids=str)
def test_check_knows_how_the_file_was_made(sample_model: Find, tmp_path: Path, options: dict[str, Any]) -> None:
    """A half-precision file is judged by float16's rounding, also later and from the file alone."""
    if "rename" in options:
        options = {"rename": {str(truth(sample_model)["output_name"]): "y"}, "half": True}
    path = made(sample_model, tmp_path, **options)
    assert bnfold.check(path, samples=2).equal


def test_interface_is_credited_to_the_file_when_the_user_named_nothing(sample_model: Find, tmp_path: Path) -> None:
    path = made(sample_model, tmp_path)
    output = str(truth(sample_model)["output_name"])
    found: dict[str, Any] = {}

    def reasons() -> set[str]:
        return {endpoint.reason for endpoint in (*found["infer"].inputs, *found["infer"].outputs)}

    def observe(verb: str, value: Any) -> None:
        found[verb] = value

    bnfold.check(sample_model(SEGMENTER), path, samples=1, observe=observe)
    assert reasons() == {"named by the file"}
    bnfold.check(sample_model(SEGMENTER), path, outputs=[output], samples=1, observe=observe)
    assert reasons() == {"named by the file", "named by the user"}


def test_command_takes_the_opsets_that_export_writes() -> None:
    from bnfold.cli import app
    from bnfold.export import NEWEST_OPSET, OLDEST_OPSET

    for opset, bound in ((OLDEST_OPSET - 1, OLDEST_OPSET), (NEWEST_OPSET + 1, NEWEST_OPSET)):
        result = CliRunner().invoke(app, ["convert", "x", "y.onnx", "--opset", str(opset)])
        assert result.exit_code == 2
        assert "--opset" in result.output
        assert str(bound) in result.output


def test_command_refuses_a_name_that_is_not_there(sample_model: Find, tmp_path: Path) -> None:
    from bnfold.cli import app

    arguments = ["convert", str(sample_model(SEGMENTER)), str(tmp_path / "x.onnx"), "--no-check", "--rename", "a=b"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert "a:0 is no input or output" in result.stderr


def test_weights_take_half_the_room_when_half(sample_model: Find, tmp_path: Path) -> None:
    whole = made(sample_model, tmp_path).stat().st_size
    weights = sum(len(t.raw_data) for t in onnx.load(tmp_path / "net.onnx").graph.initializer)
    half = made(sample_model, tmp_path, half=True).stat().st_size
    assert half < whole - 0.4 * weights
