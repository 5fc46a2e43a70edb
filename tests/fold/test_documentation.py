"""docs/folding.md says what the table says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bnfold.fold.precision import LOSS
from bnfold.fold.row import Linear, Through
from bnfold.fold.rules import TABLE
from bnfold.fold.worth import GROWTH, SMALL

PAGE = Path(__file__).resolve().parents[2] / "docs" / "folding.md"


def line(row: Linear | Through) -> str:
    """The row as docs/folding.md has it."""
    ops = " ".join(f"`{op}`" for op in row.ops)
    equations = "<br>".join(f"`{equation}`" for equation in row.equations)
    return f"| {row.name} | {ops} | {equations} | {row.condition} |"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_row_is_documented(row: Linear | Through) -> None:
    assert line(row) in PAGE.read_text(encoding="utf-8").splitlines()


def test_page_has_no_row_that_the_table_lacks() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    documented = [text for text in lines if re.match(r"\| [^|]+ \| `[A-Z]\w+`", text)]
    assert documented == [line(row) for row in TABLE]


def test_limits_are_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"{GROWTH:.0%}".replace("%", " %") in page
    assert f"{SMALL:,}".replace(",", " ") in page
    assert f"{LOSS:.0f} times" in page
