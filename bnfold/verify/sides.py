"""The programs that compute the outputs that are compared: opened when needed, one at a time when they are large."""

from __future__ import annotations

from collections.abc import Mapping

from bnfold.errors import VerificationError
from bnfold.graph import Array
from bnfold.graph.stages import InferenceGraph
from bnfold.samples.session import Reference, Truth
from bnfold.verify.candidate import Candidate, Runner


class Sides:
    """TensorFlow, TensorFlow in float64, and the file in each of its modes.

    Parameters
    ----------
    inference : InferenceGraph
    file : Candidate
    exact : bool
        Whether the float64 outputs must be had.
    notes : dict of str to None
        Gets what there is to say of the float64 graph.
    """

    def __init__(self, inference: InferenceGraph, file: Candidate, *, exact: bool, notes: dict[str, None]) -> None:
        self._inference, self._file = inference, file
        self._exact, self._notes = exact, notes
        self._names = [endpoint.name for endpoint in inference.outputs]
        self._reference: Reference | None = None
        self._truth: Truth | None = None
        self._truth_refused = False
        self._runtimes: dict[str, Runner] = {}

    def open(self) -> None:
        """Load the file in all its modes, so that what is wrong with it shows before TensorFlow runs."""
        if not self._file.is_large:
            self._runtimes = {mode: self._file.runner(mode) for mode in self._file.modes}

    def tensorflow(self, feeds: Mapping[str, Array]) -> list[Array]:
        """The reference's outputs, in their order."""
        if self._reference is None:
            self.make_room()
            self._reference = Reference(self._inference)
        return self._reference.run(feeds)

    def truth(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """The float64 outputs by name; None, and a note, where the graph cannot be computed so.

        Raises
        ------
        VerificationError
            When they must be had.
        """
        if self._truth_refused:
            return None
        try:
            values = self._opened_truth().run(feeds)
        except VerificationError as error:
            reason = f"the graph cannot be computed in float64: {error.message}"
            if self._exact:
                raise VerificationError(reason, hint="compare without --exact") from error
            self._truth_refused = True
            self._notes[reason] = None
            return None
        return dict(zip(self._names, values, strict=True))

    def shaken(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The float64 outputs for inputs that are one rounding off."""
        return dict(zip(self._names, self._opened_truth().shaken(feeds), strict=True))

    def _opened_truth(self) -> Truth:
        if self._truth is None:
            self.make_room()
            self._truth = Truth(self._inference)
            if self._truth.in_float32:
                listed = ", ".join(self._truth.in_float32)
                self._notes[f"no float64 kernel, so computed in float32 all the same: {listed}"] = None
        return self._truth

    def runtime(self, mode: str) -> Runner:
        """The file, ready to run in ``mode``."""
        if mode not in self._runtimes:
            self.make_room()
            self._runtimes[mode] = self._file.runner(mode)
        return self._runtimes[mode]

    def make_room(self) -> None:
        """Close what runs, where the weights are too large to be in memory several times."""
        if self._file.is_large:
            self.close()

    def close(self) -> None:
        for session in (self._reference, self._truth):
            if session is not None:
                session.close()
        self._reference = self._truth = None
        self._runtimes.clear()
