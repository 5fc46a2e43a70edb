"""What the README shows is run: its commands as a user would type them, its Python as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnfold.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()

SESSIONS = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
FIGURE = re.compile(r"\d+(\.\d+)?(e[-+]\d+)?")


def commands() -> list[tuple[str, str]]:
    """Each ``$ bnfold …`` of the README with the output shown under it."""
    found = []
    for session in SESSIONS:
        for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("bnfold"):
                found.append((command, output))
    return found


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "sample_models", tmp_path / "sample_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(text: str) -> list[str]:
    """The lines of ``text`` without their figures, which differ between machines, and their spacing."""
    return [" ".join(FIGURE.sub("#", line).split()) for line in text.strip().splitlines()]


@pytest.mark.usefixtures("workplace")
def test_commands_of_the_readme_print_what_it_shows() -> None:
    assert commands(), "the README shows no command"
    for command, output in commands():
        result = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        assert words(result.stdout) == words(output), command


@pytest.mark.usefixtures("workplace")
def test_python_of_the_readme_runs() -> None:
    assert PYTHON, "the README shows no Python"
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), {})


def test_files_that_the_readme_names_are_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
