"""A table of results: for the terminal and for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable


@dataclass(frozen=True)
class Cell:
    """A figure, and whether it reaches its goal (None: there is none)."""

    text: str
    met: bool | None = None

    def __str__(self) -> str:
        return f"{self.text} ✗" if self.met is False else self.text


@dataclass(frozen=True)
class Section:
    """A part of the results.

    Attributes
    ----------
    key : str
        Names its place in the docs.
    title, note : str
        What was measured, and how.
    columns : sequence of str
    rows : sequence of sequence of str or Cell
    figures : sequence of str
        Files of the docs folder to show below.
    """

    key: str
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    figures: Sequence[str] = ()

    def as_markdown(self) -> str:
        lines = [f"| {' | '.join(self.columns)} |", "|" + "---|" * len(self.columns)]
        lines += [f"| {' | '.join(map(str, row))} |" for row in self.rows]
        pictures = [f"\n![{self.title}]({name})" for name in self.figures]
        return "\n".join([f"## {self.title}", "", self.note, "", *lines, *pictures])

    def as_rich(self) -> RichTable:
        table = RichTable(title=self.title, caption=self.note, title_justify="left", caption_justify="left")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*map(_painted, row))
        return table


def _painted(cell: str | Cell) -> str:
    met = cell.met if isinstance(cell, Cell) else None
    colour = {True: "green", False: "red"}.get(met) if met is not None else None
    return f"[{colour}]{cell}[/]" if colour else str(cell)
