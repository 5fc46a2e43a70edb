"""One comparison under way: both sides, the figures so far, and what went wrong."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from bnfold.errors import VerificationError
from bnfold.graph import Array, Shape
from bnfold.graph.stages import Endpoint, Fate, InferenceGraph
from bnfold.samples import Batch, Data, choose_samples
from bnfold.verify.candidate import Candidate
from bnfold.verify.compare import OutputFigures, chaotic, has_nan, parts_of
from bnfold.verify.layers import trace
from bnfold.verify.matching import permutation
from bnfold.verify.report import BatchShapes, CheckReport, Match, OutputCheck, Tolerance
from bnfold.verify.runtime import OnnxModel
from bnfold.verify.sides import Sides
from bnfold.verify.tolerance import kernel_error
from bnfold.verify.trace import LayerTrace

Progress = Callable[[int], None]
"""Called after each run with the number of samples compared so far."""


AT_ONCE = 2**26
"""Bytes of samples that a large file's sessions are each given in a row: opening them takes long."""


@dataclass(frozen=True, eq=False)
class _Run:
    """A batch that TensorFlow has run.

    Attributes
    ----------
    batch : Batch
    expected : mapping of str to ndarray
        TensorFlow's outputs.
    left_out : sequence of bool
        For each sample, whether TensorFlow gives NaN where nobody feeds such values.
    """

    batch: Batch
    expected: Mapping[str, Array]
    left_out: Sequence[bool]


