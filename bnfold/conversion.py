"""Conversion: the model, and how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfold.artifact import Artifact, OnnxFile
from bnfold.errors import ExportError, OutputsDifferError
from bnfold.options import ExportOptions
from bnfold.target import Target

if TYPE_CHECKING:
    import onnx

    from bnfold.graph.stages import Folding, InferenceGraph
    from bnfold.results import Report


@dataclass(frozen=True)
class Conversion:
    """What `bnfold.convert` returns.

    Attributes
    ----------
    report : Report
    reference : InferenceGraph
        The inference graph before folding: what the model was compared with.
    folding : Folding
        The folded graph, and each batch norm's fate.
    artifact : Artifact
        The model in the format it was made for.
    certificate : mapping or None
        What was compared, how, and what came of it, with the hashes of source and model; None without a check.
    made : ExportOptions
        How the file was made.
    """

    report: Report
    reference: InferenceGraph = field(repr=False)
    folding: Folding = field(repr=False)
    artifact: Artifact = field(repr=False)
    certificate: Mapping[str, Any] | None = field(default=None, repr=False)
    made: ExportOptions = field(default_factory=ExportOptions, repr=False)

    @property
    def model(self) -> onnx.ModelProto:
        """The ONNX model.

        Raises
        ------
        ExportError
            When the conversion was to a frozen graph.
        """
        if not isinstance(self.artifact, OnnxFile):
            raise ExportError("the conversion was to a frozen graph", hint="convert with an .onnx target, or with none")
        return self.artifact.model

    def write(self, path: str | Path) -> Path:
        """Write the model to ``path``, replacing at once what is there.

        Raises
        ------
        OutputsDifferError
            When the check found that the outputs differ: such a model is not written.
        ExportError
            When the path cannot be written, or its suffix is that of the other format.
        """
        if self.report.equal is False:
            raise OutputsDifferError(self.report, self)
        target = Target.at(path)
        made = self.report.model.format
        if target.format != made:
            raise ExportError(f"the conversion was to {made}, not to {target.format}", hint=f"end the path in .{made}")
        with target.staged() as staged:
            self.artifact.write(staged)
        return target.path
