"""Which checkpoint a path means, and what is said when files of it are missing."""

from __future__ import annotations

import os
import re

import pytest

from bnfold.errors import LoadError
from bnfold.load.checkpoint_files import checkpoint_files


def _touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def _checkpoint(folder, name):
    _touch(folder, f"{name}.meta", f"{name}.index", f"{name}.data-00000-of-00001")


def _state(folder, *paths):
    lines = [f'model_checkpoint_path: "{paths[0]}"', *(f'all_model_checkpoint_paths: "{p}"' for p in paths[::-1])]
    (folder / "checkpoint").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "path",
    [
        "model.ckpt-10",
        "./model.ckpt-10",
        "/home/someone/runs/model.ckpt-10",
        r"C:\\Users\\someone\\runs\\model.ckpt-10",
        r"runs\\model.ckpt-10",
        "../../runs/model.ckpt-10",
        "gs://bucket/runs/model.ckpt-10",
    ],
)
def test_checkpoint_is_found_beside_its_state_file_when_the_path_is_foreign(tmp_path, path):
    _checkpoint(tmp_path, "model.ckpt-10")
    _checkpoint(tmp_path, "model.ckpt-20")
    _state(tmp_path, path)
    files, notes = checkpoint_files(tmp_path)
    assert files.prefix == tmp_path / "model.ckpt-10"
    assert notes == ()


@pytest.mark.parametrize("path", ["modèle-模型-5", r"mod\303\250le-\346\250\241\345\236\213-5"], ids=["raw", "octal"])
def test_checkpoint_is_found_when_its_name_is_not_ascii(tmp_path, path):
    _checkpoint(tmp_path, "modèle-模型-5")
    _checkpoint(tmp_path, "other-9")
    (tmp_path / "checkpoint").write_bytes(f'model_checkpoint_path: "{path}"\n'.encode())
    assert checkpoint_files(tmp_path)[0].prefix.name == "modèle-模型-5"


def test_checkpoint_is_found_below_when_the_state_file_says_so(tmp_path):
    _checkpoint(tmp_path / "best", "model")
    _state(tmp_path, "/elsewhere/runs/best/model")
    assert checkpoint_files(tmp_path)[0].prefix == tmp_path / "best" / "model"


@pytest.mark.parametrize(
    "path", ["../secret/model", "/{parent}/secret/model", "a/../../secret/model", r"..\\secret\\model"]
)
def test_state_file_is_not_followed_when_it_leads_out_of_the_directory(tmp_path, path):
    _checkpoint(tmp_path / "secret", "model")
    inside = tmp_path / "inside"
    inside.mkdir()
    _state(inside, path.replace("{parent}", str(tmp_path)))
    with pytest.raises(LoadError, match="no checkpoint in"):
        checkpoint_files(inside)


def test_last_saved_that_is_here_is_taken_when_the_latest_is_not(tmp_path):
    _checkpoint(tmp_path, "m-10")
    _checkpoint(tmp_path, "m-20")
    _state(tmp_path, "m-30", "m-20", "m-10")
    files, (note,) = checkpoint_files(tmp_path)
    assert files.prefix.name == "m-20"
    assert "m-30" in note.message
    assert note.kind == "checkpoint-chosen"


def test_newest_is_taken_when_there_is_no_state_file(tmp_path):
    for step in (9, 100, 20):
        _checkpoint(tmp_path, f"m-{step}")
    files, (note,) = checkpoint_files(tmp_path)
    assert files.prefix.name == "m-100"
    assert files.step == 100
    assert "m-20" in note.message


def test_complete_checkpoint_is_taken_when_a_newer_one_is_torn(tmp_path):
    _checkpoint(tmp_path, "m-10")
    _touch(tmp_path, "m-20.data-00000-of-00001", "m-20.index")
    assert checkpoint_files(tmp_path)[0].prefix.name == "m-10"


def test_last_written_is_taken_when_no_name_has_a_step(tmp_path):
    for name, time in [("best", 2000), ("old", 1000)]:
        _checkpoint(tmp_path, name)
        for suffix in (".meta", ".index"):
            os.utime(tmp_path / (name + suffix), (time, time))
    assert checkpoint_files(tmp_path)[0].prefix.name == "best"


@pytest.mark.parametrize("suffix", ["", ".meta", ".index", ".data-00000-of-00001"])
def test_checkpoint_is_found_when_any_of_its_files_is_named(tmp_path, suffix):
    _checkpoint(tmp_path, "model.v1.ckpt-5")
    files, _ = checkpoint_files(tmp_path / f"model.v1.ckpt-5{suffix}")
    assert files.prefix == tmp_path / "model.v1.ckpt-5"
    assert [path.name for path in files.all] == [
        "model.v1.ckpt-5.meta",
        "model.v1.ckpt-5.index",
        "model.v1.ckpt-5.data-00000-of-00001",
    ]


