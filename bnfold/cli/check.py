"""``bnfold check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnfold.cli.arguments import (
    AsJson,
    Atol,
    Bind,
    Input,
    Missing,
    MissingStatistics,
    Output,
    Rename,
    Rtol,
    Samples,
    Seed,
    Set,
    SignatureName,
    Tags,
    Weights,
    WhichWeights,
    how,
)
from bnfold.cli.terminal import DIFFERENT, errors, print_json, progress


def check(
    source: Annotated[str, typer.Argument(help="The source, or an .onnx file that bnfold wrote.")],
    model: Annotated[Path | None, typer.Argument(help="The ONNX file, whoever wrote it.")] = None,
    inputs: Input = None,
    outputs: Output = None,
    set_values: Set = None,
    bind: Bind = None,
    missing_statistics: Missing = MissingStatistics.refuse,
    weights: WhichWeights = Weights.auto,
    rename_variables: Rename = None,
    tags: Tags = None,
    signature: SignatureName = None,
    samples: Samples = 8,
    seed: Seed = 0,
    rtol: Rtol = None,
    atol: Atol = None,
    as_json: AsJson = False,
) -> None:
    """Compare an ONNX file with the inference graph of its source.

    For a file that bnfold wrote the source may be left out: bnfold check MODEL.onnx.
    """
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    with errors(as_json), progress(as_json) as observe:
        from bnfold.pipeline import check

        report = check(source, model, samples=samples, seed=seed, rtol=rtol, atol=atol, observe=observe, **reading)
    if as_json:
        print_json(report)
    if not report.equal:
        raise typer.Exit(DIFFERENT)
