"""Models that no proto holds: their weights go to a file of their own. The limit is lowered, not the models raised."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import bnfold
from bnfold.export import Lowered, lower, model_size, write

Find = Callable[[str], Path]


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("bnfold.export.write"), "PROTO_LIMIT", 20_000)


def _outputs(path: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    rng = np.random.default_rng(3)
    feeds = {
        value.name: rng.normal(size=[size if isinstance(size, int) else 2 for size in value.shape]).astype(np.float32)
        for value in session.get_inputs()
    }
    return session.run(None, feeds)


@pytest.mark.usefixtures("low_limit")
def test_weights_are_beside_the_file_and_checked_there_when_the_model_is_long(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sample_model("separable_segmenter")
    conversion = bnfold.convert(source, tmp_path / "long.onnx", samples=2)
    assert conversion.report.equal
    assert sorted(file.name for file in tmp_path.iterdir()) == ["long.onnx", "long.onnx.data"]
    assert (tmp_path / "long.onnx.data").stat().st_size > 20_000
    onnx.checker.check_model(str(tmp_path / "long.onnx"), full_check=True)
    assert bnfold.check(tmp_path / "long.onnx", samples=2).equal  # its certificate has the fingerprint of the weights
    monkeypatch.undo()
    bnfold.convert(source, tmp_path / "short.onnx", check=False)
    for ours, theirs in zip(_outputs(tmp_path / "long.onnx"), _outputs(tmp_path / "short.onnx"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("low_limit")
def test_check_fails_when_the_file_of_weights_is_changed(sample_model: Find, tmp_path: Path) -> None:
    bnfold.convert(sample_model("separable_segmenter"), tmp_path / "net.onnx", samples=2)
    data = tmp_path / "net.onnx.data"
    raw = np.fromfile(data, np.uint8)
    raw[: raw.size // 2] = 0
    raw.tofile(data)
    assert not bnfold.check(tmp_path / "net.onnx", samples=2).equal


@pytest.mark.parametrize("check", [True, False])
def test_weights_are_in_no_proto_when_the_target_is_a_file(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    def refuse(_: Lowered) -> onnx.ModelProto:
        raise AssertionError("a proto of the whole model: its weights are in memory once more")

    monkeypatch.setattr(Lowered, "to_proto", refuse)
    bnfold.convert(sample_model("separable_segmenter"), tmp_path / "net.onnx", check=check, samples=2)
    assert (tmp_path / "net.onnx").stat().st_size > 20_000


@pytest.mark.parametrize("limit", [1000, 10**9])
def test_file_is_the_same_when_written_from_arrays_or_from_a_proto(
    sample_model: Find, tmp_path: Path, limit: int
) -> None:
    conversion = bnfold.convert(sample_model("separable_segmenter"), check=False)
    lowered = lower(conversion.folding.inference)
    for name, model in (("arrays", lowered), ("proto", lowered.to_proto())):
        (tmp_path / name).mkdir()
        write(model, tmp_path / name / "m.onnx", limit=limit)
    for file in (tmp_path / "arrays").iterdir():
        assert file.read_bytes() == (tmp_path / "proto" / file.name).read_bytes()
    if limit == 10**9:
        assert model_size(lowered) == (tmp_path / "arrays" / "m.onnx").stat().st_size


@pytest.mark.usefixtures("low_limit")
def test_weights_are_written_once_when_the_file_is_checked(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("bnfold.export")
    written: list[Path] = []

    def spy(model: object, path: Path) -> object:
        written.append(path)
        return write(model, path)

    monkeypatch.setattr(module, "write", spy)
    conversion = bnfold.convert(sample_model("separable_segmenter"), tmp_path / "net.onnx", samples=2)
    assert len(written) == 1
    props = {entry.key for entry in onnx.load(tmp_path / "net.onnx", load_external_data=False).metadata_props}
    assert "bnfold.check" in props
    assert conversion.report.equal


def test_folded_weights_are_read_from_the_file_and_the_reference_is_not(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("bnfold.export.mapping"), "LARGE", 256)
    conversion = bnfold.convert(sample_model("separable_segmenter"), tmp_path / "net.onnx", samples=2)
    assert conversion.report.equal

    def mapped(graph: object) -> set[str]:
        return {node.name for node in graph if node.op == "Const" and _is_mapped(node.attrs["value"])}

    assert mapped(conversion.folding.inference.graph)
    assert not mapped(conversion.reference.graph)


def _is_mapped(array: np.ndarray) -> bool:
    return isinstance(array, np.memmap) or (isinstance(array.base, np.ndarray) and _is_mapped(array.base))
