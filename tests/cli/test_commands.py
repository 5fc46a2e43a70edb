"""The commands by their exit codes and words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from bnfold.cli import app
from bnfold.graph.tensorflow import tensorflow

Find = Callable[[str], Path]
FAST = ("--samples", "1")


def bnfold(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert "Traceback" not in result.output
    return result


def assert_refused(result: Result, *words: str) -> None:
    """Exit 3, an ``error:`` with ``words`` and a ``hint:``."""
    assert result.exit_code == 3, result.output
    lines = result.stderr.splitlines()
    error = next(line for line in lines if line.startswith("error: "))
    for word in words:
        assert word in error
    assert any(line.startswith("hint: ") for line in lines)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of the segmenter."""
    source = Path(__file__).parents[2] / "sample_models" / "separable_segmenter"
    target = tmp_path_factory.mktemp("converted") / "net.onnx"
    assert bnfold("convert", source, target, *FAST).exit_code == 0
    return target


def test_convert_prints_a_line_for_each_stage(sample_model: Find, tmp_path: Path) -> None:
    result = bnfold("convert", sample_model("separable_segmenter"), tmp_path / "net.onnx", *FAST)
    assert result.exit_code == 0
    verbs = [line.split()[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert verbs == ["load", "infer", "fold", "export", "verify"]
    assert "5 folded" in result.stdout
    assert result.stdout.rstrip().endswith("equal")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]


def test_convert_prints_the_whole_report_when_asked_for_json(sample_model: Find, tmp_path: Path) -> None:
    result = bnfold("convert", sample_model("phase_train"), tmp_path / "net.onnx", "--json", *FAST)
    report = json.loads(result.stdout)
    assert report["equal"] is True
    assert report["check"]["samples"] > 0
    assert {norm["name"] for norm in report["batch_norms"]} == {"fc1_bn", "conv1_bn"}
    assert all(norm["fate"]["fate"] == "folded" for norm in report["batch_norms"])
    assert set(report["seconds"]) == {"load", "infer", "fold", "export", "verify"}


def test_convert_keeps_the_batch_norms_it_is_told_to(sample_model: Find, tmp_path: Path) -> None:
    result = bnfold("convert", sample_model("phase_train"), tmp_path / "net.onnx", "--keep", "^conv", *FAST)
    assert result.exit_code == 0
    assert "1 folded, 1 kept" in result.stdout
    assert "kept   conv1_bn" in result.stdout


def test_convert_writes_a_batch_norm_op_for_each_when_not_folding(sample_model: Find, tmp_path: Path) -> None:
    bnfold("convert", sample_model("separable_segmenter"), tmp_path / "net.onnx", "--no-fold", "--no-check")
    ops = [node.op_type for node in onnx.load(tmp_path / "net.onnx").graph.node]
    assert ops.count("BatchNormalization") == 5


def test_convert_is_refused_when_a_batch_norm_is_kept_and_none_may_be(sample_model: Find, tmp_path: Path) -> None:
    assert_refused(bnfold("convert", sample_model("dense_norm"), tmp_path / "n.onnx", "--strict-fold"), "between_norm")
    assert list(tmp_path.iterdir()) == []


def test_convert_is_refused_when_warnings_are_errors(sample_model: Find, tmp_path: Path) -> None:
    assert_refused(bnfold("convert", sample_model("decay/one"), tmp_path / "net.onnx", "--strict"), "bn")
    assert list(tmp_path.iterdir()) == []


def test_convert_warns_on_standard_error_when_statistics_never_moved(sample_model: Find, tmp_path: Path) -> None:
    result = bnfold("convert", sample_model("decay/one"), tmp_path / "net.onnx", *FAST)
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "warning: " not in result.stdout


def test_convert_writes_a_frozen_graph_that_converts_again(sample_model: Find, tmp_path: Path) -> None:
    source = sample_model("separable_segmenter")
    first = bnfold("convert", source, tmp_path / "net.pb", *FAST)
    assert first.exit_code == 0
    assert "equal" in first.stdout
    second = bnfold("convert", tmp_path / "net.pb", tmp_path / "net.onnx", *FAST)
    assert second.exit_code == 0, second.output
    assert "no batch norms" in second.stdout


def test_convert_gives_the_same_bytes_twice(sample_model: Find, tmp_path: Path) -> None:
    for name in ("a", "b"):
        bnfold("convert", sample_model("separable_segmenter"), tmp_path / f"{name}.onnx", *FAST)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_output_is_found_by_its_name_without_an_index(sample_model: Find, tmp_path: Path) -> None:
    inner = "input/conv1/conv1_2/Relu"
    result = bnfold("convert", sample_model("separable_segmenter"), tmp_path / "net.onnx", "--output", inner, *FAST)
    assert result.exit_code == 0, result.output
    assert [output.name for output in onnx.load(tmp_path / "net.onnx").graph.output] == [f"{inner}:0"]


def test_sizes_have_the_names_they_are_given(sample_model: Find, tmp_path: Path) -> None:
    target = tmp_path / "net.onnx"
    result = bnfold("convert", sample_model("phase_train"), target, "--input", "signal=batch,20", "--no-check")
    assert result.exit_code == 0, result.output
    (given,) = onnx.load(target).graph.input
    assert [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim] == ["batch", 20]
    assert bnfold("check", target, *FAST).exit_code == 0


# check


def test_check_finds_the_source_in_the_metadata_of_the_file(converted: Path) -> None:
    result = bnfold("check", converted, *FAST)
    assert result.exit_code == 0, result.output
    assert "equal" in result.stdout


def test_check_is_equal_when_given_the_source(converted: Path, sample_model: Find) -> None:
    assert bnfold("check", sample_model("separable_segmenter"), converted, *FAST).exit_code == 0


def test_check_exits_1_when_a_weight_is_off(converted: Path, sample_model: Find, tmp_path: Path) -> None:
    model = onnx.load(converted)
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.05 * np.abs(values).max()
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    result = bnfold("check", sample_model("separable_segmenter"), tmp_path / "wrong.onnx", *FAST)
    assert result.exit_code == 1
    assert "DIFFERENT" in result.stdout


def test_check_is_refused_when_the_source_has_changed_since(sample_model: Find, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("phase_train"), source)
    bnfold("convert", source, tmp_path / "net.onnx", "--no-check")
    shutil.rmtree(source)
    assert_refused(bnfold("check", tmp_path / "net.onnx"), "is not there any more")
    shutil.copytree(sample_model("dense_norm"), source)
    assert_refused(bnfold("check", tmp_path / "net.onnx"), "has changed")


def test_check_is_refused_when_the_file_names_no_source(converted: Path, tmp_path: Path) -> None:
    model = onnx.load(converted)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    assert_refused(bnfold("check", tmp_path / "foreign.onnx"), "does not say which source")


@pytest.mark.parametrize("content", [b"", b"this is no ONNX model", b"\x08\x07\x12"])
def test_check_is_refused_when_the_file_is_not_onnx(content: bytes, sample_model: Find, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    assert_refused(bnfold("check", sample_model("phase_train"), tmp_path / "net.onnx"), "not an ONNX model")


# inspect


def test_inspect_shows_the_interface_and_each_batch_norm(sample_model: Find) -> None:
    result = bnfold("inspect", sample_model("separable_segmenter"))
    assert result.exit_code == 0
    assert "is_training=True" in result.stdout
    for layer in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"):
        assert f"{layer}/BatchNorm" in result.stdout


def test_inspect_says_all_of_it_in_json(sample_model: Find) -> None:
    inspection = json.loads(bnfold("inspect", sample_model("dense_norm"), "--json").stdout)
    assert {norm["name"]: norm["fate"]["fate"] for norm in inspection["batch_norms"]} == {
        "standardise": "folded",
        "hidden_norm": "folded",
        "between_norm": "kept",
    }
    assert inspection["source"]["step"] == 200


# Bad input


def test_convert_is_refused_when_there_is_no_such_path(tmp_path: Path) -> None:
    assert_refused(bnfold("convert", tmp_path / "absent", tmp_path / "net.onnx"), "absent")


def test_convert_is_refused_when_the_directory_holds_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(bnfold("convert", tmp_path / "empty", tmp_path / "net.onnx"), "empty")


@pytest.mark.parametrize("suffix", [".meta", ".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["removed", "truncated", "empty", "noise"])
def test_convert_is_refused_when_a_file_of_the_checkpoint_is_damaged(
    suffix: str, damage: str, sample_model: Find, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("phase_train"), source)
    (file,) = source.glob(f"*{suffix}")
    content = file.read_bytes()
    match damage:
        case "removed":
            file.unlink()
        case "truncated":
            file.write_bytes(content[: len(content) // 2])
        case "empty":
            file.write_bytes(b"")
        case "noise":
            file.write_bytes(np.random.default_rng(0).bytes(len(content)))
    target = tmp_path / "net.onnx"
    target.write_text("what was there")
    assert_refused(bnfold("convert", source, target))
    assert target.read_text() == "what was there"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["net.onnx", "source"]


def test_convert_is_refused_when_the_data_are_of_another_model(sample_model: Find, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("phase_train"), source)
    (meta,) = source.glob("*.meta")
    (other,) = sample_model("dense_norm").glob("*.meta")
    shutil.copy(other, meta)
    assert_refused(bnfold("convert", source, tmp_path / "net.onnx"))


@pytest.mark.parametrize("option", ["--input", "--output"])
def test_convert_asks_did_you_mean_when_a_name_is_unknown(option: str, sample_model: Find, tmp_path: Path) -> None:
    name = "input/conv1/conv1_2/Rellu"
    result = bnfold("convert", sample_model("separable_segmenter"), tmp_path / "net.onnx", option, name)
    assert_refused(result, name)
    assert "input/conv1/conv1_2/Relu" in result.stderr.split("hint: ")[1]


def test_convert_is_refused_when_the_target_cannot_be_written(sample_model: Find, tmp_path: Path) -> None:
    target = tmp_path / "absent" / "net.onnx"
    assert_refused(bnfold("convert", sample_model("phase_train"), target), "cannot write", str(target))
    assert not target.parent.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert",),
        ("convert", "source", "net.tflite"),
        ("convert", "source", "net.onnx", "--samples", "0"),
        ("convert", "source", "net.onnx", "--input", "x=1,two words"),
        ("convert", "source", "net.onnx", "--keep", "["),
        ("convert", "source", "net.onnx", "--missing-statistics", "guess"),
        ("convert", "source", "net.onnx", "--bind", "bn=mean"),
        ("inspekt", "source"),
        ("inspect", "source", "--jason"),
    ],
)
def test_command_is_a_usage_error_when_its_arguments_are_wrong(arguments: tuple[str, ...]) -> None:
    assert bnfold(*arguments).exit_code == 2


def test_help_names_the_commands() -> None:
    said = bnfold("--help").stdout
    assert all(name in said for name in ("convert", "check", "inspect"))


def test_version_is_the_package_s() -> None:
    assert bnfold("--version").stdout.startswith("bnfold 0.")


FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.parametrize(
    ("fixture", "word"),
    [
        ("trainable_only", "moving"),
        ("batch_moments_always", "batch"),
        ("variance_nan", "NaN"),
        ("variance_negative", "negative"),
        ("prefix_foreign", "no value for"),
    ],
)
def test_convert_is_refused_when_the_statistics_cannot_be_right(fixture: str, word: str, tmp_path: Path) -> None:
    target = tmp_path / "net.onnx"
    target.write_text("what was there")
    assert_refused(bnfold("convert", FIXTURES / fixture, target), word)
    assert target.read_text() == "what was there"


def test_convert_names_all_ops_without_an_onnx_form_at_once(tmp_path: Path) -> None:
    tf = tensorflow()
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [2, 9, 9, 3], name="x")
        pool = {"value": x, "pooling_ratio": [1.0, 1.5, 1.5, 1.0]}
        largest, mean = (op(**pool).output for op in (tf.raw_ops.FractionalMaxPool, tf.raw_ops.FractionalAvgPool))
        tf.add(largest, mean, name="y")
    (tmp_path / "net.pb").write_bytes(graph.as_graph_def().SerializeToString())
    result = bnfold("convert", tmp_path / "net.pb", tmp_path / "net.onnx", "--output", "y")
    assert_refused(result, "without an ONNX form")
    assert "FractionalMaxPool" in result.stderr
    assert "FractionalAvgPool" in result.stderr
    assert not (tmp_path / "net.onnx").exists()


def test_note_of_the_source_is_told_once(sample_model: Find, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("dense_norm"), source)
    (source / "checkpoint").unlink()
    (source / "checkpoint").write_text('model_checkpoint_path: "elsewhere/model.ckpt-7"\n')
    result = bnfold("convert", source, tmp_path / "net.onnx", *FAST)
    assert result.stderr.count("took model.ckpt-200") == 1
    report = json.loads(bnfold("inspect", source, "--json").stdout)
    assert [note["kind"] for note in report["notes"]].count("checkpoint-chosen") == 1


@pytest.mark.parametrize("option", [("--exact",), ("--layers",), ("--rtol", "0"), ("--certificate", "cert.json")])
def test_option_of_the_check_is_a_usage_error_when_there_is_no_check(
    sample_model: Find, tmp_path: Path, option: tuple[str, ...]
) -> None:
    result = bnfold("convert", sample_model("phase_train"), tmp_path / "net.onnx", "--no-check", *option)
    assert result.exit_code == 2
    assert option[0] in result.output
    assert not (tmp_path / "net.onnx").exists()
