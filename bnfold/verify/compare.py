"""Figures: how far one array is from another, sample by sample, and what that means under a tolerance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from bnfold.graph import Array
from bnfold.verify.report import Match, OutputCheck, Sample, Tolerance
from bnfold.verify.tolerance import WORST_NOISE

INTEGER_SHARE = 1e-4
"""Share of the elements of an integer output that may differ: an argmax between two floats that are equal but for
rounding may fall either way. None at all where the output has fewer than 10,000 elements."""

QUIET = 1e-3
"""Where most samples give nothing but zeros, the others are judged by at least this share of the largest output."""


def is_inexact(array: Array) -> bool:
    return array.dtype.kind in "fcV" or array.dtype.name == "bfloat16"


def distances(expected: Array, found: Array, parts: int) -> list[float]:
    """``max|found − expected|`` for each of ``parts`` equal slices along the first axis.

    Equal infinities are no distance, others and NaN an infinite one. For values that are not floats the number
    of elements that differ.
    """
    if not is_inexact(expected):
        differ: Array = np.asarray(expected != found)
        counts: list[float] = np.count_nonzero(_rows(differ, parts), axis=1).tolist()
        return counts
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = expected.astype(wide), found.astype(wide)
    with np.errstate(invalid="ignore"):
        gap = np.where(a == b, 0.0, np.abs(a - b))
    gap[np.isnan(gap)] = np.inf
    largest: list[float] = _rows(gap, parts).max(axis=1, initial=0.0).tolist()
    return largest


def scales(expected: Array, parts: int) -> list[float]:
    """The largest finite magnitude in each slice; for values that are not floats the number of elements."""
    rows = _rows(expected, parts)
    if not is_inexact(expected):
        return [float(rows.shape[1])] * parts
    size = np.abs(rows.astype(np.complex128 if expected.dtype.kind == "c" else np.float64))
    size[~np.isfinite(size)] = 0.0
    largest: list[float] = size.max(axis=1, initial=0.0).tolist()
    return largest


def has_nan(array: Array, parts: int) -> list[bool]:
    """Which slices hold a NaN."""
    if not is_inexact(array):
        return [False] * parts
    counts = np.count_nonzero(np.isnan(_rows(array, parts).astype(np.complex128)), axis=1)
    return [count > 0 for count in counts.tolist()]


def parts_of(array: Array, samples: int) -> int:
    """How many samples ``array`` can be told apart into: its first axis where that is the batch, else 1."""
    return samples if array.ndim and array.shape[0] == samples else 1


def _rows(array: Array, parts: int) -> Array:
    return array.reshape(parts, -1)


@dataclass
class OutputFigures:
    """The samples of one output, as they come in."""

    match: Match
    kernel_error: float = 0.0
    dtype: str = ""
    exact_values: bool = False
    shapes: dict[tuple[int, ...], None] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add(
        self,
        labels: Sequence[str],
        expected: Array,
        found: Mapping[str, Array],
        truth: Array | None,
        leave_out: Sequence[bool],
        shaken: Array | None = None,
    ) -> None:
        """Record one batch: ``found`` by mode, in the layout of ``expected``.

        ``shaken`` is the truth for inputs that are one rounding off: TensorFlow's own error is taken to be as large
        at least, unless that is beyond what proves anything.
        """
        parts = parts_of(expected, len(labels))
        self.dtype, self.exact_values = str(expected.dtype), not is_inexact(expected)
        self.shapes[tuple(expected.shape)] = None
        size = scales(expected, parts)
        gaps = {mode: distances(expected, array, parts) for mode, array in found.items()}
        errors: dict[str, list[float]] = {}
        noise: list[float] | None = None
        if truth is not None and not self.exact_values:
            # Where float32 overflows, the overflow is what is compared, not the float64 value it hides.
            truth = np.where(np.isfinite(expected), truth, expected)
            errors = {mode: distances(truth, array, parts) for mode, array in found.items()}
            noise = distances(truth, expected, parts)
            if shaken is not None:
                moved = distances(truth, np.where(np.isfinite(expected), shaken, expected), parts)
                noise = [
                    own if proves_nothing(by, scale) else max(own, by)
                    for own, by, scale in zip(noise, moved, size, strict=True)
                ]
        for i in range(parts):
            if parts == len(labels) and leave_out[i]:
                continue
            label = labels[i] if parts == len(labels) else f"{labels[0]} to {labels[-1]}"
            self.samples.append(
                Sample(
                    label,
                    size[i],
                    {mode: gap[i] for mode, gap in gaps.items()},
                    {mode: error[i] for mode, error in errors.items()},
                    None if noise is None else noise[i],
                    self.kernel_error,
                )
            )

    def exceeds(self, labels: int, tolerance: Tolerance) -> bool:
        """Whether one of the last ``labels`` samples is farther off than rounding by its size explains."""
        return any(_quick(s, mode, tolerance) is False for s in self.samples[-labels:] for mode in s.difference)

    def worst_of_last(self, labels: int) -> float:
        """The largest relative error of the last ``labels`` samples."""
        return max((_worst_relative(sample) for sample in self.samples[-labels:]), default=0.0)

    def forget(self, labels: int) -> None:
        """Drop the last ``labels`` samples, to record them anew with the truth at hand."""
        del self.samples[len(self.samples) - labels :]

    def check(self, tolerance: Tolerance) -> OutputCheck:
        """The verdict over all samples."""
        samples = self._with_scales()
        modes = list(samples[0].difference) if samples else []
        worst = max(samples, key=_worst_relative, default=None)
        noise = max((s.tensorflow_error / s.scale for s in samples if s.tensorflow_error and s.scale), default=0.0)
        faults = {m: _faults(samples, m, tolerance, noise, self.exact_values) for m in modes}
        onnx_noise = [e / s.scale for s in samples if s.scale for e in s.onnx_error.values()]
        return OutputCheck(
            name=self.match.name,
            onnx_name=self.match.onnx_name,
            dtype=self.dtype,
            shapes=tuple(self.shapes),
            max_error={mode: max(s.difference[mode] for s in samples) for mode in modes},
            relative_error={mode: max(_relative(s, mode) for s in samples) for mode in modes},
            onnx_noise=max(onnx_noise, default=None),
            tensorflow_noise=noise if onnx_noise else None,
            samples=len(samples),
            worst=worst.label if worst else "",
            equal=bool(samples) and not any(faults.values()),
            reason=self._reason(samples, faults, tolerance),
        )

    def modes_at_fault(self, tolerance: Tolerance) -> list[str]:
        """The modes in which some sample is not equal."""
        samples = self._with_scales()
        noise = max((s.tensorflow_error / s.scale for s in samples if s.tensorflow_error and s.scale), default=0.0)
        modes = samples[0].difference if samples else {}
        return [mode for mode in modes if _faults(samples, mode, tolerance, noise, self.exact_values)]

    def _with_scales(self) -> list[Sample]:
        """The samples, quiet ones judged by what the output usually is: there its terms cancel, not its errors."""
        scales = [s.scale for s in self.samples]
        usual = max(median(scales), QUIET * max(scales)) if scales else 0.0
        return [replace(s, scale=max(s.scale, usual)) for s in self.samples]

    def _reason(self, samples: Sequence[Sample], faults: Mapping[str, list[Sample]], tolerance: Tolerance) -> str:
        for mode, bad in faults.items():
            if bad:
                first = max(bad, key=lambda s: _relative(s, mode))
                return (
                    f"{len(bad)} of {len(samples)} samples differ with optimisations {mode}; on {first.label} by "
                    + (f"{first.difference[mode]:.0f} of {first.scale:.0f} elements" if self.exact_values
                       else f"{first.difference[mode]:.3g} where the largest value is {first.scale:.3g}")
                )  # fmt: skip
        if not samples:
            return "no sample was compared"
        if self.exact_values:
            return "the same values"
        if all(_quick(s, mode, tolerance) for s in samples for mode in s.difference) and not tolerance.exact:
            return "within the tolerance"
        return f"within {tolerance.factor:g} times TensorFlow's own rounding"


def _relative(sample: Sample, mode: str) -> float:
    gap = sample.difference[mode]
    if gap == 0.0:
        return 0.0
    return gap / sample.scale if sample.scale else float("inf")


def _worst_relative(sample: Sample) -> float:
    return max((_relative(sample, mode) for mode in sample.difference), default=0.0)


def _quick(sample: Sample, mode: str, tolerance: Tolerance) -> bool:
    return sample.difference[mode] <= tolerance.rtol * sample.scale + tolerance.atol + sample.kernel_error


def proves_nothing(error: float, scale: float) -> bool:
    """Whether a result of magnitude ``scale`` that rounding moves by ``error`` says nothing of another."""
    return error > WORST_NOISE * scale


def chaotic(truth: Array, shaken: Array, samples: int) -> list[int]:
    """The samples on which one rounding of the inputs moves the true output so far that it proves nothing.

    A norm over one image does so on an image of one colour: it divides by a variance that is rounding alone.
    """
    if parts_of(truth, samples) != samples or not is_inexact(truth):
        return []
    moved, size = distances(truth, shaken, samples), scales(truth, samples)
    return [index for index in range(samples) if proves_nothing(moved[index], size[index])]


def _by_float64(sample: Sample, mode: str, tolerance: Tolerance, noise: float) -> bool:
    if sample.tensorflow_error is None or tolerance.factor is None or mode not in sample.onnx_error:
        return False
    own = max(sample.tensorflow_error, noise * sample.scale)
    if proves_nothing(own, sample.scale):
        return False
    allowed = tolerance.factor * own + tolerance.floor * sample.scale + sample.kernel_error
    return sample.onnx_error[mode] <= allowed


def _faults(
    samples: Sequence[Sample], mode: str, tolerance: Tolerance, noise: float, exact_values: bool
) -> list[Sample]:
    if exact_values:
        return [s for s in samples if s.difference[mode] > int(INTEGER_SHARE * s.scale)]
    if tolerance.exact:
        return [s for s in samples if not _by_float64(s, mode, tolerance, noise)]
    return [s for s in samples if not (_quick(s, mode, tolerance) or _by_float64(s, mode, tolerance, noise))]
