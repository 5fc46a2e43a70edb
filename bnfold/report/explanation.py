"""One batch norm's arithmetic as lines a person can follow with a calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfold.report.text import count, line, shape_text, value_range

if TYPE_CHECKING:
    from bnfold.calibration import Calibration, Statistics
    from bnfold.explanation import Channel, Explanation, Row

INDENT = " " * 9
COLUMNS = ("x", "inference", "training", "the graph", "as saved")


def explanation_lines(explanation: Explanation) -> list[str]:
    """The layer, the formula filled in for both modes, and a table of values."""
    moving, training, batch = explanation.moving, explanation.training, explanation.batch
    axis = f"channels on axis {explanation.channel_axis} of {shape_text(explanation.shape)}"
    lines = [
        line("layer", explanation.layer, f"{explanation.form}, {axis}"),
        f"{INDENT}{'saved with':<16} {explanation.flag}",
        *(f"{INDENT}{'evidence':<16} {evidence}" for evidence in explanation.evidence),
    ]
    lines += [f"{INDENT}{role.replace('_', ' '):<16} {name}" for role, name in explanation.variables.items()]
    lines += [
        "",
        f"channel {explanation.channel} of {explanation.channels}",
        f"{INDENT}{'gamma':<16} {_number(moving.gamma) if explanation.has_gamma else 'none, so 1'}",
        f"{INDENT}{'beta':<16} {_number(moving.beta) if explanation.has_beta else 'none, so 0'}",
        f"{INDENT}{'moving mean':<16} {_number(moving.mean)}",
        f"{INDENT}{'moving variance':<16} {_number(moving.variance)}",
        f"{INDENT}{'epsilon':<16} {_number(moving.epsilon)}",
        "",
        "inference, with the moving statistics",
        *_formula(moving),
        "",
        f"training, with the batch's own: {batch.label}, {count(batch.count, 'value')}",
        *_formula(training),
        "",
    ]
    lines += _table(explanation.rows)
    lines += _slips(explanation)
    lines += [f"note: {note}" for note in explanation.notes]
    return lines


def _formula(channel: Channel) -> list[str]:
    mean, beta = _signed(-channel.mean), _signed(channel.beta)
    return [
        f"{INDENT}y = (x − mean) / √(variance + epsilon) · gamma + beta",
        f"{INDENT}  = (x {mean}) / √({_number(channel.variance)} + {_number(channel.epsilon)})"
        f" · {_number(channel.gamma)} {beta}",
        f"{INDENT}  = x · {_number(channel.scale)} {_signed(channel.shift)}      scale and shift",
    ]


def _table(rows: tuple[Row, ...]) -> list[str]:
    shown = COLUMNS if any(row.saved is not None for row in rows) else COLUMNS[:4]
    lines = [INDENT + "".join(f"{name:>16}" for name in shown)]
    for row in rows:
        values = (row.x, row.inference, row.training, row.graph, row.saved)[: len(shown)]
        lines.append(INDENT + "".join(f"{'' if value is None else _number(value):>16}" for value in values))
    return lines


def _slips(explanation: Explanation) -> list[str]:
    if not explanation.slips:
        return []
    lines = ["", f"another number for x = {_number(explanation.rows[0].x)}?"]
    return lines + [f"{INDENT}{_number(slip.value):>16}  {slip.name}" for slip in explanation.slips]


def calibration_lines(calibration: Calibration) -> list[str]:
    """One line for each layer: its statistics before and after."""
    norms = count(len(calibration.statistics), "batch norm")
    runs = f"{count(calibration.samples, 'sample')} of {calibration.data}, {count(calibration.passes, 'run')} over them"
    lines = [line("measure", norms, runs)]
    width = max((len(found.name) for found in calibration.statistics), default=0)
    return lines + [_before_and_after(found, width) for found in calibration.statistics]


def _before_and_after(found: Statistics, width: int) -> str:
    mean = f"{value_range(found.old_mean)} → {value_range(found.mean)}"
    variance = f"{value_range(found.old_variance)} → {value_range(found.variance)}"
    return f"{INDENT}{found.name:<{width}}  mean {mean}, variance {variance}"


def _number(value: float) -> str:
    return f"{value + 0.0:.9g}"  # −0.0 + 0.0 is 0.0


def _signed(value: float) -> str:
    return f"− {_number(-value)}" if value < 0 else f"+ {_number(value)}"
