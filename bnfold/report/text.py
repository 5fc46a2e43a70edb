"""The command line's lines: one for each stage, the verb first; more only for surprises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bnfold.graph import Array, Shape
from bnfold.graph.stages import BatchNorm, Fate, Folding, InferenceGraph, Kept, Note, SourceModel
from bnfold.report.layers import divergence_lines
from bnfold.results import Inspection, ModelSummary, SourceSummary

if TYPE_CHECKING:
    from bnfold.verify import CheckReport

_SUBJECT = 9
_DETAIL = 34


def load_lines(source: SourceModel) -> list[str]:
    summary = SourceSummary.of(source)
    detail = f"{count(summary.variables, 'variable')}, {amount(summary.parameters)} parameters"
    if source.step is not None:
        detail += f", step {source.step}"
    return [line("load", source.label, detail)]


def infer_lines(inference: InferenceGraph) -> list[str]:
    norms = inference.batch_norms
    ends = [("input", end) for end in inference.inputs] + [("output", end) for end in inference.outputs]
    rows = [(word, end.name, f"{end.dtype} {shape_text(end.shape)}, {end.reason}") for word, end in ends]
    return [line("infer", count(len(norms), "batch norm"), _flags(norms)), *_block(rows)]


def fold_lines(folding: Folding) -> list[str]:
    kept = [fate for fate in folding.fates if isinstance(fate, Kept)]
    if not folding.fates:
        subject = "no batch norms"
    else:
        subject = f"{len(folding.fates) - len(kept)} folded" + (f", {len(kept)} kept" if kept else "")
    details = []
    if folding.others:
        details.append(f"and {count(len(folding.others), 'other per-channel map')}")
    if folding.parameters_added:
        details.append(f"{amount(folding.parameters_added)} parameters added for copied kernels")
    rows = [("kept", fate.name, fate.reason) for fate in kept]
    return [line("fold", subject, "; ".join(details)), *_block(rows)]


def export_lines(model: ModelSummary) -> list[str]:
    opset = f"opset {model.opset}, " if model.opset else ""
    detail = f"{opset}{count(sum(model.ops.values()), 'node')}, {size(model.bytes)}"
    return [line("export", (model.path or model.format).rpartition("/")[2], detail)]


def verify_lines(report: CheckReport) -> list[str]:
    subject = f"{count(len(report.outputs), 'output')}, {count(report.samples, 'sample')}"
    verdict = "equal" if report.equal else "DIFFERENT"
    lines = [line("verify", subject, f"max |onnx − tf| {report.max_error:.1e}      {verdict}")]
    if not report.equal:
        lines += [f"           {reason}" for reason in report.reasons]
        lines += [f"           tolerance: {report.tolerance.formula}"]
    lines += [f"           certificate: {text}" for text in report.outdated]
    if report.suspect:
        lines.append(f"           suspect: {report.suspect}")
    return lines + (divergence_lines(report.layers) if report.layers is not None else [])


STAGE_LINES: dict[str, Callable[[Any], list[str]]] = {
    "load": load_lines,
    "infer": infer_lines,
    "fold": fold_lines,
    "export": export_lines,
    "verify": verify_lines,
}
"""What each stage's value says of itself, by the stage's verb."""


def problem_lines(value: Any) -> list[str]:
    """What standard error is told of a stage's value: the notes of `load` and `infer`."""
    return note_lines(value.notes) if isinstance(value, SourceModel | InferenceGraph) else []


def note_lines(notes: Iterable[Note]) -> list[str]:
    """Each note with its hint."""
    lines = []
    for note in notes:
        lines.append(f"{note.level}: {note.message}")
        if note.hint:
            lines.append(f"hint: {note.hint}")
    return lines


# inspect

INSPECTION_COLUMNS = (
    "batch norm",
    "form",
    "training flag",
    "channels",
    "mean",
    "variance",
    "epsilon",
    "kept in",
    "would fold into",
)


