"""``bnfold convert``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    Source,
    Tags,
    Weights,
    WhichWeights,
    drawn,
    how,
    layouts,
    new_names,
    refuse_tolerances,
    refuse_vain,
    valid_regex,
)
from bnfold.cli.terminal import errors, print_json, print_layers, progress, require_places, write_junit, write_text
from bnfold.errors import OutputsDifferError
from bnfold.target import FORMATS

if TYPE_CHECKING:
    from bnfold.conversion import Conversion


def convert(
    source: Source,
    target: Annotated[
        Path, typer.Argument(readable=False, help="The .onnx file to write, or .pb for the frozen inference graph.")
    ],
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
    opset: Annotated[int | None, typer.Option("--opset", min=13, max=26, help="ONNX opset to write.")] = None,
    layout: Annotated[
        list[str] | None,
        typer.Option("--layout", metavar="[NAME=]nchw", help="Images, or those named, come and go channels first."),
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="New name of an input or output.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Write float16 weights and compute in float16.")] = False,
    no_fold: Annotated[bool, typer.Option("--no-fold", help="Leave every batch norm an op of its own.")] = False,
    keep: Annotated[str | None, typer.Option("--keep", metavar="REGEX", help="Batch norms to leave alone.")] = None,
    strict_fold: Annotated[bool, typer.Option("--strict-fold", help="Fail if a batch norm cannot be folded.")] = False,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not compare with TensorFlow.")] = False,
    samples: Samples = None,
    seed: Seed = None,
    rtol: Rtol = None,
    atol: Atol = None,
    data: DataFrom = None,
    exact: Exact = False,
    layers: Layers = False,
    certificate: Annotated[
        Path | None,
        typer.Option("--certificate", metavar="FILE", readable=False, help="Write the certificate as JSON too."),
    ] = None,
    junit: Junit = None,
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", readable=False, help="Write a report as one HTML page.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Convert SOURCE to TARGET, and prove that its outputs equal TensorFlow's.

    The graph is brought to inference mode: every batch norm is bound to its moving mean and variance, and folded
    into the weights and bias beside it. TARGET appears only when the outputs are equal.
    """
    valid_regex(keep)
    if target.suffix not in FORMATS:
        raise typer.BadParameter(f"{target} ends in neither of {', '.join(FORMATS)}", param_hint="TARGET")
    asked = {"--opset": opset, "--layout": layout, "--rename": rename, "--half": half, "--layers": layers}
    if target.suffix == ".pb" and (vain := [option for option, given in asked.items() if given]):
        raise typer.BadParameter(f"{', '.join(vain)}: for ONNX files only, not for {target}", param_hint="TARGET")
    refuse_vain("--no-fold", no_fold, {"--keep": keep is not None, "--strict-fold": strict_fold})
    refuse_vain(
        "--no-check",
        no_check,
        {
            "--certificate": certificate is not None,
            "--junit": junit is not None,
            "--data": data is not None,
            "--samples": samples is not None,
            "--seed": seed is not None,
            "--rtol": rtol is not None,
            "--atol": atol is not None,
            "--exact": exact,
            "--layers": layers,
        },
    )
    refuse_vain("--exact", exact, {"--half": half})
    refuse_tolerances(exact, rtol, atol)
    drawn_samples, drawn_seed = drawn(samples, seed, data)
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    with errors(as_json) as outcome, progress(as_json) as observe:
        from bnfold.latency import measure_latency
        from bnfold.pipeline import convert
        from bnfold.report.html import html_page

        require_places(certificate, junit, page, apart_from=(source, target, data))

        def finish(conversion: Conversion) -> None:
            """Write what was asked for beside the model, also when the outputs differ."""
            if layers and not as_json:
                print_layers(conversion.report.check)
            write_junit(junit, conversion.report.check, target.name)
            if certificate is not None and conversion.certificate is not None:
                write_text(certificate, json.dumps(conversion.certificate, indent=2) + "\n")
            if page is not None:
                observe("latency", None)
                write_text(page, html_page(conversion, measure_latency(conversion)))

        try:
            conversion = convert(
                source,
                target,
                strict=strict,
                opset=opset,
                layout=layouts(layout),
                rename=new_names(rename),
                half=half,
                fold=not no_fold,
                keep=keep,
                strict_fold=strict_fold,
                check=not no_check,
                samples=drawn_samples,
                seed=drawn_seed,
                rtol=rtol,
                atol=atol,
                data=data,
                exact=exact,
                layers=layers or page is not None,
                observe=observe,
                **reading,
            )
        except OutputsDifferError as error:
            finish(error.conversion)
            raise
        outcome.written = str(target)
        finish(conversion)
    if as_json:
        print_json(conversion.report)
