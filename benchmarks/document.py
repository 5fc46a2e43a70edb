"""docs/benchmarks.md: each section stands between two comments, and is written anew when it was measured anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from benchmarks.checkpoints import ROOT
from benchmarks.table import Section

DOCS = ROOT / "docs"
PAGE = DOCS / "benchmarks.md"


def rewritten(page: str, sections: Iterable[Section], where: str) -> str:
    """``page`` with ``sections`` in their places; ``where`` says on what machine.

    Raises
    ------
    ValueError
        When the page has no place for a section.
    """
    for section in sections:
        begin, end = f"<!-- begin {section.key} -->", f"<!-- end {section.key} -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        text = f"{begin}\n{section.as_markdown()}\n\n{where}\n{end}"
        page, count = pattern.subn(lambda _, text=text: text, page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{PAGE.name} has no place for {section.key}: it lacks {begin}")
    return page


def write(sections: Iterable[Section], where: str, page: Path = PAGE) -> None:
    page.write_text(rewritten(page.read_text(), sections, where))
