"""What the commands print, and the exit codes."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from bnfold.errors import BnfoldError, ExportError, OutputsDifferError, VerificationError
from bnfold.target import replacing, require_apart, require_writable

if TYPE_CHECKING:
    from rich.status import Status

    from bnfold.calls import Observer
    from bnfold.verify import CheckReport

DIFFERENT, USAGE, CANNOT, INTERRUPTED = 1, 2, 3, 130
"""Exit codes; 0 is equal."""

# Printing. Results go to standard output, problems and progress to standard error.


def echo(text: str) -> None:
    """Print a line of results. Where nobody reads any more (``| head``) the printing ends, not the work."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        hint = "is the disk full?"
        _fail(ExportError(f"standard output cannot be written: {error.strerror}", hint=hint), CANNOT)


@contextmanager
def progress(as_json: bool, *, quiet: bool = False) -> Iterator[Observer]:
    """An observer that prints each stage's line when it is done, and what is under way while it works."""
    with _status() as status:

        def observe(verb: str, value: Any) -> None:
            if value is None:
                status.update(verb)
                return
            if as_json or quiet:
                return
            from bnfold.report import text

            status.stop()
            for line in text.STAGE_LINES[verb](value):
                echo(line)
            print_problems(text.problem_lines(value))
            status.start()

        yield observe


class _Silence:
    """Stands where a terminal would show what is under way."""

    def update(self, status: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def _status() -> Iterator[Status | _Silence]:
    if not sys.stderr.isatty():  # nobody looks, and rich takes 8 MB
        yield _Silence()
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status


@dataclass
class Outcome:
    """What a command has done so far.

    Attributes
    ----------
    written : str
        The name of what it has written.
    """

    written: str = "nothing"


@contextmanager
def errors(as_json: bool) -> Iterator[Outcome]:
    """Turns what bnfold raises into words and an exit code; anything else is a bug and keeps its traceback."""
    outcome = Outcome()
    try:
        yield outcome
    except OutputsDifferError as error:
        if as_json:
            print_json(error.report)
        _fail(error, DIFFERENT)
    except BnfoldError as error:
        if outcome.written != Outcome.written:
            typer.echo(f"note: {outcome.written} was written before this:", err=True)
        _fail(error, CANNOT)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {outcome.written} was written", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _fail(error: BnfoldError, code: int) -> NoReturn:
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)
    raise typer.Exit(code) from None


def print_problems(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)


def print_json(value: Any) -> None:
    echo(json.dumps(_with_words(value.as_json()), indent=2, allow_nan=False))


def _with_words(value: Any) -> Any:
    """``value`` with words for the numbers that JSON has not: NaN and the infinities."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {key: _with_words(item) for key, item in value.items()}
        case list() | tuple():
            return [_with_words(item) for item in value]
    return value


def print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 10_000
    console = Console(width=width, markup=False, emoji=False)  # names are the model's: brackets in them are no style
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        echo(line.rstrip())


def print_layers(report: CheckReport | None) -> None:
    """The table of ``--layers``."""
    if report is None or report.layers is None:
        return
    from bnfold.report.layers import table_lines

    for line in table_lines(report.layers):
        echo(line)


def require_places(*paths: Path | None, apart_from: Iterable[str | Path | None] = ()) -> None:
    """Refuse what cannot be written before the work starts, not after it.

    Parameters
    ----------
    *paths : Path or None
        What will be written: each where no other of them is.
    apart_from : iterable of path or None
        What is read, or written by others.

    Raises
    ------
    ExportError
    """
    taken = [*apart_from]
    for path in paths:
        if path is None:
            continue
        require_apart(path, taken)
        taken.append(path)
        if not _is_stream(path):
            require_writable(path)


def write_text(path: Path, text: str) -> None:
    """Write a file beside the results, replacing at once what is there.

    Raises
    ------
    ExportError
        When the path cannot be written.
    """
    content = text.encode(errors="backslashreplace")  # names of files may be no text
    if not _is_stream(path):
        with replacing(path) as staged:
            staged.write_bytes(content)
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}", hint="name another file") from error


def _is_stream(path: Path) -> bool:
    """Whether ``path`` is a pipe or a device: written to, never replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def write_junit(path: Path | None, report: CheckReport | None, name: str) -> None:
    """Write ``report`` as JUnit XML, where a path is given."""
    from bnfold.report.junit import junit_xml

    if path is not None and report is not None:
        write_text(path, junit_xml(report, name=name))


def read_certificate(path: Path) -> dict[str, Any]:
    """The certificate in a file.

    Raises
    ------
    VerificationError
        When it cannot be read, or is no certificate.
    """
    hint = "bnfold convert --certificate FILE writes one"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VerificationError(f"{path} is no certificate: {error}", hint=hint) from error
    if not isinstance(values, dict):
        raise VerificationError(f"{path} is no certificate", hint=hint)
    return values