def test_directory_is_meant_when_its_state_file_is_named(tmp_path):
    _checkpoint(tmp_path, "m-5")
    _state(tmp_path, "m-5")
    assert checkpoint_files(tmp_path / "checkpoint")[0].prefix == tmp_path / "m-5"


def test_graph_of_an_earlier_step_is_taken_when_the_saver_wrote_it_once(tmp_path):
    """``saver.save(..., write_meta_graph=False)``."""
    _checkpoint(tmp_path, "m-10")
    _touch(tmp_path, "m-20.index", "m-20.data-00000-of-00001", "other-15.meta")
    _state(tmp_path, "m-20", "m-10")
    files, (note,) = checkpoint_files(tmp_path)
    assert (files.prefix.name, files.meta.name) == ("m-20", "m-10.meta")
    assert note.kind == "graph-borrowed"
    assert "m-10.meta" in note.message


def test_directory_of_a_saved_model_is_named_when_its_values_are_passed(tmp_path):
    _touch(tmp_path, "saved_model.pb")
    _touch(tmp_path / "variables", "variables.index", "variables.data-00000-of-00001")
    with pytest.raises(LoadError, match="has no graph") as refusal:
        checkpoint_files(tmp_path / "variables" / "variables")
    assert str(tmp_path) in refusal.value.hint


def test_files_are_found_when_the_path_has_glob_characters(tmp_path):
    _checkpoint(tmp_path / "run[1]*", "m?[a]-5")
    assert len(checkpoint_files(tmp_path / "run[1]*" / "m?[a]-5")[0].all) == 3


@pytest.mark.parametrize(
    ("absent", "reason", "hint"),
    [
        ("m.meta", r"has no graph: m\.meta is missing", "bnfold.convert.*model="),
        ("m.index", r"has no index: m\.index is missing", "copy all files"),
        ("m.data-00001-of-00002", "shard 1 of the checkpoint m is missing", "copy all files"),
        ("m.data-00000-of-00002", "shard 0 of the checkpoint m is missing", "copy all files"),
    ],
)
def test_checkpoint_is_refused_when_a_file_is_missing(tmp_path, absent, reason, hint):
    _touch(tmp_path, "m.meta", "m.index", "m.data-00000-of-00002", "m.data-00001-of-00002")
    (tmp_path / absent).unlink()
    with pytest.raises(LoadError, match=reason) as refusal:
        checkpoint_files(tmp_path / "m")
    assert re.search(hint, refusal.value.hint)


def test_checkpoint_is_refused_when_it_has_no_data_at_all(tmp_path):
    _touch(tmp_path, "m.meta", "m.index")
    with pytest.raises(LoadError, match=r"has no values: m\.data-\* is missing"):
        checkpoint_files(tmp_path)


def test_checkpoint_is_refused_when_shards_of_two_writings_are_mixed(tmp_path):
    _touch(tmp_path, "m.meta", "m.index", "m.data-00000-of-00001", "m.data-00000-of-00002", "m.data-00001-of-00002")
    with pytest.raises(LoadError, match="two writings"):
        checkpoint_files(tmp_path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (None, "the directory with"),
        (b'model_checkpoint_path: "m-5"', "names 'm-5'"),
        (b"\xff\xfe not a state file", "the directory with"),
        (b'model_checkpoint_path: "m\\000-5"', "names"),
        (b'model_checkpoint_path: ""', "names"),
        (b'model_checkpoint_path: "' + b"a/" * 5000 + b'"', "names"),
    ],
    ids=["absent", "names nothing", "binary", "nul", "empty", "long"],
)
def test_directory_is_refused_when_it_has_no_checkpoint(tmp_path, content, hint):
    if content is not None:
        (tmp_path / "checkpoint").write_bytes(content)
    with pytest.raises(LoadError, match="no checkpoint in") as refusal:
        checkpoint_files(tmp_path)
    assert hint in refusal.value.hint


def test_directory_is_refused_with_the_folders_below_when_they_have_checkpoints(tmp_path):
    _checkpoint(tmp_path / "run_1", "m")
    with pytest.raises(LoadError) as refusal:
        checkpoint_files(tmp_path)
    assert str(tmp_path / "run_1") in refusal.value.hint


@pytest.mark.parametrize("name", ["nothing", "no/such/place", "m-6", "nul\0name"])
def test_path_is_refused_when_nothing_is_there(tmp_path, name):
    _checkpoint(tmp_path, "m-5")
    with pytest.raises(LoadError, match="no checkpoint at") as refusal:
        checkpoint_files(tmp_path / name)
    assert refusal.value.hint


def test_v1_file_is_the_data_when_there_is_no_index(tmp_path):
    _touch(tmp_path, "m-5", "m-5.meta")
    files, _ = checkpoint_files(tmp_path)
    assert (files.index, files.data) == (None, (tmp_path / "m-5",))
