"""What export makes, in either format: something that can be compared, described and written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bnfold import metadata
from bnfold.results import ModelSummary

if TYPE_CHECKING:
    import onnx

    from bnfold.export import Lowered
    from bnfold.graph import Graph
    from bnfold.graph.stages import InferenceGraph


class Artifact(Protocol):
    """A model ready to be written."""

    @property
    def comparable(self) -> onnx.ModelProto | InferenceGraph:
        """What `bnfold.verify.verify` compares with the reference."""

    def summary(self, path: Path | None) -> ModelSummary:
        """The model in figures, as the file at ``path`` will show it."""

    def describe(self, entries: Mapping[str, str]) -> None:
        """Note ``entries`` in the model, where its format has a place for them."""

    def fingerprint(self) -> str:
        """SHA-256 of the model, what `describe` notes left out."""

    def write(self, path: Path) -> None:
        """Write the model to ``path``."""

    def complete(self, path: Path) -> None:
        """Bring the file at ``path``, written before `describe`, up to date."""


class OnnxFile:
    """An ONNX model, put into one proto only when somebody asks for that.

    Parameters
    ----------
    lowered : Lowered
    folded, reference : Graph, optional
        What was lowered, and what it will be compared with. Once large weights are in a file, those that only
        ``folded`` has are read from there.
    """

    def __init__(self, lowered: Lowered, folded: Graph | None = None, reference: Graph | None = None) -> None:
        self._lowered = lowered
        self._graphs = (folded, reference)
        self._model: onnx.ModelProto | None = None

    @property
    def model(self) -> onnx.ModelProto:
        """The model as one proto, which then is what is described, compared and written."""
        if self._model is None:
            self._model = self._lowered.to_proto()
        return self._model

    @property
    def _shell(self) -> onnx.ModelProto:
        """The model with all but its weights, and perhaps with them."""
        return self._lowered.shell if self._model is None else self._model

    @property
    def comparable(self) -> onnx.ModelProto:
        return self.model

    def summary(self, path: Path | None) -> ModelSummary:
        from bnfold.export import model_size

        shell = self._shell
        opset = next(entry.version for entry in shell.opset_import if entry.domain in ("", "ai.onnx"))
        ops = Counter(node.op_type for node in shell.graph.node)
        size = model_size(self._model or self._lowered)
        return ModelSummary(_text(path), "onnx", opset, shell.ir_version, size, dict(sorted(ops.items())))

    def describe(self, entries: Mapping[str, str]) -> None:
        metadata.attach(self._shell, entries)

    def fingerprint(self) -> str:
        from bnfold.verify import model_fingerprint

        return model_fingerprint(self._shell, initializers=self._lowered.tensors() if self._model is None else None)

    def write(self, path: Path) -> None:
        from bnfold.export import map_constants, mapped, write

        places = write(self._model or self._lowered, path)
        folded, reference = self._graphs
        if self._model is None and folded is not None and reference is not None:
            before = self._lowered.weights
            self._lowered = mapped(self._lowered, places)
            map_constants(folded, before, self._lowered.weights, kept=reference)

    def complete(self, path: Path) -> None:
        from bnfold.export import add_metadata

        add_metadata(self._shell, path)


@dataclass(frozen=True, eq=False)
class FrozenFile:
    """The folded inference graph as a TensorFlow ``GraphDef``."""

    inference: InferenceGraph

    @property
    def comparable(self) -> InferenceGraph:
        return self.inference

    def summary(self, path: Path | None) -> ModelSummary:
        nodes = list(self.inference.graph)
        ops = Counter(node.op for node in nodes if node.op not in ("Const", "Placeholder"))
        size = sum(node.attrs["value"].nbytes for node in nodes if node.op == "Const")
        return ModelSummary(_text(path), "pb", None, None, size, dict(sorted(ops.items())))

    def describe(self, entries: Mapping[str, str]) -> None:
        """A GraphDef has no place for metadata."""

    def fingerprint(self) -> str:
        return hashlib.sha256(self._bytes()).hexdigest()

    def write(self, path: Path) -> None:
        path.write_bytes(self._bytes())

    def complete(self, path: Path) -> None:
        """There is nothing that `describe` notes."""

    def _bytes(self) -> bytes:
        from bnfold.graph.graph_def import to_graph_def

        data: bytes = to_graph_def(self.inference.graph).SerializeToString(deterministic=True)
        return data


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
