"""What a comparison found: frozen values, figures per output and per sample, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bnfold.verify.trace import LayerTrace, json_number

Mode = str
"""``off`` or ``on``: onnxruntime's graph optimisations."""


@dataclass(frozen=True)
class Tolerance:
    """How far an output may be from TensorFlow's.

    For each sample, ``scale`` is the largest magnitude that TensorFlow's output has there, or the median of that over
    all samples where it is less. The output is equal when ``max|onnx − tf| ≤ rtol · scale + atol``.

    Attributes
    ----------
    rtol, atol : float
    factor : float or None
        Where an output is farther off, or always under ``exact``, the graph computed in float64 decides:
        ``max|onnx − float64| ≤ factor · max|tf − float64| + floor · scale``. None when the caller gave ``rtol``
        or ``atol``: then nothing else counts.
    floor : float
        Error always allowed against the float64 result, relative to the scale: a few roundings of the type.
    exact : bool
        The float64 rule alone counts.
    reason : str
        Where ``rtol`` comes from.
    """

    rtol: float
    atol: float
    factor: float | None
    floor: float
    exact: bool
    reason: str

    @property
    def formula(self) -> str:
        """The rule, with its numbers."""
        quick = f"max|onnx − tf| ≤ {self.rtol:.1e}·max|tf|" + (f" + {self.atol:.1e}" if self.atol else "")
        if self.factor is None:
            return quick
        allowed = "max|tf − float64|" if self.exact else "max(|tf − float64|, |shaken − float64|)"
        exact = f"max|onnx − float64| ≤ {self.factor:g}·{allowed} + {self.floor:.1e}·max|tf|"
        return exact if self.exact else f"{quick}, else {exact}"

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "formula": self.formula}


@dataclass(frozen=True)
class Match:
    """Which tensor of the file stands for which tensor of the reference.

    Attributes
    ----------
    name : str
        The tensor's name in the source.
    onnx_name : str
    how : str
        ``same name``, ``name without :0``, ``the only input`` …
    permutation : tuple of int or None
        Axes of the reference in the order in which the file has them, where the layouts differ.
    """

    name: str
    onnx_name: str
    how: str
    permutation: tuple[int, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        permutation = None if self.permutation is None else list(self.permutation)
        return {"name": self.name, "onnx_name": self.onnx_name, "how": self.how, "permutation": permutation}


@dataclass(frozen=True)
class Sample:
    """One sample of one output.

    Attributes
    ----------
    label : str
        ``random 0``, ``zeros`` …
    scale : float
        Largest finite magnitude of TensorFlow's output.
    difference : mapping of str to float
        ``max|onnx − tf|`` by mode.
    onnx_error : mapping of str to float
        ``max|onnx − float64|`` by mode; empty where the float64 graph was not run.
    tensorflow_error : float or None
        ``max|tf − float64|``.
    kernel_error : float
        What onnxruntime's last op may be off by itself: see `bnfold.verify.tolerance.KERNEL_ERRORS`.
    """

    label: str
    scale: float
    difference: Mapping[Mode, float]
    onnx_error: Mapping[Mode, float] = field(default_factory=dict)
    tensorflow_error: float | None = None
    kernel_error: float = 0.0


@dataclass(frozen=True)
class OutputCheck:
    """The figures of one output.

    Attributes
    ----------
    name, onnx_name : str
    dtype : str
    shapes : tuple of tuple of int
        The shapes it had, in the order of the batches, each once.
    max_error : mapping of str to float
        Largest ``|onnx − tf|`` over all samples, by mode.
    relative_error : mapping of str to float
        Largest ``max|onnx − tf| / max|tf|`` over all samples, by mode.
    onnx_noise, tensorflow_noise : float or None
        Largest error against float64 relative to the sample's scale; None where float64 was not run.
    samples : int
    worst : str
        The sample with the largest relative error.
    equal : bool
    reason : str
        Why not, or what decided.
    """

    name: str
    onnx_name: str
    dtype: str
    shapes: tuple[tuple[int, ...], ...]
    max_error: Mapping[Mode, float]
    relative_error: Mapping[Mode, float]
    onnx_noise: float | None
    tensorflow_noise: float | None
    samples: int
    worst: str
    equal: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        values = {
            **vars(self),
            "shapes": [list(shape) for shape in self.shapes],
            "max_error": {mode: json_number(error) for mode, error in self.max_error.items()},
            "relative_error": {mode: json_number(error) for mode, error in self.relative_error.items()},
        }
        return {key: json_number(value) if isinstance(value, float) else value for key, value in values.items()}


@dataclass(frozen=True)
class BatchShapes:
    """One run of the network: how many samples, of what, in which shapes.

    Attributes
    ----------
    label : str
    samples : int
    shapes : mapping of str to tuple of int
        By input name.
    """

    label: str
    samples: int
    shapes: Mapping[str, tuple[int, ...]]

    def as_json(self) -> dict[str, Any]:
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        return {"label": self.label, "samples": self.samples, "shapes": shapes}


@dataclass(frozen=True)
class CheckReport:
    """What `verify` returns.

    Attributes
    ----------
    equal : bool
        Every output equals TensorFlow's on every sample, with onnxruntime's optimisations off and on, and there
        are no ``problems``.
    outputs : tuple of OutputCheck
    problems : tuple of str
        What makes the comparison fail whatever the figures: a missing output, a changed dtype, a NaN.
    notes : tuple of str
        What was decided on the way: ranges, layouts, samples left out.
    tolerance : Tolerance
    batches : tuple of BatchShapes
    samples, seed : int
        ``samples`` counts those really compared.
    data : str
        Where the samples come from: ``random`` or the file's name.
    inputs, matches : tuple of Match
        Inputs and outputs of the file beside the reference's.
    suspect : str
        Who is at fault when the figures say so: ``onnxruntime's optimiser`` …; empty otherwise.
    versions : mapping of str to str
    layers : LayerTrace or None
        Where asked for.
    outdated : tuple of str
        What the certificate in the file says that is not so of the source it was compared with, or of the file now.
    """

    equal: bool
    outputs: tuple[OutputCheck, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    tolerance: Tolerance
    batches: tuple[BatchShapes, ...]
    samples: int
    seed: int
    data: str
    inputs: tuple[Match, ...]
    matches: tuple[Match, ...]
    suspect: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    layers: LayerTrace | None = None
    outdated: tuple[str, ...] = ()

    @property
    def max_error(self) -> float:
        """Largest ``|onnx − tf|`` over outputs, samples and modes; infinite when nothing was compared."""
        errors = [error for output in self.outputs for error in output.max_error.values()]
        return max(errors, default=math.inf)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the outputs are not equal; empty when they are."""
        return self.problems + tuple(f"{out.name}: {out.reason}" for out in self.outputs if not out.equal)

    def as_json(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            "max_error": json_number(self.max_error),
            "outputs": [output.as_json() for output in self.outputs],
            "problems": list(self.problems),
            "notes": list(self.notes),
            "suspect": self.suspect,
            "outdated": list(self.outdated),
            "tolerance": self.tolerance.as_json(),
            "samples": self.samples,
            "seed": self.seed,
            "data": self.data,
            "batches": [batch.as_json() for batch in self.batches],
            "inputs": [match.as_json() for match in self.inputs],
            "matches": [match.as_json() for match in self.matches],
            "versions": dict(self.versions),
            "layers": None if self.layers is None else self.layers.as_json(),
        }
