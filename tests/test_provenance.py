"""The source that a file was made from, found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

import bnfold
from bnfold import metadata
from bnfold.errors import VerificationError
from bnfold.provenance import written_by_bnfold

Find = Callable[[str], Path]


def written(path: Path, source: str | None) -> Path:
    graph = onnx.helper.make_graph([], "g", [], [onnx.ValueInfoProto(name="y")])
    model = onnx.helper.make_model(graph)
    metadata.attach(model, {metadata.SOURCE: json.dumps({"path": source, "fingerprint": "f", "options": {}})})
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("ending", ["", ".index", ".meta", "-00000-of-00002"])
def test_source_is_found_beside_the_file_by_any_of_its_files(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"model.ckpt-7{ending}").write_text("")
    source, origin = written_by_bnfold(written(tmp_path / "net.onnx", "model.ckpt-7"))
    assert source == tmp_path / "model.ckpt-7"
    assert origin.fingerprint == "f"


@pytest.mark.parametrize(
    "source", ["absent", "", "a" * 5000, "nul\0byte", "..", None], ids=lambda source: repr(source)[:12]
)
def test_file_is_refused_when_its_source_is_nowhere(tmp_path: Path, source: str | None) -> None:
    path = written(tmp_path / "net.onnx", source)
    if source in ("", ".."):  # a directory, but none with a model
        with pytest.raises(bnfold.BnfoldError):
            bnfold.check(path)
        return
    with pytest.raises(VerificationError, match=r"is not there any more|object in memory") as refused:
        written_by_bnfold(path)
    assert refused.value.hint


def test_file_and_source_may_move_together(sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source as its user named it, from the folder that the command ran in or from the file's own."""
    shutil.copytree(sample_model("phase_train"), tmp_path / "one" / "model")
    monkeypatch.chdir(tmp_path / "one")
    bnfold.convert("model", "net.onnx", samples=1)
    (tmp_path / "one").rename(tmp_path / "two")
    monkeypatch.chdir(tmp_path)
    assert bnfold.check("two/net.onnx", samples=1).equal
