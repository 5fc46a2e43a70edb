"""Large files: their weights are in memory once at a time while they are compared."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

import bnfold
from bnfold.samples.session import Reference
from bnfold.verify import verify
from bnfold.verify.runtime import OnnxModel, Runtime

Find = Callable[[str], Path]


@pytest.fixture
def converted(sample_model: Find, tmp_path: Path) -> tuple[bnfold.Conversion, Path]:
    path = tmp_path / "net.onnx"
    return bnfold.convert(sample_model("separable_segmenter"), path, check=False), path


def test_one_side_runs_at_a_time_when_the_file_is_large(
    converted: tuple[bnfold.Conversion, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion, path = converted
    usual = verify(conversion.reference, path, samples=3)
    monkeypatch.setattr(import_module("bnfold.verify.runtime"), "LARGE", 0)
    opened: list[object] = []
    alive: list[int] = []

    def counted(kind: type) -> None:
        start, end = kind.__init__, getattr(kind, "close", None)

        def begin(self: object, *args: object, **options: object) -> None:
            start(self, *args, **options)
            opened.append(kind)
            alive.append(sum(_is_open(one) for one in started) + 1)
            started.append(self)

        def close(self: object) -> None:
            end(self)
            closed.add(id(self))

        monkeypatch.setattr(kind, "__init__", begin)
        if end is not None:
            monkeypatch.setattr(kind, "close", close)

    started: list[object] = []
    closed: set[int] = set()

    def _is_open(one: object) -> bool:
        return isinstance(one, Reference) and id(one) not in closed

    counted(Reference)
    counted(Runtime)
    alone = verify(conversion.reference, path, samples=3)
    assert alone.equal
    assert alone.outputs == usual.outputs  # the same figures
    assert max(alive) == 1
    assert opened.count(Runtime) == 2


def test_weights_beside_the_file_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_model: Find) -> None:
    monkeypatch.setattr(import_module("bnfold.export.write"), "PROTO_LIMIT", 20_000)
    bnfold.convert(sample_model("separable_segmenter"), tmp_path / "net.onnx", check=False)
    size = (tmp_path / "net.onnx").stat().st_size
    assert not OnnxModel(tmp_path / "net.onnx").is_large
    monkeypatch.setattr(import_module("bnfold.verify.runtime"), "LARGE", size + 1)
    assert OnnxModel(tmp_path / "net.onnx").is_large
