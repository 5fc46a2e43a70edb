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
    drawn,
    how,
    named_options,
    refuse_tolerances,
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
    samples: Samples = None,
    seed: Seed = None,
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
    if model is None and (vain := named_options(reading)):
        raise typer.BadParameter(
            f"{source} says itself how its source is read: leave it out, or name both", param_hint=vain
        )
    refuse_tolerances(exact, rtol, atol)
    drawn_samples, drawn_seed = drawn(samples, seed, data)
    with errors(as_json), progress(as_json) as observe:
        from bnfold.pipeline import check

        require_places(junit, apart_from=(source, model, certificate, data))
        report = check(
            source,
            model,
            certificate=None if certificate is None else read_certificate(certificate),
            samples=drawn_samples,
            seed=drawn_seed,
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
