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


def trace_lines(trace: LayerTrace) -> list[str]:
    """A table of the tensors in order, and the first that diverges with the ops around it."""
    if not trace.layers:
        return ["           no tensor has the same name on both sides"]
    width = max(len(layer.name) for layer in trace.layers)
    head = f"{'tensor':<{width}}  {'onnx':>8}  {'tf':>8}  {'allowed':>8}"
    lines = [f"           {head}   largest error against float64, in units of max|tf|"]
    lines += [_line(layer, width) for layer in trace.layers]
    if trace.first is None:
        return lines
    lines.append(f"           first to diverge: {trace.first}")
    if trace.last_good is not None:
        lines.append(f"           last that agrees: {trace.last_good}")
    lines.append(f"           between them:     {', '.join(trace.between)}")
    lines.append(f"           in the file:      {', '.join(trace.file_nodes)}")
    if trace.batch_norms:
        lines.append(f"           batch norms:      {', '.join(trace.batch_norms)}")
    return lines


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
