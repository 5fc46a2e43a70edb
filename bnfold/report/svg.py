"""Small plots as inline SVG: error growth through the network, histograms, bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from bnfold.graph import Array


@dataclass(frozen=True)
class Series:
    """A line of a plot.

    Attributes
    ----------
    name : str
    values : sequence of float or None
        One for each place; None leaves a gap.
    kind : str
        CSS class.
    """

    name: str
    values: Sequence[float | None]
    kind: str


WIDTH, HEIGHT = 920, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 26


def log_plot(labels: Sequence[str], series: Sequence[Series], *, marked: Sequence[int] = ()) -> str:
    """Values over places on a logarithmic axis; each point says its label when the mouse is on it.

    Parameters
    ----------
    labels : sequence of str
        One for each place.
    series : sequence of Series
    marked : sequence of int
        Places to mark as wrong.
    """
    found = [v for line in series for v in line.values if v is not None and 0 < v < math.inf]
    low = math.floor(math.log10(min(found, default=1e-8)))
    high = max(math.ceil(math.log10(max(found, default=1e-6))), low + 1)
    step = (WIDTH - LEFT - RIGHT) / max(len(labels) - 1, 1)

    def y_of(value: float) -> float:
        order = min(max(math.log10(value) if 0 < value < math.inf else (low if value <= 0 else high), low), high)
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - order) / (high - low)

    parts = [_grid(low, high)]
    for index in marked:
        x = LEFT + step * index
        parts.append(f'<line class="wrong" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for line in series:
        points = [(LEFT + step * i, y_of(v), i, v) for i, v in enumerate(line.values) if v is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        parts.append(f'<polyline class="{line.kind}" points="{path}"/>')
        for x, y, index, value in points:
            title = escape(f"{labels[index]}\n{line.name}: {value:.2e}")
            parts.append(
                f'<circle class="{line.kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"><title>{title}</title></circle>'
            )
    return _svg(WIDTH, HEIGHT, "".join(parts), "error through the network")


def _grid(low: int, high: int) -> str:
    parts = []
    for order in range(low, high + 1):
        y = TOP + (HEIGHT - TOP - BOTTOM) * (high - order) / (high - low)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">1e{order}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">input</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">output</text>')
    return "".join(parts)


def histogram(values: Array, *, log: bool = False, limit: float | None = None) -> str:
    """A histogram of ``values``, of their orders of magnitude where ``log``; a line at ``limit``."""
    numbers = values.astype(np.float64).reshape(-1)
    numbers = numbers[np.isfinite(numbers)]
    if log:
        numbers = np.log10(np.maximum(numbers, 1e-38))
        limit = None if limit is None else math.log10(limit)
    if not numbers.size:
        return ""
    edges = [*numbers, limit] if limit is not None else [*numbers]
    low, high = float(min(edges)), float(max(edges))
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(numbers, bins=24, range=(low, high))
    width, height = 168, 44
    bars = [
        f'<rect x="{i * 7:.0f}" y="{height - h:.1f}" width="6" height="{h:.1f}"/>'
        for i, count in enumerate(counts)
        if (h := height * count / counts.max()) > 0
    ]
    if limit is not None:
        x = width * (limit - low) / (high - low)
        bars.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
    left, right = (f"1e{low:.1f}", f"1e{high:.1f}") if log else (f"{low:.3g}", f"{high:.3g}")
    text = f'<text x="0" y="{height + 12}">{left}</text>'
    text += f'<text x="{width}" y="{height + 12}" text-anchor="end">{right}</text>'
    return _svg(width, height + 16, "".join(bars) + text, "histogram", kind="histogram")


def bar(share: float) -> str:
    """A horizontal bar that fills ``share`` of its cell."""
    width = max(1.0, 160 * min(share, 1.0))
    return _svg(160, 10, f'<rect x="0" y="1" width="{width:.1f}" height="8" rx="2"/>', "bar", kind="bar")


def _svg(width: int, height: int, body: str, label: str, *, kind: str = "plot") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">{body}</svg>'
    )
