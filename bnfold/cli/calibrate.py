"""``bnfold calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnfold.cli.arguments import (
    AsJson,
    Bind,
    Input,
    Output,
    Rename,
    Set,
    Source,
    Weights,
    WhichWeights,
    how,
    valid_regex,
)
from bnfold.cli.arguments import MissingStatistics as Missing
from bnfold.cli.terminal import echo, errors, print_json, progress


def calibrate(
    source: Source,
    target: Annotated[str, typer.Argument(help="Prefix of the checkpoint to write, or a directory for it.")],
    data: Annotated[
        Path, typer.Option("--data", metavar="PATH", help="What it was trained on: .npz, .npy or a folder of images.")
    ],
    layers: Annotated[
        str | None, typer.Option("--layers", metavar="REGEX", help="Batch norms to calibrate; else those in need.")
    ] = None,
    inputs: Input = None,
    outputs: Output = None,
    set_values: Set = None,
    bind: Bind = None,
    weights: WhichWeights = Weights.auto,
    rename_variables: Rename = None,
    as_json: AsJson = False,
) -> None:
    """Compute moving statistics from data, for batch norms that were never updated or keep none.

    Writes a checkpoint like SOURCE, its graph and weights included, that bnfold convert takes.
    """
    valid_regex(layers, option="--layers")
    reading = how(inputs, outputs, set_values, bind, Missing.initial, weights, rename_variables, None, None)
    with errors(as_json), progress(as_json) as observe:
        from bnfold.diagnosis import calibrate

        def advance(done: int, total: int) -> None:
            observe(f"calibrate: run {done} of {total}", None)

        result = calibrate(source, target, data=data, layers=layers, observe=observe, progress=advance, **reading)
    if as_json:
        print_json(result)
        return
    from bnfold.report.explanation import calibration_lines

    for line in calibration_lines(result.calibration):
        echo(line)
    echo(f"wrote    {result.path}")
