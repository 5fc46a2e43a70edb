"""Where results go, and what is left when they cannot go there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from bnfold.cli import terminal
from bnfold.errors import ExportError

Find = Callable[[str], Path]
COMMAND = (sys.executable, "-c", "from bnfold.cli import main; main()")


@dataclass(frozen=True)
class Result:
    """Anything with a form in JSON."""

    value: Any

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value}


def test_model_is_written_when_nobody_reads_what_is_printed(sample_model: Find, tmp_path: Path) -> None:
    """``bnfold convert … | head -0``: the pipe is closed before the first line."""
    read, write = os.pipe()
    os.close(read)
    target = tmp_path / "net.onnx"
    arguments = ("convert", str(sample_model("phase_train")), str(target), "--samples", "1")
    done = subprocess.run((*COMMAND, *arguments), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, "error" in done.stderr) == (0, False), done.stderr
    assert target.is_file()


def test_full_disk_behind_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def refuse(text: str) -> None:
        raise OSError(28, "No space left on device")

    echo = typer.echo
    monkeypatch.setattr(typer, "echo", lambda text, err=False: echo(text, err=err) if err else refuse(text))
    with pytest.raises(typer.Exit) as left:
        terminal.echo("a line")
    assert left.value.exit_code == terminal.CANNOT
    assert "error: standard output cannot be written: No space left on device" in capsys.readouterr().err


def fail(error: BaseException, *, written: str) -> None:
    with terminal.errors(False) as outcome:
        outcome.written = written
        raise error


def test_interruption_tells_what_was_written(capsys: Any) -> None:
    for written in ("nothing", "net.onnx"):
        with pytest.raises(typer.Exit) as left:
            fail(KeyboardInterrupt(), written=written)
        assert left.value.exit_code == terminal.INTERRUPTED
        assert capsys.readouterr().err == f"interrupted: {written} was written\n"


def test_error_after_the_model_was_written_says_so(capsys: Any) -> None:
    with pytest.raises(typer.Exit):
        fail(ExportError("cannot write page.html", hint="name another file"), written="net.onnx")
    assert capsys.readouterr().err.startswith("note: net.onnx was written before this")


def test_json_has_words_for_numbers_that_it_has_not(capsys: Any) -> None:
    terminal.print_json(Result([{"a": float("nan")}, (float("-inf"), 1.5)]))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == {"value": [{"a": "nan"}, ["-inf", 1.5]]}


def test_name_with_brackets_is_printed_as_it_is(capsys: Any) -> None:
    name = "net/[bold]norm[/bold]:smile:"
    terminal.print_table(("batch norm",), [(name,)])
    assert name in capsys.readouterr().out


def test_file_is_as_it_was_when_its_successor_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.html"
    page.write_text("what was there")

    def fill(path: Path, content: bytes) -> None:
        path.write_text(content[:3].decode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(ExportError, match="No space left on device"):
        terminal.write_text(page, "what should be there")
    assert page.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [page]


def test_name_that_is_no_text_is_written_in_a_text(tmp_path: Path) -> None:
    terminal.write_text(tmp_path / "page.html", os.fsdecode(b"net\xff.onnx"))
    assert (tmp_path / "page.html").read_text() == "net\\udcff.onnx"


def test_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    terminal.require_places(pipe)
    terminal.write_text(pipe, "text")
    assert os.read(reader, 10) == b"text"
    assert pipe.is_fifo()
    os.close(reader)


def test_places_are_refused_when_one_is_of_something_else(tmp_path: Path) -> None:
    model, page = tmp_path / "net.onnx", tmp_path / "page.html"
    terminal.require_places(page, None, apart_from=(model, None))
    with pytest.raises(ExportError, match="named twice"):
        terminal.require_places(page, page)
    with pytest.raises(ExportError, match="named twice"):
        terminal.require_places(page, model, apart_from=(str(model),))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"7"])
def test_certificate_is_refused_when_it_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cert.json").write_bytes(content)
    with pytest.raises(terminal.VerificationError, match="is no certificate") as refused:
        terminal.read_certificate(tmp_path / "cert.json")
    assert refused.value.hint


def test_results_are_printed_where_the_terminal_lacks_their_signs(sample_model: Find) -> None:
    """``−`` and ``…`` are not in Latin-1."""
    arguments = ("inspect", str(sample_model("phase_train")))
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run((*COMMAND, *arguments), capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"\\u2026" in done.stdout