class Comparison:
    """The state of one `verify`.

    Parameters
    ----------
    inference : InferenceGraph
        The reference.
    file : Candidate
    inputs, outputs : mapping of str to Match
        By the reference's names.
    limit : Tolerance
    half, transposed : bool
        See `verify`.
    """

    def __init__(
        self,
        inference: InferenceGraph,
        file: Candidate,
        inputs: Mapping[str, Match],
        outputs: Mapping[str, Match],
        limit: Tolerance,
        *,
        half: bool,
        transposed: bool,
    ) -> None:
        self.inference, self.file, self.limit = inference, file, limit
        self.half, self.transposed = half, transposed
        self.inputs, self.outputs = inputs, outputs
        tensors = {endpoint.name: endpoint.tensor for endpoint in inference.outputs}
        self.figures = {
            name: OutputFigures(found, 0.0 if limit.factor is None else kernel_error(inference.graph, tensors[name]))
            for name, found in outputs.items()
        }
        self.problems: dict[str, None] = {}
        self.notes: dict[str, None] = {}
        self.batches: list[BatchShapes] = []
        self.compared = 0
        self._sides = Sides(inference, file, exact=limit.exact, notes=self.notes)
        self._worst: dict[bool, tuple[float, Batch]] = {}  # by whether they are edges

    # Running

    def run(self, samples: int, seed: int, data: Data | None, progress: Progress | None) -> None:
        if isinstance(self.file, OnnxModel) and self.file.quantises:
            self.notes["onnxruntime's integer kernels for quantised parts are off (session.disable_quant_qdq)"] = None
        self._sides.open()
        for batches in self._together(self._batches(samples, seed, data)):
            self._compare(batches, progress)

    def _together(self, batches: Iterable[Batch]) -> Iterator[list[Batch]]:
        """One at a time; of a large file as many as each of its sessions can run in its turn."""
        chunk: list[Batch] = []
        size = 0
        for batch in batches:
            chunk.append(batch)
            size += sum(array.nbytes for array in batch.feeds.values())
            if not self.file.is_large or size > AT_ONCE:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _batches(self, samples: int, seed: int, data: Data | None) -> Iterable[Batch]:
        shapes = {endpoint.tensor: self._shape(endpoint) for endpoint in self.inference.inputs}
        chosen = choose_samples(
            self.inference, self._sides.tensorflow, shapes=shapes, samples=samples, seed=seed, data=data
        )
        self.notes |= dict.fromkeys(chosen.notes)
        return chosen.batches

    def _shape(self, endpoint: Endpoint) -> Shape:
        """The static shape of an input, sizes that only the file fixes included."""
        found = self.inputs[endpoint.name]
        declared = next(value.shape for value in self.file.inputs if value.name == found.onnx_name)
        if declared is not None and found.permutation is not None:
            declared = tuple(declared[found.permutation.index(axis)] for axis in range(len(declared)))
        if endpoint.shape is None and declared is None:
            raise VerificationError(
                f"input {endpoint.name} has no known rank", hint="give its shape (--input NAME=SHAPE)"
            )
        if endpoint.shape is None or declared is None or len(declared) != len(endpoint.shape):
            return endpoint.shape if endpoint.shape is not None else declared or ()
        return tuple(theirs if ours is None else ours for ours, theirs in zip(endpoint.shape, declared, strict=True))

    def _compare(self, batches: Sequence[Batch], progress: Progress | None) -> None:
        """All batches on one side, then on the other in each mode."""
        runs: list[_Run] = []
        for batch in batches:
            expected = dict(
                zip((e.name for e in self.inference.outputs), self._sides.tensorflow(batch.feeds), strict=True)
            )
            left_out = self._nan_samples(batch, expected)
            if not all(left_out):
                runs.append(_Run(batch, expected, left_out))
        for run, found in zip(runs, self._onnxruntime(runs), strict=True):
            if found is not None:
                self._judge(run, found)
            if progress is not None:
                progress(self.compared)

    def _judge(self, run: _Run, found: Mapping[str, Mapping[str, Array]]) -> None:
        batch, expected, left_out = run.batch, run.expected, run.left_out
        truth = self._sides.truth(batch.feeds) if self.limit.exact else None
        for name in self.outputs:
            self._record(name, batch, expected[name], found[name], truth, left_out)
        if truth is None and self.limit.factor is not None:
            self._arbitrate(batch, expected, found, left_out)
        error = max((figures.worst_of_last(len(batch.labels)) for figures in self.figures.values()), default=0.0)
        if batch.edge not in self._worst or error > self._worst[batch.edge][0]:
            self._worst[batch.edge] = (error, batch)
        self.compared += len(batch.labels) - sum(left_out)
        shapes = {e.name: tuple(batch.feeds[e.tensor].shape) for e in self.inference.inputs}
        self.batches.append(BatchShapes(batch.label, len(batch.labels), shapes))

    def _record(
        self,
        name: str,
        batch: Batch,
        expected: Array,
        found: Mapping[str, Array],
        truth: Mapping[str, Array] | None,
        left_out: Sequence[bool],
        shaken: Mapping[str, Array] | None = None,
    ) -> None:
        if found:
            exact, moved = (None if values is None else values[name] for values in (truth, shaken))
            self.figures[name].add(batch.labels, expected, found, exact, left_out, moved)

    def _arbitrate(
        self,
        batch: Batch,
        expected: Mapping[str, Array],
        found: Mapping[str, Mapping[str, Array]],
        left_out: Sequence[bool],
    ) -> None:
        """Ask the float64 graph about the outputs that are farther off than the quick bound."""
        recorded = {
            name: parts - sum(left_out) if (parts := parts_of(expected[name], len(batch.labels))) > 1 else 1
            for name in self.outputs
            if found[name]
        }
        doubtful = [name for name, count in recorded.items() if self.figures[name].exceeds(count, self.limit)]
        if not doubtful or (truth := self._sides.truth(batch.feeds)) is None:
            return
        shaken = self._sides.shaken(batch.feeds)
        for name in doubtful:
            self.figures[name].forget(recorded[name])
            without = list(left_out)
            for index in chaotic(truth[name], shaken[name], len(batch.labels)) if batch.edge else ():
                without[index] = True
                label = batch.labels[index]
                self.notes[f"edge sample {label} left out: one rounding of the inputs decides what it gives"] = None
            self._record(name, batch, expected[name], found[name], truth, without, shaken)

    def _nan_samples(self, batch: Batch, expected: Mapping[str, Array]) -> list[bool]:
        """Edge samples on which TensorFlow itself gives NaN; among other samples a NaN is a problem."""
        bad = [False] * len(batch.labels)
        for name, value in expected.items():
            parts = parts_of(value, len(batch.labels))
            rows = has_nan(value, parts)
            bad = [a or b for a, b in zip(bad, rows if parts == len(bad) else [any(rows)] * len(bad), strict=True)]
            if any(rows) and not batch.edge:
                self.problems[f"{name}: TensorFlow itself gives NaN on {batch.label} samples"] = None
        if not batch.edge:
            return [False] * len(bad)
        for label, is_bad in zip(batch.labels, bad, strict=True):
            if is_bad:
                self.notes[f"edge sample {label} left out: TensorFlow itself gives NaN"] = None
        return bad

    def _onnxruntime(self, runs: Sequence[_Run]) -> list[dict[str, dict[str, Array]] | None]:
        """The file's outputs of each run by name and mode, in the reference's layout; None when it does not run."""
        results: list[dict[str, dict[str, Array]] | None] = [{name: {} for name in self.outputs} for _ in runs]
        for mode in self.file.modes if runs else ():
            for index, run in enumerate(runs):
                by_name = results[index]
                if by_name is not None and not self._run_file(mode, run, by_name):
                    results[index] = None
        return [None if found is None else self._complete(found) for found in results]

    def _run_file(self, mode: str, run: _Run, results: dict[str, dict[str, Array]]) -> bool:
        """Add the outputs of one run to ``results``; False, and a problem, when it does not run."""
        feeds = self._file_feeds(run.batch)
        try:
            values = self._sides.runtime(mode).run([found.onnx_name for found in self.outputs.values()], feeds)
        except VerificationError as error:
            shapes = ", ".join(str(tuple(array.shape)) for array in feeds.values())
            self.problems[f"on {run.batch.label} samples of shape {shapes}: {error.message}"] = None
            return False
        for (name, found), value in zip(self.outputs.items(), values, strict=True):
            if (aligned := self._aligned(name, found, run.expected[name], value, mode)) is not None:
                results[name][mode] = aligned
        return True

    def _complete(self, results: dict[str, dict[str, Array]]) -> dict[str, dict[str, Array]]:
        """``results`` without the outputs that some mode does not give."""
        return {name: found if len(found) == len(self.file.modes) else {} for name, found in results.items()}

    def _file_feeds(self, batch: Batch) -> dict[str, Array]:
        """``batch`` by the file's input names, in its layout and types."""
        types = {value.name: value.dtype for value in self.file.inputs}
        feeds = {}
        for endpoint in self.inference.inputs:
            found = self.inputs[endpoint.name]
            array = batch.feeds[endpoint.tensor]
            dtype = types[found.onnx_name]
            if self.half and dtype is not None and dtype.numpy is not None and dtype.is_floating:
                array = array.astype(dtype.numpy)
            feeds[found.onnx_name] = array if found.permutation is None else array.transpose(found.permutation)
        return feeds

    def trace(self, fates: Sequence[Fate]) -> LayerTrace | None:
        """The errors through the network, on the batch with the worst error; None for what has no layers.

        On an edge only where no other batch shows the fault: what is constant over a whole image rounds alike in
        all its places, and says less about the noise.
        """
        self._sides.make_room()
        found = None
        for is_edge in (False, True):
            if not isinstance(self.file, OnnxModel) or is_edge not in self._worst:
                continue
            feeds = self._worst[is_edge][1]
            traced = trace(self.inference, self.file, feeds.feeds, self._file_feeds(feeds), self.limit, fates=fates)
            found = found or traced
            if traced.first is not None:
                return traced
            if not any(figures.modes_at_fault(self.limit) for figures in self.figures.values()):
                break
        return found

    def _aligned(self, name: str, found: Match, expected: Array, value: Array, mode: str) -> Array | None:
        """``value`` in the layout of ``expected``; None, and a problem, when dtype or shape differ."""
        if value.dtype != expected.dtype and not (self.half and value.dtype.kind == expected.dtype.kind == "f"):
            self.problems[f"{name} is {value.dtype} in the file, {expected.dtype} in TensorFlow"] = None
            return None
        order = found.permutation
        if order is None and self.transposed:
            order = permutation(expected.shape, value.shape)
            if order is not None:
                self.notes[f"{name} comes with its axes in the order {order}"] = None
        if order is not None:
            value = value.transpose(np.argsort(order))
        if value.shape != expected.shape:
            self.problems[
                f"{name} has shape {value.shape} in the file (optimisations {mode}), {expected.shape} in TensorFlow"
            ] = None
            return None
        if any(has_nan(value, 1)) and not any(has_nan(expected, 1)):
            self.problems[f"{name} holds NaN in the file (optimisations {mode}), none in TensorFlow"] = None
        return value

    def close(self) -> None:
        self._sides.close()

    # The verdict

    def report(
        self, problems: tuple[str, ...], *, seed: int, data: str, layers: LayerTrace | None = None
    ) -> CheckReport:
        checks = tuple(figures.check(self.limit) for figures in self.figures.values())
        problems = (*problems, *self.problems)
        if not problems and not self.compared:
            problems = ("no sample was compared",)
        return CheckReport(
            equal=not problems and bool(checks) and all(check.equal for check in checks),
            outputs=checks,
            problems=problems,
            notes=tuple(self.notes),
            tolerance=self.limit,
            batches=tuple(self.batches),
            samples=self.compared,
            seed=seed,
            data=data,
            inputs=tuple(self.inputs.values()),
            matches=tuple(self.outputs.values()),
            suspect=self._suspect(checks),
            versions=versions(),
            layers=layers,
        )

    def _suspect(self, checks: Sequence[OutputCheck]) -> str:
        modes = {mode for check in checks for mode in self.figures[check.name].modes_at_fault(self.limit)}
        return "onnxruntime's optimiser: the outputs are equal with its optimisations off" if modes == {"on"} else ""


def versions() -> dict[str, str]:
    """The versions that a comparison depends on."""
    packages = ("tensorflow", "onnx", "onnxruntime", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
