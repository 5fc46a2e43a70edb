"""One batch norm's arithmetic with its real numbers: what inference computes, and what training computed."""

from bnfold.explain.arithmetic import Channel, Slip, batch_moments, moved, slips
from bnfold.explain.explain import explain
from bnfold.explain.explanation import BatchMoments, Explanation, Row

__all__ = ["BatchMoments", "Channel", "Explanation", "Row", "Slip", "batch_moments", "explain", "moved", "slips"]
