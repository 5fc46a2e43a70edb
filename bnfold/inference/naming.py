"""What to call a layer."""

from __future__ import annotations

import re
from collections.abc import Container

INNER = re.compile(
    r"(batchnorm|moments|weighted_moments|normalize|sufficient_statistics|cond|then|else|_\d+|AssignMovingAvg"
    r"|assign_moving_avg|ExponentialMovingAverage|read|ReadVariableOp)(_\d+)?"
)
"""Scopes that TensorFlow opens inside a layer; no user names a layer so."""


def layer_name(node: str) -> str:
    """The scope that ``node`` stands in, without TensorFlow's inner scopes; the node's own name at top level."""
    *scopes, _ = node.split("/")
    while scopes and INNER.fullmatch(scopes[-1]):
        scopes.pop()
    return "/".join(scopes) or node


def unused_name(taken: Container[str], stem: str) -> str:
    """``stem``, or ``stem_1``, ``stem_2``, … if it is taken: two norms may stand in one scope."""
    name, number = stem, 0
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name
