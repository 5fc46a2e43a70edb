"""The report page: complete, self-contained, and readable in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import bnfold
from bnfold.conversion import Conversion
from bnfold.graph.stages import Kept
from bnfold.latency import Latency
from bnfold.report.html import html_page, inspection_page

LATENCY = Latency(4.2, 2.1, 26, 21, {"input/image:0": [1, 16, 24, 3]})
SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"
VOID = {"meta", "br", "rect", "line", "circle", "polyline"}


class Outline(HTMLParser):
    """The page's headings and texts; fails on a tag that is closed out of order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def test_page_has_every_section(conversion: Conversion) -> None:
    outline = Outline(html_page(conversion, LATENCY))
    assert outline.open == []
    assert outline.headings == [
        "Stages",
        "Notes",
        "Comparison: max |onnx − tf| / max |tf|",
        "Error against float64, layer by layer",
        "Batch norms",
        "Before and after",
        "Moving statistics",
        "Certificate",
    ]
    for words in ("equal to TensorFlow", "input/conv1/conv1_1/BatchNorm", "4.20 ms", "model_sha256", "tiny-variance"):
        assert words in outline.text


def test_page_asks_the_network_for_nothing(conversion: Conversion) -> None:
    page = html_page(conversion, LATENCY)
    outline = Outline(page)
    assert not [name for name, _ in outline.attributes if name in ("src", "href", "srcset", "action")]
    assert not re.search(r"url\(|@import|https?://", page)
    assert "<script" not in page


def test_page_shows_markup_in_names_as_text(conversion: Conversion) -> None:
    report = replace(conversion.report, fates=(Kept("<img src=x>", "a & b <b>"), *conversion.report.fates[1:]))
    outline = Outline(html_page(replace(conversion, report=report)))
    assert "<img src=x>" in outline.text
    assert "a & b <b>" in outline.text


def test_page_says_so_when_nothing_was_compared(conversion: Conversion) -> None:
    page = html_page(replace(conversion, report=replace(conversion.report, check=None), certificate=None))
    outline = Outline(page)
    assert "not compared" in outline.text
    assert "Certificate" not in outline.headings


def test_first_divergent_layer_is_marked(conversion: Conversion) -> None:
    check = conversion.report.check
    assert check is not None
    assert check.layers is not None
    trace = replace(check.layers, first=check.layers.layers[3].name, last_good="before", between=("conv (Conv2D)",))
    page = html_page(replace(conversion, report=replace(conversion.report, check=replace(check, layers=trace))))
    assert page.count('<line class="wrong"') == 1
    assert "First to diverge" in page


def test_inspection_page_shows_the_unhealthy_first() -> None:
    inspection = bnfold.inspect(SAMPLES / "decay" / "one")
    page = inspection_page(inspection)
    outline = Outline(page)
    assert outline.open == []
    assert outline.headings[0] == "Inputs and outputs"
    assert page.count('class="card unhealthy"') == 1
    for words in ("never-updated", "bnfold calibrate", "conv/Conv2D", "labels:0"):
        assert words in outline.text


def test_page_is_drawn_by_a_browser(conversion: Conversion, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(html_page(conversion, LATENCY), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,2200"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000"]
    drawn = [browser, *options, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(drawn, check=True, capture_output=True, timeout=120)
    dumped = subprocess.run(
        [browser, *options, "--dump-dom", page.as_uri()], check=True, capture_output=True, timeout=120
    )
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 50_000  # an empty page is some 10 kB
    assert dumped.stdout.decode().count("<section>") == 8
