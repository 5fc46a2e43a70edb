"""The last stage: prove that the ONNX file is the function that TensorFlow computes, or show where it is not."""

from bnfold.verify.bisection import FaultyFolds, find_faulty_folds
from bnfold.verify.certificate import certificate, mismatches, model_fingerprint
from bnfold.verify.check import verify
from bnfold.verify.report import BatchShapes, CheckReport, Match, OutputCheck, Tolerance
from bnfold.verify.runtime import OnnxModel
from bnfold.verify.trace import LayerFigure, LayerTrace

__all__ = [
    "BatchShapes",
    "CheckReport",
    "FaultyFolds",
    "LayerFigure",
    "LayerTrace",
    "Match",
    "OnnxModel",
    "OutputCheck",
    "Tolerance",
    "certificate",
    "find_faulty_folds",
    "mismatches",
    "model_fingerprint",
    "verify",
]
