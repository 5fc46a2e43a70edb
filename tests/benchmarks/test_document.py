"""The results' way into the docs: sections in their places, marks at missed goals, plots that stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.document import PAGE, rewritten
from benchmarks.plot import log_log
from benchmarks.table import Cell, Section

KEYS = ("peer-cost", "peer-files", "growth-nodes", "growth-weights", "start", "check")


def _section(key: str) -> Section:
    return Section(
        key, "Cost", "Of all.", ("network", "ratio"), [["a|b", Cell("0.30", True)], ["c", Cell("0.40", False)]]
    )


def test_section_is_written_between_its_comments():
    page = "before\n<!-- begin cost -->\nold\n<!-- end cost -->\nafter <!-- begin other --> kept <!-- end other -->\n"
    now = rewritten(page, [_section("cost")], "Here.")
    assert now.startswith("before\n<!-- begin cost -->\n## Cost\n\nOf all.\n\n| network | ratio |\n|---|---|\n")
    assert now.endswith("\n\nHere.\n<!-- end cost -->\nafter <!-- begin other --> kept <!-- end other -->\n")
    assert "old" not in now
    assert rewritten(now, [_section("cost")], "Here.") == now


def test_missed_goal_is_marked():
    text = _section("cost").as_markdown()
    assert "| 0.30 |" in text
    assert "| 0.40 ✗ |" in text


def test_section_is_refused_when_the_page_has_no_place_for_it():
    with pytest.raises(ValueError, match="no place for cost"):
        rewritten("nothing", [_section("cost")], "Here.")


@pytest.mark.parametrize("key", KEYS)
def test_page_has_a_place_for_each_section(key):
    assert rewritten(PAGE.read_text(), [_section(key)], "Here.")


def test_plot_is_the_same_when_its_points_are(tmp_path: Path):
    pytest.importorskip("matplotlib", reason="of the extra `bench`")
    points = [(1e3, 0.5), (1e4, 4.0), (5e4, 21.0)]
    for name in ("a.svg", "b.svg"):
        log_log(tmp_path / name, {"bnfold": points}, x="nodes", y="seconds")
    text = (tmp_path / "a.svg").read_bytes()
    assert text == (tmp_path / "b.svg").read_bytes()
    assert b"linear" in text
    assert b"bnfold" in text
