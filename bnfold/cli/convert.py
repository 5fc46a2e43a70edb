"""``bnfold convert``."""

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
    Source,
    Tags,
    Weights,
    WhichWeights,
    how,
    valid_regex,
)
from bnfold.cli.terminal import errors, print_json, progress
from bnfold.target import FORMATS


def convert(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The .onnx file to write, or .pb for the frozen inference graph.")],
    inputs: Input = None,
    outputs: Output = None,
    set_values: Set = None,
    bind: Bind = None,
    missing_statistics: Missing = MissingStatistics.refuse,
    weights: WhichWeights = Weights.auto,
    rename_variables: Rename = None,
    tags: Tags = None,
    signature: SignatureName = None,
    strict: Annotated[bool, typer.Option("--strict", help="Make warnings errors.")] = False,
    opset: Annotated[int | None, typer.Option("--opset", help="ONNX opset to write.")] = None,
    no_fold: Annotated[bool, typer.Option("--no-fold", help="Leave every batch norm an op of its own.")] = False,
    keep: Annotated[str | None, typer.Option("--keep", metavar="REGEX", help="Batch norms to leave alone.")] = None,
    strict_fold: Annotated[bool, typer.Option("--strict-fold", help="Fail if a batch norm cannot be folded.")] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not compare with TensorFlow.")] = False,
    samples: Samples = 8,
    seed: Seed = 0,
    rtol: Rtol = None,
    atol: Atol = None,
    as_json: AsJson = False,
) -> None:
    """Convert SOURCE to TARGET, and prove that its outputs equal TensorFlow's.

    The graph is brought to inference mode: every batch norm is bound to its moving mean and variance, and folded
    into the weights and bias beside it. TARGET appears only when the outputs are equal.
    """
    valid_regex(keep)
    if target.suffix not in FORMATS:
        raise typer.BadParameter(f"{target} ends in neither of {', '.join(FORMATS)}", param_hint="TARGET")
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    with errors(as_json), progress(as_json) as observe:
        from bnfold.pipeline import convert

        conversion = convert(
            source,
            target,
            strict=strict,
            opset=opset,
            fold=not no_fold,
            keep=keep,
            strict_fold=strict_fold,
            check=not no_check,
            samples=samples,
            seed=seed,
            rtol=rtol,
            atol=atol,
            observe=observe,
            **reading,
        )
    if as_json:
        print_json(conversion.report)
