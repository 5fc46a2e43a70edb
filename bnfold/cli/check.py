"""``bnfold check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnfold.cli.arguments import (
    AsJson,
    Atol,
    Bind,
    DataFrom,
    Exact,
    Input,
    Junit,
    Layers,
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
from bnfold.cli.terminal import (
    DIFFERENT,
    errors,
    print_json,
    print_layers,
    progress,
    read_certificate,
    require_places,
    write_junit,
)


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
    data: DataFrom = None,
    exact: Exact = False,
    layers: Layers = False,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="A certificate that must hold too.")
    ] = None,
    junit: Junit = None,
    as_json: AsJson = False,
) -> None:
    """Compare an ONNX file with the inference graph of its source.

    For a file that bnfold wrote the source may be left out: bnfold check MODEL.onnx.
    """
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    with errors(as_json), progress(as_json) as observe:
        from bnfold.pipeline import check

        require_places(junit)
        report = check(
            source,
            model,
            certificate=None if certificate is None else read_certificate(certificate),
            samples=samples,
            seed=seed,
            rtol=rtol,
            atol=atol,
            data=data,
            exact=exact,
            layers=layers,
            observe=observe,
            **reading,
        )
        if layers and not as_json:
            print_layers(report)
        write_junit(junit, report, Path(model or source).name)
    if as_json:
        print_json(report)
    if not report.equal:
        raise typer.Exit(DIFFERENT)
