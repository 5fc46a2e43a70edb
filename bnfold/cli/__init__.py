"""The command line: parse, call, print, exit code. Nothing heavy is imported until a command runs."""

from __future__ import annotations

import gc
import io
import sys
from typing import Annotated

import typer

from bnfold import __version__
from bnfold.cli.calibrate import calibrate
from bnfold.cli.check import check
from bnfold.cli.convert import convert
from bnfold.cli.explain import explain
from bnfold.cli.inspect import inspect

app = typer.Typer(
    help="TensorFlow training checkpoints to proven ONNX inference models.",
    epilog="Exit codes: 0 equal, 1 outputs differ (nothing is written), 2 usage, 3 cannot convert, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bnfold {__version__}")
        raise typer.Exit


@app.callback()
def bnfold(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """TensorFlow training checkpoints to proven ONNX inference models."""


for command in (convert, check, inspect, explain, calibrate):
    app.command()(command)


def main() -> None:
    """Entry point of the ``bnfold`` command."""
    # Importing TensorFlow makes a million objects that stay; looking through them again and again takes 0.3 s.
    gc.set_threshold(100_000, 50, 100)
    if isinstance(sys.stdout, io.TextIOWrapper):  # of a terminal without ≤, and for names of files that are no text
        sys.stdout.reconfigure(errors="backslashreplace")
    app()
