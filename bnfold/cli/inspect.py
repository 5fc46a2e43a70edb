"""``bnfold inspect``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from bnfold.cli.arguments import (
    AsJson,
    Bind,
    Input,
    Missing,
    MissingStatistics,
    Output,
    Rename,
    Set,
    SignatureName,
    Source,
    Tags,
    Weights,
    WhichWeights,
    how,
)
from bnfold.cli.terminal import (
    echo,
    errors,
    print_json,
    print_problems,
    print_table,
    progress,
    require_places,
    write_text,
)


class Sort(str, Enum):
    name = "name"
    form = "form"
    flag = "flag"
    mean = "mean"
    variance = "variance"
    epsilon = "epsilon"
    channels = "channels"


def inspect(
    source: Source,
    inputs: Input = None,
    outputs: Output = None,
    set_values: Set = None,
    bind: Bind = None,
    missing_statistics: Missing = MissingStatistics.refuse,
    weights: WhichWeights = Weights.auto,
    rename_variables: Rename = None,
    tags: Tags = None,
    signature: SignatureName = None,
    sort: Annotated[
        Sort | None, typer.Option("--sort", help="Order of the batch norms; the graph's by default.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", readable=False, help="Write the inspection as one HTML page."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the inputs and outputs of SOURCE, and each batch norm with its statistics and what it would fold into."""
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    with errors(as_json), progress(as_json, quiet=True) as observe:
        from bnfold.pipeline import inspect

        require_places(page, apart_from=(source,))
        inspection = inspect(source, observe=observe, **reading)
        if page is not None:
            from bnfold.report.html import inspection_page

            write_text(page, inspection_page(inspection))
    if as_json:
        print_json(inspection)
        return
    from bnfold.report import text

    for line in text.inspection_lines(inspection):
        echo(line)
    print_table(text.INSPECTION_COLUMNS, text.inspection_rows(inspection, sort=sort.value if sort else None))
    print_problems(text.note_lines(inspection.notes))
