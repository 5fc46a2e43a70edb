"""Rewrites of the TensorFlow graph before it is lowered: patterns that ONNX has one node for.

Each module holds functions entered with `rewrites`; they edit the export stage's own copy of the graph, types
included, and leave the tensors named in ``kept`` (the model's outputs) in place.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from bnfold.graph import Graph

Rewrite = Callable[[Graph, Set[str]], None]

_REWRITES: list[tuple[int, str, Rewrite]] = []


def rewrites(*, order: int = 0) -> Callable[[Rewrite], Rewrite]:
    """Enter the decorated function; those with a lower ``order`` run first."""

    def enter(function: Rewrite) -> Rewrite:
        _REWRITES.append((order, function.__name__, function))
        return function

    return enter


@cache
def all_rewrites() -> tuple[Rewrite, ...]:
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return tuple(function for _, _, function in sorted(_REWRITES, key=lambda entry: entry[:2]))