SORT_KEYS: dict[str, Callable[[BatchNorm], Any]] = {
    "name": lambda norm: norm.name,
    "form": lambda norm: norm.form,
    "flag": lambda norm: norm.flag,
    "mean": lambda norm: -float(abs(norm.moving_mean).max(initial=0)),
    "variance": lambda norm: float(norm.moving_variance.min(initial=float("inf"))),
    "epsilon": lambda norm: norm.epsilon,
    "channels": lambda norm: -norm.channels,
}
"""What the rows can be sorted by: the largest means, the smallest variances and the widest layers come first."""


def inspection_rows(inspection: Inspection, *, sort: str | None = None) -> list[tuple[str, ...]]:
    """One row of `INSPECTION_COLUMNS` for each batch norm, in the graph's order or by a key of `SORT_KEYS`."""
    fates = {fate.name: fate for fate in inspection.fates}
    norms = sorted(inspection.batch_norms, key=SORT_KEYS[sort]) if sort else inspection.batch_norms
    return [
        (
            norm.name,
            norm.form,
            norm.flag,
            f"{norm.channels}" + ("" if norm.channel_axis is None else f" on axis {norm.channel_axis}"),
            value_range(norm.moving_mean),
            value_range(norm.moving_variance),
            f"{norm.epsilon:g}",
            _variables(norm),
            _fate(fates.get(norm.name)),
        )
        for norm in norms
    ]


def inspection_lines(inspection: Inspection) -> list[str]:
    """What stands above the table of batch norms."""
    source = inspection.source
    step = "" if source.step is None else f", step {source.step}"
    lines = [
        line("source", source.label, f"{source.kind}{step}"),
        line(
            "",
            f"{source.nodes} nodes",
            f"{count(source.variables, 'variable')}, {amount(source.parameters)} parameters",
        ),
    ]
    for verb, endpoints in (("input", inspection.inputs), ("output", inspection.outputs)):
        for endpoint in endpoints:
            lines.append(line(verb, endpoint.name, f"{endpoint.dtype} {shape_text(endpoint.shape)}, {endpoint.reason}"))
            if endpoint.alternatives:
                lines.append(line("", "", f"or: {', '.join(endpoint.alternatives)}"))
    return lines


def _variables(norm: BatchNorm) -> str:
    """The variables of the moving mean and variance: ``conv1/bn/{moving_mean,moving_variance}``."""
    names = [norm.variables[role] for role in ("moving_mean", "moving_variance") if role in norm.variables]
    scopes = {name.rpartition("/")[0] for name in names}
    if len(names) < 2 or len(scopes) > 1 or "" in scopes or any("," in name for name in names):
        return " and ".join(names) or "constants"
    return f"{scopes.pop()}/{{{','.join(name.rpartition('/')[2] for name in names)}}}"


def _fate(fate: Fate | None) -> str:
    match fate:
        case None:
            return ""
        case Kept(reason=reason):
            return f"kept: {reason}"
        case _:
            return ", ".join(fate.into)


# Words and figures


def line(verb: str, subject: str, detail: str = "") -> str:
    """One aligned line; a subject too long for its column pushes the detail on."""
    return f"{verb:<{_SUBJECT}}{subject:<{_DETAIL - _SUBJECT - 1}} {detail}".rstrip()


def _block(rows: list[tuple[str, str, str]]) -> list[str]:
    """The lines under a stage's own: a word, its subject, the detail, each in its column."""
    width = max((len(subject) for _, subject, _ in rows), default=0)
    return [f"{'':<11}{word:<6} {subject:<{width}}  {detail}".rstrip() for word, subject, detail in rows]


def _flags(norms: tuple[BatchNorm, ...]) -> str:
    training = sum(norm.flag != "inference" for norm in norms)
    if not training:
        return "saved in inference mode" if norms else ""
    verb, whose = ("was", "its") if training == 1 else ("were", "their")
    return f"{training} {verb} saved in training mode; bound to {whose} moving statistics"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def amount(number: int) -> str:
    """``25.6 M``, ``36.3 k``, ``12``."""
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)


def size(number: int) -> str:
    """A number of bytes: ``102.3 MB``."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return f"{number} B"


def shape_text(shape: Shape | None) -> str:
    """``[?, 224, 224, 3]``."""
    return "[…]" if shape is None else "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"


def value_range(values: Array) -> str:
    """``-0.12 … 3.4``."""
    return f"{float(values.min()):.3g} … {float(values.max()):.3g}" if values.size else ""
