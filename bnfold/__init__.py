"""TensorFlow training checkpoints to proven ONNX inference models.

`convert` turns a checkpoint into an ONNX file whose outputs equal TensorFlow's, `check` compares any pair, `inspect`
shows what is inside, `explain` works out one batch norm, `calibrate` computes its statistics from data. Importing
this package imports neither TensorFlow nor onnxruntime: the first call does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfold.conversion import Conversion
    from bnfold.diagnosis import Calibrated, calibrate, explain
    from bnfold.errors import (
        BnfoldError,
        ExportError,
        FoldError,
        InferenceError,
        LoadError,
        OutputsDifferError,
        VerificationError,
    )
    from bnfold.explanation import Explanation
    from bnfold.export import register_op
    from bnfold.pipeline import check, convert, inspect
    from bnfold.results import Inspection, Report
    from bnfold.verify import CheckReport

__version__ = "0.1.0"

_HOME = {
    "convert": "bnfold.pipeline",
    "check": "bnfold.pipeline",
    "inspect": "bnfold.pipeline",
    "explain": "bnfold.diagnosis",
    "calibrate": "bnfold.diagnosis",
    "Calibrated": "bnfold.diagnosis",
    "Explanation": "bnfold.explanation",
    "Conversion": "bnfold.conversion",
    "Report": "bnfold.results",
    "Inspection": "bnfold.results",
    "CheckReport": "bnfold.verify",
    "register_op": "bnfold.export",
    "BnfoldError": "bnfold.errors",
    "LoadError": "bnfold.errors",
    "InferenceError": "bnfold.errors",
    "FoldError": "bnfold.errors",
    "ExportError": "bnfold.errors",
    "VerificationError": "bnfold.errors",
    "OutputsDifferError": "bnfold.errors",
}

__all__ = [
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
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bnfold' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
