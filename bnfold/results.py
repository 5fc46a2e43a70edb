"""What the commands found out: the source and the model in figures, the report, the inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfold.graph.stages import BatchNorm, Endpoint, Fate, Folded, Note, SourceModel
    from bnfold.verify import CheckReport


@dataclass(frozen=True)
class SourceSummary:
    """The source in figures.

    Attributes
    ----------
    path : str or None
    kind, label : str
    nodes : int
        Nodes of the graph as saved.
    variables, parameters : int
        Variables of the graph, and the elements they hold.
    step : int or None
    fingerprint : str
        SHA-256 of the source's files, in hex.
    """

    path: str | None
    kind: str
    label: str
    nodes: int
    variables: int
    parameters: int
    step: int | None
    fingerprint: str

    @staticmethod
    def of(source: SourceModel) -> SourceSummary:
        shapes = [variable.shape for variable in source.variables.values()]
        known = [shape for shape in shapes if shape is not None]
        return SourceSummary(
            path=None if source.path is None else str(source.path),
            kind=source.kind,
            label=source.label,
            nodes=len(source.graph),
            variables=len(shapes),
            parameters=sum(_elements(shape) for shape in known),
            step=source.step,
            fingerprint=source.fingerprint,
        )

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


def _elements(shape: tuple[int | None, ...]) -> int:
    count = 1
    for size in shape:
        count *= size or 0
    return count


@dataclass(frozen=True)
class ModelSummary:
    """The written model in figures.

    Attributes
    ----------
    path : str or None
    format : str
        ``onnx`` or ``pb``.
    opset, ir_version : int or None
    bytes : int
        Size of the serialised model, its external data included.
    ops : mapping of str to int
        Nodes by op type.
    """

    path: str | None
    format: str
    opset: int | None
    ir_version: int | None
    bytes: int
    ops: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "ops": dict(self.ops)}


@dataclass(frozen=True)
class Report:
    """All that a conversion found out and decided.

    Attributes
    ----------
    source : SourceSummary
    inputs, outputs : tuple of Endpoint
    batch_norms : tuple of BatchNorm
    fates : tuple of Folded or Kept
        One for each batch norm, in the same order; empty when folding was not asked for.
    others : tuple of Folded
        Constant per-channel maps that were no batch norm and were folded too.
    parameters_added : int
    largest_rounding : float
        Largest relative rounding of a folded weight.
    notes : tuple of Note
    model : ModelSummary
    check : CheckReport or None
        None when the check was not asked for.
    seconds : mapping of str to float
        Wall time by stage.
    versions : mapping of str to str
        bnfold, tensorflow, onnx, onnxruntime, numpy.
    """

    source: SourceSummary
    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]
    batch_norms: tuple[BatchNorm, ...]
    fates: tuple[Fate, ...]
    others: tuple[Folded, ...]
    parameters_added: int
    largest_rounding: float
    notes: tuple[Note, ...]
    model: ModelSummary
    check: CheckReport | None
    seconds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def equal(self) -> bool | None:
        """Whether the outputs equal TensorFlow's; None when they were not compared."""
        return None if self.check is None else self.check.equal

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source.as_json(),
            "inputs": [endpoint.as_json() for endpoint in self.inputs],
            "outputs": [endpoint.as_json() for endpoint in self.outputs],
            "batch_norms": batch_norms_as_json(self.batch_norms, self.fates),
            "others": [fate.as_json() for fate in self.others],
            "parameters_added": self.parameters_added,
            "largest_rounding": self.largest_rounding,
            "notes": [note.as_json() for note in self.notes],
            "model": self.model.as_json(),
            "check": None if self.check is None else self.check.as_json(),
            "equal": self.equal,
            "seconds": dict(self.seconds),
            "versions": dict(self.versions),
        }


def batch_norms_as_json(norms: tuple[BatchNorm, ...], fates: tuple[Fate, ...]) -> list[dict[str, Any]]:
    """Each batch norm with its statistics in figures and its fate."""
    by_name = {fate.name: fate.as_json() for fate in fates}
    return [{**norm.as_json(), "fate": by_name.get(norm.name)} for norm in norms]


@dataclass(frozen=True)
class Inspection:
    """What `bnfold.inspect` returns.

    Attributes
    ----------
    source : SourceSummary
    inputs, outputs : tuple of Endpoint
        What `convert` would choose, with the reasons and the runners-up.
    batch_norms : tuple of BatchNorm
    fates : tuple of Folded or Kept
        What `convert` would make of each batch norm.
    notes : tuple of Note
    ops : mapping of str to int
        Ops of the inference graph, by type.
    """

    source: SourceSummary
    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]
    batch_norms: tuple[BatchNorm, ...]
    fates: tuple[Fate, ...]
    notes: tuple[Note, ...]
    ops: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source.as_json(),
            "inputs": [endpoint.as_json() for endpoint in self.inputs],
            "outputs": [endpoint.as_json() for endpoint in self.outputs],
            "batch_norms": batch_norms_as_json(self.batch_norms, self.fates),
            "notes": [note.as_json() for note in self.notes],
            "ops": dict(self.ops),
        }
