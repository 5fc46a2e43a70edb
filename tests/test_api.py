"""The public API is a list, and importing it is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bnfold

PUBLIC = {
    "BnfoldError",
    "Calibrated",
    "CheckReport",
    "Conversion",
    "Explanation",
    "ExportError",
    "FoldError",
    "InferenceError",
    "Inspection",
    "LoadError",
    "OutputsDifferError",
    "Report",
    "VerificationError",
    "calibrate",
    "check",
    "convert",
    "explain",
    "inspect",
    "register_op",
}


def test_public_names_are_these_and_no_others() -> None:
    assert set(bnfold.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_name_is_importable_and_documented(name: str) -> None:
    assert getattr(bnfold, name).__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'konvert'"):
        _ = bnfold.konvert


@pytest.mark.parametrize(
    "module", ["bnfold", "bnfold.cli", "bnfold.pipeline", "bnfold.diagnosis", "bnfold.load", "bnfold.inference"]
)
def test_import_brings_no_heavy_package(module: str) -> None:
    code = (
        f"import sys, {module}; print([m for m in ('tensorflow', 'onnxruntime', 'onnx', 'keras') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_import_of_the_cli_brings_not_even_numpy() -> None:
    code = "import sys, bnfold.cli; print('numpy' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
