"""The last stage: prove that the ONNX file is the function that TensorFlow computes, or show where it is not."""

from bnfold.verify.check import verify
from bnfold.verify.report import BatchShapes, CheckReport, Match, OutputCheck, Tolerance
from bnfold.verify.runtime import OnnxModel

__all__ = ["BatchShapes", "CheckReport", "Match", "OnnxModel", "OutputCheck", "Tolerance", "verify"]
