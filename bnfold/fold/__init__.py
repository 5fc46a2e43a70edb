"""The third stage: batch norms, and every other constant affine map, moved into the weights around them."""

from bnfold.fold.engine import fold_batch_norms

__all__ = ["fold_batch_norms"]
