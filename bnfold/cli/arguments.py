"""The arguments that the commands share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bnfold.options import InputShape, ReadingKeywords


class MissingStatistics(str, Enum):
    refuse = "refuse"
    initial = "initial"


class Weights(str, Enum):
    auto = "auto"
    trained = "trained"
    ema = "ema"


Source = Annotated[
    str,
    typer.Argument(help="A checkpoint (its directory, prefix or .meta), a SavedModel, frozen graph or Keras file."),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME[=SHAPE]",
        help="An input tensor; in its shape N,?,?,3 a ? is any size, a word one with a name.",
    ),
]
Output = Annotated[list[str] | None, typer.Option("--output", metavar="NAME", help="An output tensor.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Fix a scalar input: keep_prob=1."),
]
Bind = Annotated[
    list[str] | None,
    typer.Option("--bind", metavar="LAYER=MEAN,VARIANCE", help="The variables with a batch norm's moving statistics."),
]
Missing = Annotated[
    MissingStatistics,
    typer.Option(
        "--missing-statistics",
        help="Statistics that the checkpoint lacks: refuse, or take their initial value.",
    ),
]
WhichWeights = Annotated[
    Weights,
    typer.Option("--weights", help="ema: the shadow variables of an ExponentialMovingAverage."),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        "--rename-variables",
        metavar="FROM=TO",
        help="Prefix in the graph's variable names, and in the checkpoint's.",
    ),
]
Tags = Annotated[str | None, typer.Option("--tags", help="Tags of a SavedModel, with commas between.")]
SignatureName = Annotated[str | None, typer.Option("--signature", help="Signature of a SavedModel.")]
LARGEST_FLOAT32 = 3.4028234663852886e38

SAMPLES, SEED = 8, 0
"""Of the random inputs, where the user asks for no others."""

Samples = Annotated[
    int | None,
    typer.Option("--samples", min=1, show_default=str(SAMPLES), help="How many random inputs to compare on."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, show_default=str(SEED), help="Of the random inputs.")]
Rtol = Annotated[float | None, typer.Option("--rtol", min=0, help="Relative tolerance in place of the default.")]
Atol = Annotated[float | None, typer.Option("--atol", min=0, help="Absolute tolerance in place of the default.")]
DataFrom = Annotated[
    Path | None,
    typer.Option("--data", metavar="PATH", help="Samples of your own: .npz, .npy or a folder of images."),
]
Exact = Annotated[bool, typer.Option("--exact", help="Judge by the graph computed in float64.")]
Layers = Annotated[bool, typer.Option("--layers", help="Compare layer by layer, and name the first that diverges.")]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", readable=False, help="Write the comparison as JUnit XML.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")]


def drawn(samples: int | None, seed: int | None, data: Path | None) -> tuple[int, int]:
    """How many samples to draw, and by which seed: nothing to ask for where the samples are the user's own."""
    refuse_vain("--data", data is not None, {"--samples": samples is not None, "--seed": seed is not None})
    return SAMPLES if samples is None else samples, SEED if seed is None else seed


def refuse_vain(option: str, given: bool, beside: Mapping[str, bool]) -> None:
    """Refuse what would change nothing ``beside`` an option that is given."""
    if given and (vain := [name for name, is_given in beside.items() if is_given]):
        raise typer.BadParameter(f"beside it {', '.join(vain)} would change nothing", param_hint=option)


def refuse_tolerances(exact: bool, rtol: float | None, atol: float | None) -> None:
    """Refuse tolerances that are no numbers, or that nothing is measured by."""
    refuse_vain("--exact", exact, {"--rtol": rtol is not None, "--atol": atol is not None})
    for option, value in (("--rtol", rtol), ("--atol", atol)):
        finite(option, value or 0.0)


def finite(option: str, value: float) -> float:
    """``value``, which is refused where float32 has no such number."""
    if not abs(value) <= LARGEST_FLOAT32:
        raise typer.BadParameter(f"{value} is not a finite number of float32", param_hint=option)
    return value


def how(
    inputs: list[str] | None,
    outputs: list[str] | None,
    set_values: list[str] | None,
    bind: list[str] | None,
    missing_statistics: MissingStatistics,
    weights: Weights,
    rename_variables: list[str] | None,
    tags: str | None,
    signature: str | None,
) -> ReadingKeywords:
    return {
        "inputs": dict(map(_input, inputs)) if inputs else None,
        "outputs": outputs or None,
        "set_values": {name: _scalar(value) for name, value in pairs("--set", set_values)},
        "bind": {layer: _two(value) for layer, value in pairs("--bind", bind)},
        "missing_statistics": missing_statistics.value,
        "weights": weights.value,
        "rename_variables": dict(pairs("--rename-variables", rename_variables)),
        "tags": tags,
        "signature": signature,
    }


OPTIONS = {
    "inputs": "--input",
    "outputs": "--output",
    "set_values": "--set",
    "bind": "--bind",
    "missing_statistics": "--missing-statistics",
    "weights": "--weights",
    "rename_variables": "--rename-variables",
    "tags": "--tags",
    "signature": "--signature",
}
"""How the source is read: keyword of the Python functions → option."""


def named_options(reading: ReadingKeywords) -> list[str]:
    """The options behind ``reading`` that are not at their defaults."""
    from bnfold.options import SourceOptions

    return [OPTIONS[name] for name in SourceOptions(**reading).as_json()]


def _input(text: str) -> tuple[str, InputShape | None]:
    """``images=N,?,?,3`` → name and shape; ``?`` is any size, a word any size with a name."""
    name, given, sizes = text.partition("=")
    if not given:
        return name, None
    parts = [part.strip() for part in sizes.strip("[]()").split(",")] if sizes.strip("[]() ") else []
    if bad := [part for part in parts if not re.fullmatch(r"-1|\?|\w+", part)]:
        raise typer.BadParameter(f"{bad[0]!r} is not a size", param_hint="--input")
    return name, tuple(int(part) if part.isdecimal() else None if part in ("?", "-1") else part for part in parts)


def pairs(option: str, texts: list[str] | None) -> Iterator[tuple[str, str]]:
    """``NAME=VALUE`` in two, each name once."""
    names = set()
    for text in texts or ():
        name, given, value = text.partition("=")
        if not (name and given):
            raise typer.BadParameter(f"{text!r} is not two words with '=' between", param_hint=option)
        if name in names:
            raise typer.BadParameter(f"{name} is given twice", param_hint=option)
        names.add(name)
        yield name, value


def layouts(texts: list[str] | None) -> str | dict[str, str]:
    """``nchw`` for all inputs and outputs, or ``images=nchw`` for those that are named."""
    texts = texts or ["tensorflow"]
    named = dict(pairs("--layout", texts)) if "=" in "".join(texts) else {}
    if bad := [word for word in (named.values() or texts) if word not in ("tensorflow", "nchw")]:
        raise typer.BadParameter(f"{bad[0]!r} is neither tensorflow nor nchw", param_hint="--layout")
    return named or texts[-1]


def new_names(rename: list[str] | None) -> dict[str, str]:
    """``--rename OLD=NEW``, by old name."""
    return dict(pairs("--rename", rename))


def _scalar(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _two(text: str) -> tuple[str, str]:
    mean, comma, variance = text.partition(",")
    if not (mean and comma and variance):
        raise typer.BadParameter(f"{text!r} is not MEAN,VARIANCE", param_hint="--bind")
    return mean, variance


def valid_regex(pattern: str | None, *, option: str = "--keep") -> None:
    try:
        re.compile(pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise typer.BadParameter(f"{pattern!r}: {error}", param_hint=option) from None
