"""The exceptions of bnfold: one tree, each with a hint that says what to do next."""

from __future__ import annotations

from typing import Any


class BnfoldError(Exception):
    """A model that cannot be taken further, for a reason the user can act on.

    Wrong *arguments* of a Python call stay ``TypeError`` and ``ValueError``; anything else that escapes is a bug.

    Parameters
    ----------
    message : str
        What is wrong and where, in one sentence without a final full stop.
    hint : str, optional
        What to do about it.
    node : str, optional
        Name of the graph node at fault.
    """

    def __init__(self, message: str, *, hint: str | None = None, node: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node = node


class LoadError(BnfoldError):
    """The source cannot be read: missing, truncated, corrupt, or of a kind that holds no graph."""


class InferenceError(BnfoldError):
    """The training graph cannot be turned into an inference graph without guessing."""


class UnboundError(InferenceError):
    """Batch norms normalise by the batch, and no variable keeps the moving averages of its moments.

    Parameters
    ----------
    layers : tuple of Unbound
        Each of them (`bnfold.graph.stages.Unbound`), for whoever computes the statistics from data.
    """

    def __init__(self, message: str, *, layers: tuple[Any, ...], hint: str, node: str) -> None:
        super().__init__(message, hint=hint, node=node)
        self.layers = layers


class FoldError(BnfoldError):
    """A batch norm cannot be folded, and the caller asked that all of them be."""


class ExportError(BnfoldError):
    """The inference graph has no ONNX form: an op, dtype or attribute without a lowering."""


class VerificationError(BnfoldError):
    """The comparison itself cannot be made: no samples, missing outputs, a file that is not ONNX."""


def _what_helps(report: Any) -> str:
    """Where the samples are at fault, not the file: what to do about them."""
    for note in getattr(report, "notes", ()):
        if getattr(note, "kind", "") == "random-left":
            return f"random numbers differ each time, so nothing can be proven: {note.hint}"
    check = getattr(report, "check", report)
    if any("TensorFlow itself gives NaN" in problem for problem in getattr(check, "problems", ())):
        return "the random samples are none that the model takes: --data with samples of your own"
    return "--layers prints the error of every tensor, --report FILE draws it"


class OutputsDifferError(VerificationError):
    """The outputs were compared and are not equal; nothing was written.

    Parameters
    ----------
    report : object
        The Report or CheckReport with the figures.
    conversion : object, optional
        The Conversion that was not written.
    """

    def __init__(self, report: Any, conversion: Any = None) -> None:
        super().__init__(
            "the outputs differ from TensorFlow's, so nothing was written",
            hint=_what_helps(report),
        )
        self.report = report
        self.conversion = conversion
