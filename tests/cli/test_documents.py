"""docs/commands.md tells of every command and option, and of no others."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from bnfold.cli import app

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def options() -> set[str]:
    return {name for command in COMMANDS.values() for option in command.params for name in option.opts if "--" in name}


def test_every_command_is_on_the_page() -> None:
    assert set(re.findall(r"^\| `bnfold (\w+) ", PAGE, re.MULTILINE)) == set(COMMANDS)


def test_options_on_the_page_are_those_of_the_commands() -> None:
    assert {"--bind", "--strict-fold", "--html"} < options()
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) == options() | {"--version", "--help"}
