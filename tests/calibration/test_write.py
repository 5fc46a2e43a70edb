"""The checkpoint that calibration writes: whose files it is like, and what is there when it cannot be written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnfold.calibration import write_checkpoint
from bnfold.diagnosis import calibrate
from bnfold.errors import ExportError, LoadError
from bnfold.graph.tensorflow import tensorflow
from bnfold.load import load

Find = Callable[[str], Path]


def samples() -> Any:
    return np.random.default_rng(2).normal(0.4, 2.0, (16, 10, 12, 3)).astype(np.float32)


def test_graph_of_another_step_is_written_when_the_checkpoint_has_none(sample_model: Find, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("decay/one"), source)
    prefix = source / load(source).label
    prefix.with_name(f"{prefix.name}.meta").rename(source / f"{prefix.name.rpartition('-')[0]}-7.meta")
    written = calibrate(source, tmp_path / "out" / "model", data=samples())
    assert not [note for note in load(written.path).notes if note.kind == "graph-borrowed"]
    assert load(written.path).variables.keys() == load(source).variables.keys()


def test_checkpoint_is_refused_when_it_is_the_source_by_another_name(sample_model: Find, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(sample_model("decay/one"), source)
    prefix = source / load(source).label
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    (tmp_path / "link").symlink_to(source)
    for target in (tmp_path / "link" / prefix.name, source / ".." / "source" / prefix.name):
        with pytest.raises(LoadError, match="is the checkpoint that is read"):
            write_checkpoint(prefix, target, [], load(source).variables)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_directory_is_as_it_was_when_tensorflow_cannot_write(
    sample_model: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = tensorflow().errors

    def fill(**arguments: Any) -> None:
        Path(f"{arguments['prefix']}.data-00000-of-00001").write_bytes(b"half")
        raise errors.ResourceExhaustedError(None, None, "{{node SaveV2}} m.data; No space left on device [Op:SaveV2]")

    monkeypatch.setattr(tensorflow().raw_ops, "SaveV2", fill)
    (tmp_path / "checkpoint").write_text("what was there")
    with pytest.raises(ExportError, match=r"model cannot be written: No space left on device$") as refused:
        calibrate(sample_model("decay/one"), tmp_path / "model", data=samples())
    assert refused.value.hint
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"checkpoint": "what was there"}


def test_checkpoint_is_refused_when_a_value_that_inference_does_not_read_is_damaged(
    sample_model: Find, tmp_path: Path
) -> None:
    """Optimizer slots are read only to be copied."""
    source = tmp_path / "source"
    shutil.copytree(sample_model("decay/one"), source)
    loaded = load(source)
    slot = "conv/weights/Momentum"
    (data,) = source.glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[bytes(content).index(loaded.variables[slot].read().tobytes()) + 5] ^= 4
    data.write_bytes(content)
    with pytest.raises(LoadError, match="cannot be read") as refused:
        calibrate(source, tmp_path / "out" / "model", data=samples())
    assert refused.value.hint
    assert not (tmp_path / "out").exists()


def test_layers_are_a_value_error_when_they_are_no_regular_expression(sample_model: Find, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        calibrate(sample_model("decay/one"), tmp_path / "model", data=samples(), layers="[")
