"""The errors through a network, tensor by tensor: frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


def json_number(value: float | None) -> float | str | None:
    """``value`` as JSON can hold it: infinities and NaN as words."""
    return value if value is None or math.isfinite(value) else str(value)


@dataclass(frozen=True)
class LayerFigure:
    """One tensor that both sides have. Errors are ``max|a − b| / max|tf|``.

    Attributes
    ----------
    name, onnx_name : str
    op : str
        TensorFlow's op that computes it.
    scale : float
        ``max|tf|``.
    difference : float
        ``max|onnx − tf|``.
    relative : float
        The same relative to the scale.
    onnx_error, tensorflow_error : float or None
        Errors against float64; None where float64 was not run.
    allowed : float
        What the error of a usual channel may be, relative to its scale (without float64: what ``relative`` may be).
    excess : float
        The largest error of a channel in units of what is allowed there.
    channel : int or None
        Which channel.
    diverges : bool
    rewritten : bool
        It differs, and what follows agrees: a fold or the exporter computes something else under this name.
    note : str
    """

    name: str
    onnx_name: str
    op: str
    scale: float
    difference: float
    relative: float
    onnx_error: float | None
    tensorflow_error: float | None
    allowed: float = 0.0
    excess: float = 0.0
    channel: int | None = None
    diverges: bool = False
    rewritten: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {key: json_number(value) if isinstance(value, float) else value for key, value in vars(self).items()}


@dataclass(frozen=True)
class LayerTrace:
    """The errors through the network, and where they stop being rounding.

    Attributes
    ----------
    layers : tuple of LayerFigure
        In topological order.
    first : str or None
        The first tensor that diverges.
    last_good : str or None
        The nearest tensor before it that agrees.
    between : tuple of str
        TensorFlow's ops between the two, in order: one of them is not what the file computes.
    file_nodes : tuple of str
        The file's ops between the two, the last one first.
    batch_norms : tuple of str
        Batch norms among ``between``.
    """

    layers: tuple[LayerFigure, ...]
    first: str | None
    last_good: str | None
    between: tuple[str, ...]
    file_nodes: tuple[str, ...]
    batch_norms: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "layers": [layer.as_json() for layer in self.layers],
            "first": self.first,
            "last_good": self.last_good,
            "between": list(self.between),
            "file_nodes": list(self.file_nodes),
            "batch_norms": list(self.batch_norms),
        }
