"""Lets the tests of the inference stage import what they share by name, and find the fixtures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"


@pytest.fixture(scope="session")
def fixture() -> Callable[[str], tuple[Path, dict[str, np.ndarray]]]:
    """A fixture made by TensorFlow 1.15, by name: its folder, and the truth (see fixtures/README.md)."""

    def find(name: str, truth: str = "expected.npz") -> tuple[Path, dict[str, np.ndarray]]:
        folder = FIXTURES / name
        with np.load(folder / truth) as stored:
            return folder, dict(stored)

    return find
