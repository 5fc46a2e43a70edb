"""Moving statistics computed from data, for batch norms whose statistics were never updated or never kept."""

from bnfold.calibration.moments import Moments
from bnfold.calibration.statistics import Calibration, Statistics, calibrate_statistics, needs_calibration
from bnfold.calibration.variables import with_statistics
from bnfold.calibration.write import write_checkpoint

__all__ = [
    "Calibration",
    "Moments",
    "Statistics",
    "calibrate_statistics",
    "needs_calibration",
    "with_statistics",
    "write_checkpoint",
]
