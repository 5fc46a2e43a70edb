"""One conversion for the whole folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import bnfold
from bnfold.conversion import Conversion

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"


@pytest.fixture(scope="session")
def conversion() -> Conversion:
    """The segmenter, compared layer by layer."""
    return bnfold.convert(SAMPLES / "separable_segmenter", samples=2, layers=True)
