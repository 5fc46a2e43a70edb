"""Plots of growth: log-log, with a line of slope 1 to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Points = Sequence[tuple[float, float]]


def log_log(path: Path, series: Mapping[str, Points], *, x: str, y: str) -> None:
    """Write an SVG of ``series`` by label; the same points give the same bytes.

    The dashed line is linear growth from the last point of the first series.
    """
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "bnfold", "svg.fonttype": "none", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        for (label, points), marker in zip(series.items(), "osD^v", strict=False):
            axes.plot(*zip(*points, strict=True), marker=marker, label=label)
        first = next(iter(series.values()))
        end, height = first[-1]
        starts = (first[0][0], end)
        axes.plot(starts, [height * start / end for start in starts], "k--", linewidth=1, label="linear")
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "bnfold benchmarks"})
        pyplot.close(figure)
