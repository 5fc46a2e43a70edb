"""What the commands print, and the exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from bnfold.errors import BnfoldError, ExportError, OutputsDifferError, VerificationError
from bnfold.target import require_writable

if TYPE_CHECKING:
    from rich.status import Status

    from bnfold.calls import Observer
    from bnfold.verify import CheckReport

DIFFERENT, USAGE, CANNOT, INTERRUPTED = 1, 2, 3, 130
"""Exit codes; 0 is equal."""

# Printing. Results go to standard output, problems and progress to standard error.


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
                typer.echo(line)
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


@contextmanager
def errors(as_json: bool) -> Iterator[None]:
    """Turns what bnfold raises into words and an exit code; anything else is a bug and keeps its traceback."""
    try:
        yield
    except OutputsDifferError as error:
        if as_json:
            print_json(error.report)
        _fail(error, DIFFERENT)
    except BnfoldError as error:
        _fail(error, CANNOT)
    except KeyboardInterrupt:
        typer.echo("interrupted: nothing was written", err=True)
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
    typer.echo(json.dumps(value.as_json(), indent=2))


def print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def print_layers(report: CheckReport | None) -> None:
    """The table of ``--layers``."""
    if report is None or report.layers is None:
        return
    from bnfold.report.layers import table_lines

    for line in table_lines(report.layers):
        typer.echo(line)


def require_places(*paths: Path | None) -> None:
    """Refuse what cannot be written before the work starts, not after it.

    Raises
    ------
    ExportError
    """
    for path in paths:
        if path is not None:
            require_writable(path)


def write_text(path: Path, text: str) -> None:
    """Write a file beside the results.

    Raises
    ------
    ExportError
        When the path cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}", hint="name another file") from error


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
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerificationError(
            f"{path} is no certificate: {error}", hint="bnfold convert --certificate FILE"
        ) from error
    if not isinstance(values, dict):
        raise VerificationError(f"{path} is no certificate", hint="bnfold convert --certificate FILE writes one")
    return values
