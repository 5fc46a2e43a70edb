"""The errors through the network as lines: one for each tensor that both sides have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnfold.verify import LayerFigure, LayerTrace

BAR = 12
"""Width of the bar that shows an error's order of magnitude."""

LOWEST, HIGHEST = -8.0, 0.0
"""Orders of magnitude at the bar's ends."""


def table_lines(trace: LayerTrace) -> list[str]:
    """A table of the tensors in order."""
    if not trace.layers:
        return ["           no tensor has the same name on both sides"]
    width = max(len(layer.name) for layer in trace.layers)
    head = f"{'tensor':<{width}}  {'onnx':>8}  {'tf':>8}  {'allowed':>8}"
    lines = [f"           {head}   largest error against float64, in units of max|tf|"]
    return lines + [_line(layer, width) for layer in trace.layers]


def divergence_lines(trace: LayerTrace) -> list[str]:
    """The first tensor that diverges, with the ops around it; nothing when none does."""
    if trace.first is None:
        return []
    facts = {
        "first to diverge": trace.first,
        "last that agrees": trace.last_good or "",
        "between them": ", ".join(trace.between),
        "in the file": ", ".join(trace.file_nodes),
        "batch norms": ", ".join(trace.batch_norms),
    }
    return [f"           {name + ':':<17} {fact}" for name, fact in facts.items() if fact]


def _line(layer: LayerFigure, width: int) -> str:
    error = layer.relative if layer.onnx_error is None else layer.onnx_error
    own = "" if layer.tensorflow_error is None else f"{layer.tensorflow_error:.1e}"
    mark = "  DIVERGES" if layer.diverges else "  rewritten" if layer.rewritten else ""
    note = f"  {layer.note}" if layer.note else ""
    figures = f"{error:>8.1e}  {own:>8}  {layer.allowed:>8.1e}"
    return f"           {layer.name:<{width}}  {figures}   {_bar(error)}{mark}{note}".rstrip()


def _bar(error: float) -> str:
    """``▪▪▪``: longer for a larger order of magnitude."""
    if error <= 0:
        return ""
    order = HIGHEST if math.isinf(error) else math.log10(error)
    return "▪" * max(1, min(BAR, round(BAR * (order - LOWEST) / (HIGHEST - LOWEST))))
