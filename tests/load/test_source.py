"""Which reader takes a source, and what is said of files that none does."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from bnfold.errors import LoadError
from bnfold.load import load


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x1c\x00\x00\x00TFL3\x14\x00\x20\x00", "a TensorFlow Lite file"),
        (b"\x08\x0a\x12\x07pytorch\x1a\x05", "an ONNX file"),
        (pickle.dumps({"weights": 1}), "a Python pickle, which is never executed"),
        (b"\x1f\x8b\x08\x00rest", "a gzip archive"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
    ],
    ids=["tflite", "onnx", "pickle", "gzip", "npy"],
)
def test_file_is_refused_by_what_it_is_when_it_is_of_another_kind(tmp_path, content, what):
    path = tmp_path / "model.pb"
    path.write_bytes(content)
    with pytest.raises(LoadError, match=f"model.pb is {what}") as refusal:
        load(path)
    assert refusal.value.hint


def test_pickle_is_not_executed_when_it_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    (tmp_path / "model.ckpt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(LoadError, match="pickle"):
        load(tmp_path / "model.ckpt")
    assert not (tmp_path / "executed").exists()


def test_an_onnx_file_is_known_when_a_library_wrote_it(tmp_path):
    import onnx

    graph = onnx.helper.make_graph([], "g", [], [])
    onnx.save(onnx.helper.make_model(graph, producer_name="someone"), str(tmp_path / "m.onnx"))
    with pytest.raises(LoadError, match="an ONNX file already"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize("as_type", [str, os.fsencode, lambda path: path], ids=["str", "bytes", "Path"])
def test_source_is_read_when_the_path_is_of_any_type(saved, as_type):
    if as_type is os.fsencode:
        with pytest.raises(TypeError):
            load(as_type(saved.prefix))
    else:
        assert load(as_type(saved.prefix)).label == "model.ckpt-7"


def test_checkpoint_is_taken_when_a_frozen_graph_lies_beside_it(saved, tmp_path, fixture_folder):
    saved.copied_to(tmp_path)
    frozen = fixture_folder("frozen_training_graph") / "frozen_inference.pb"
    (tmp_path / "frozen.pb").write_bytes(frozen.read_bytes())
    assert load(tmp_path).kind == "checkpoint"
    assert load(tmp_path / "frozen.pb").kind == "frozen graph"


def test_directory_is_refused_when_it_has_two_models(tmp_path, fixture_folder):
    frozen = fixture_folder("frozen_training_graph") / "frozen_inference.pb"
    for name in ("a.pb", "b.pb"):
        (tmp_path / name).write_bytes(frozen.read_bytes())
    with pytest.raises(LoadError, match="no checkpoint in") as refusal:
        load(tmp_path)
    assert "a.pb" in refusal.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_file_is_refused_when_it_may_not_be_read(saved, tmp_path):
    prefix = saved.copied_to(tmp_path)
    prefix.with_name(f"{prefix.name}.meta").chmod(0)
    with pytest.raises(LoadError, match="cannot read"):
        load(prefix)


def test_tensorflow_is_not_imported_when_the_stage_is():
    code = "import sys, bnfold.load; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'h5py', 'onnx')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_values_are_not_held_when_a_checkpoint_is_loaded(saved):
    variable = load(saved.prefix).variables["net/dense/kernel"]
    first, second = variable.read(), variable.read()
    assert first is not second
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("option", [{"tags": "serve"}, {"signature": "serving_default"}], ids=["tags", "signature"])
def test_option_of_saved_models_is_refused_when_the_source_is_none(saved, option):
    with pytest.raises(LoadError, match=f"it has no {next(iter(option))}") as refusal:
        load(saved.prefix, **option)
    assert "--input" in refusal.value.hint


def test_names_are_refused_when_no_variable_begins_so(saved):
    with pytest.raises(LoadError, match="no variable's name begins with 'tower/'") as refusal:
        load(saved.prefix, rename_variables={"tower/": "net/"})
    assert "net/" in refusal.value.hint


def test_names_are_refused_when_the_source_has_no_named_values(tmp_path, sample_model):
    frozen = sample_model("dense_norm") / "dense_norm.pb"
    with pytest.raises(LoadError, match="no names to look its variables up under"):
        load(frozen, rename_variables={"a": "b"})
