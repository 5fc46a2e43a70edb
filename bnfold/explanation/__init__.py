"""One batch norm's arithmetic with its real numbers: what inference computes, and what training computed."""

from bnfold.explanation.arithmetic import Channel, Slip, batch_moments, moved, slips
from bnfold.explanation.explain import explain
from bnfold.explanation.result import BatchMoments, Explanation, Row

__all__ = ["BatchMoments", "Channel", "Explanation", "Row", "Slip", "batch_moments", "explain", "moved", "slips"]
