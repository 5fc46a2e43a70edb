"""The second stage: a `SourceModel` → an `InferenceGraph`."""

from bnfold.inference.infer import infer

__all__ = ["infer"]
