"""The first stage: what the user names → a `SourceModel`, its variables still on disk."""

from bnfold.load.source import load

__all__ = ["load"]
