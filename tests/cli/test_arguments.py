from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import bnfold
from bnfold.cli import app, arguments
from bnfold.cli.arguments import MissingStatistics, Weights
from bnfold.errors import ExportError


def how(**texts: list[str] | None) -> dict[str, object]:
    given = (
        dict.fromkeys(("inputs", "outputs", "set_values", "bind", "rename_variables", "tags", "signature"), None)
        | texts
    )
    return dict(arguments.how(missing_statistics=MissingStatistics.refuse, weights=Weights.auto, **given))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("images", ("images", None)),
        ("images:0", ("images:0", None)),
        ("images:0=N,224,?,3", ("images:0", ("N", 224, None, 3))),
        ("x=[?, -1, 8]", ("x", (None, None, 8))),
        ("scale=[]", ("scale", ())),
    ],
)
def test_input_is_a_name_and_a_shape(text: str, expected: tuple[str, tuple[int | str | None, ...] | None]) -> None:
    assert how(inputs=[text])["inputs"] == dict([expected])


@pytest.mark.parametrize("text", ["x=1,2.5", "x=3,-2", "x=1,,3"])
def test_input_is_a_usage_error_when_a_size_is_none(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a size"):
        how(inputs=[text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=True", True),
        ("a=false", False),
        ("a=1", 1),
        ("a=0.5", 0.5),
        ("a=1e-3", 1e-3),
        ("a=fast", "fast"),
        ("a=b=c", "b=c"),
    ],
)
def test_set_value_is_typed_by_its_text(text: str, expected: object) -> None:
    values = how(set_values=[text])["set_values"]
    assert isinstance(values, dict)
    assert values == {"a": expected}
    assert type(values["a"]) is type(expected)


def test_bind_is_a_pair_of_variables() -> None:
    assert how(bind=["conv/bn=m:0,v:0"])["bind"] == {"conv/bn": ("m:0", "v:0")}


@pytest.mark.parametrize(
    "texts", [{"bind": ["bn=mean"]}, {"bind": ["bn"]}, {"set_values": ["keep_prob"]}, {"rename_variables": ["=b"]}]
)
def test_argument_is_a_usage_error_when_it_has_no_two_sides(texts: dict[str, list[str]]) -> None:
    with pytest.raises(typer.BadParameter):
        how(**texts)


def test_keep_is_a_usage_error_when_it_is_no_regular_expression() -> None:
    with pytest.raises(typer.BadParameter, match="unterminated"):
        arguments.valid_regex("[")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(None, "tensorflow"), (["nchw"], "nchw"), (["x=nchw", "y:0=tensorflow"], {"x": "nchw", "y:0": "tensorflow"})],
)
def test_layout_is_one_for_all_or_one_by_name(texts: list[str] | None, expected: str | dict[str, str]) -> None:
    assert arguments.layouts(texts) == expected


@pytest.mark.parametrize("texts", [["nhwc"], ["x=NCHW"], ["x=nchw", "nchw"]])
def test_layout_is_a_usage_error_when_it_is_no_layout(texts: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        arguments.layouts(texts)


@pytest.mark.parametrize("option", [("--half",), ("--opset", "18"), ("--layout", "nchw"), ("--rename", "a=b")])
def test_usage_is_wrong_when_a_frozen_graph_is_to_have_what_onnx_files_have(option: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["convert", "model", "net.pb", *option])
    assert result.exit_code == 2
    assert f"{option[0]}: for ONNX files only" in result.stderr


def test_frozen_graph_is_a_value_error_when_it_is_to_be_half() -> None:
    with pytest.raises(ValueError, match="are of ONNX files"):
        bnfold.convert("model", "net.pb", half=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("convert source net.onnx --no-fold --keep bn", "--keep would change nothing"),
        ("convert source net.onnx --no-fold --strict-fold", "--strict-fold would change nothing"),
        ("convert source net.onnx --exact --rtol 1e-3", "--rtol would change nothing"),
        ("convert source net.onnx --exact --half", "--half would change nothing"),
        ("convert source net.onnx --no-check --seed 3", "--seed would change nothing"),
        ("convert source net.onnx --data x.npy --samples 3", "--samples would change nothing"),
        ("convert source net.onnx --rtol inf", "not a finite number"),
        ("convert source net.onnx --keep a{99999999999999999999}", "repetition number is too large"),
        ("convert source net.onnx --rename a=b --rename a=c", "a is given twice"),
        ("convert source net.pb --layers", "--layers: for ONNX files only"),
        ("check source net.onnx --exact --atol 1", "--atol would change nothing"),
        ("check net.onnx --output y", "says itself how its source is read"),
        ("check net.onnx --weights ema --tags serve", "--weights"),
        ("explain source bn --value 1e39", "not a finite number of float32"),
        ("explain source bn --value nan", "not a finite number"),
        ("explain source bn --data x.npy --seed 1", "--seed would change nothing"),
    ],
)
def test_options_are_a_usage_error_when_one_would_change_nothing(arguments: str, words: str) -> None:
    result = CliRunner().invoke(app, arguments.split(), catch_exceptions=False)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_functions_refuse_what_would_change_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep and strict_fold would change nothing"):
        bnfold.convert("model", fold=False, keep="bn")
    with pytest.raises(ValueError, match="exact would change nothing"):
        bnfold.convert("model", half=True, exact=True)
    with pytest.raises(ValueError, match="says how its source is read"):
        bnfold.check(tmp_path / "net.onnx", outputs=["y"])
    with pytest.raises(ExportError, match="named twice"):
        bnfold.convert(tmp_path / "net.pb", tmp_path / "net.pb")


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "absent", "FILE.onnx"),
        *(("convert", "absent", "net.onnx", option, "FILE") for option in ("--certificate", "--junit", "--report")),
        ("inspect", "absent", "--html", "FILE"),
        ("check", "absent", "absent.onnx", "--junit", "FILE"),
    ],
)
def test_what_is_written_need_not_be_readable(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may be written only, ``/dev/stderr`` of somebody else's terminal."""
    for name in ("FILE", "FILE.onnx"):
        (tmp_path / name).write_text("what was there")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.R_OK)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 3, result.output
    assert "absent" in result.stderr
