"""Moving statistics computed from data, for batch norms whose statistics were never updated or never kept."""

from bnfold.calibrate.moments import Moments
from bnfold.calibrate.statistics import Calibration, Statistics, calibrate_statistics, needs_calibration
from bnfold.calibrate.variables import with_statistics
from bnfold.calibrate.write import write_checkpoint

__all__ = [
    "Calibration",
    "Moments",
    "Statistics",
    "calibrate_statistics",
    "needs_calibration",
    "with_statistics",
    "write_checkpoint",
]
