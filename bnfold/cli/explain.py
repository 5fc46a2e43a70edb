"""``bnfold explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from bnfold.cli.arguments import (
    AsJson,
    Bind,
    DataFrom,
    Input,
    Missing,
    MissingStatistics,
    Output,
    Rename,
    Samples,
    Seed,
    Set,
    SignatureName,
    Source,
    Tags,
    Weights,
    WhichWeights,
    drawn,
    finite,
    how,
)
from bnfold.cli.terminal import echo, errors, print_json, progress


def explain(
    source: Source,
    layer: Annotated[str, typer.Argument(help="A batch norm's name, or a part of it that only one has.")],
    channel: Annotated[int, typer.Option("--channel", min=0, help="Which channel.")] = 0,
    values: Annotated[
        list[float] | None, typer.Option("--value", metavar="X", help="A value to follow through the layer.")
    ] = None,
    data: DataFrom = None,
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
    as_json: AsJson = False,
) -> None:
    """Work out one batch norm of SOURCE with its real numbers, in inference and in training mode side by side."""
    reading = how(inputs, outputs, set_values, bind, missing_statistics, weights, rename_variables, tags, signature)
    chosen = [finite("--value", value) for value in values or ()]
    drawn_samples, drawn_seed = drawn(samples, seed, data)
    with errors(as_json), progress(as_json, quiet=True) as observe:
        from bnfold.diagnosis import explain

        explanation = explain(
            source,
            layer,
            channel=channel,
            values=chosen,
            data=data,
            samples=drawn_samples,
            seed=drawn_seed,
            observe=observe,
            **reading,
        )
    if as_json:
        print_json(explanation)
        return
    from bnfold.report.explanation import explanation_lines

    for line in explanation_lines(explanation):
        echo(line)
