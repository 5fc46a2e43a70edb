from __future__ import annotations

from pathlib import Path

import pytest

from bnfold.errors import ExportError
from bnfold.target import Target, require_apart


@pytest.mark.parametrize(("name", "expected"), [("net.onnx", "onnx"), ("net.v2.pb", "pb")])
def test_format_is_read_off_the_suffix(tmp_path: Path, name: str, expected: str) -> None:
    assert Target.at(tmp_path / name).format == expected


@pytest.mark.parametrize("name", ["net", "net.tflite", "net.onnx.txt"])
def test_target_is_a_value_error_when_the_suffix_is_unknown(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"neither of \.onnx, \.pb"):
        Target.at(tmp_path / name)


def test_target_is_refused_when_its_directory_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is no directory") as refused:
        Target.at(tmp_path / "absent" / "net.onnx")
    assert refused.value.hint == f"mkdir -p {tmp_path / 'absent'}"


def test_target_is_refused_when_it_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(ExportError, match="is a directory"):
        Target.at(tmp_path / "net.onnx")


def test_target_is_refused_when_it_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(ExportError, match="permission denied"):
        Target.at(tmp_path / "net.onnx")


def test_files_take_their_places_when_the_block_ends(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("old")
    with Target.at(tmp_path / "net.onnx").staged() as path:
        path.write_text("new")
        path.with_name("net.onnx.data").write_text("weights")
        assert (tmp_path / "net.onnx").read_text() == "old"
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "net.onnx": "new",
        "net.onnx.data": "weights",
    }


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_target_is_untouched_when_the_block_fails(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "net.onnx").write_text("old")

    def write() -> None:
        with Target.at(tmp_path / "net.onnx").staged() as path:
            path.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"net.onnx": "old"}


def test_failing_disk_is_an_export_error(tmp_path: Path) -> None:
    def write() -> None:
        with Target.at(tmp_path / "net.onnx").staged():
            raise OSError(28, "No space left on device")

    with pytest.raises(ExportError, match="No space left on device"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_target_is_refused_when_no_file_can_have_its_name(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="File name too long"):
        Target.at(tmp_path / f"{'n' * 300}.onnx")


def test_path_is_refused_when_it_is_another_by_another_name(tmp_path: Path) -> None:
    (tmp_path / "net.pb").write_text("what is read")
    (tmp_path / "link.pb").symlink_to("net.pb")
    for path in (tmp_path / "net.pb", tmp_path / "link.pb", tmp_path / "absent" / ".." / "net.pb"):
        with pytest.raises(ExportError, match="named twice") as refused:
            require_apart(path, [None, object(), str(tmp_path / "net.pb")])
        assert refused.value.hint
    require_apart(tmp_path / "other.pb", [tmp_path / "net.pb"])
