"""The values that travel between the stages: what load, infer and fold return."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bnfold.graph.dtypes import DType
from bnfold.graph.graph import Array, Graph, Shape

# load


@dataclass(frozen=True)
class Variable:
    """A variable of the training graph and where its value is.

    Attributes
    ----------
    name : str
        Name of its node in the graph.
    key : str or None
        Its name in the checkpoint; None where the checkpoint has no value for it.
    dtype : DType
    shape : Shape or None
        Static shape as the graph declares it.
    read : callable
        Reads the value from disk, each time anew. Raises LoadError when it is missing or does not fit.
    """

    name: str
    key: str | None
    dtype: DType
    shape: Shape | None
    read: Callable[[], Array] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Signature:
    """A named interface that the source declares: tensors by argument name."""

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class SourceModel:
    """What `load` returns: the graph as it was saved, and its variables, still on disk.

    Attributes
    ----------
    path : Path or None
        What the user named; None for an object handed to the API.
    kind : str
        ``checkpoint``, ``frozen graph``, ``saved model``, ``keras model`` or ``function``.
    label : str
        The name to print: ``model.ckpt-34000``.
    graph : Graph
        Everything, the training ops and the control inputs included.
    variables : mapping of str to Variable
        By the name of the variable's node.
    signatures : tuple of Signature
    collections : mapping of str to tuple of str
        TensorFlow 1's collections of ops and tensors, by name: ``losses``, ``update_ops``, ``train_op`` …
    step : int or None
        The global step, where one was saved.
    fingerprint : str
        SHA-256, in hex, over the bytes of the source's files.
    notes : tuple of Note
        What `load` had to decide or wants said.
    """

    path: Path | None
    kind: str
    label: str
    graph: Graph
    variables: Mapping[str, Variable]
    signatures: tuple[Signature, ...] = ()
    collections: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    step: int | None = None
    fingerprint: str = ""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Note:
    """Something the user should know.

    Attributes
    ----------
    level : {"note", "warning"}
        A warning means that the result may not be what the user wants; ``--strict`` makes it an error.
    kind : str
        A stable word for programs: ``never-updated``, ``tiny-variance``, ``dropout-removed`` …
    message : str
        One sentence that names the layers.
    nodes : tuple of str
        The layers or nodes concerned.
    hint : str or None
    """

    level: Literal["note", "warning"]
    kind: str
    message: str
    nodes: tuple[str, ...] = ()
    hint: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "kind": self.kind,
            "message": self.message,
            "nodes": list(self.nodes),
            "hint": self.hint,
        }


# infer


@dataclass(frozen=True)
class Endpoint:
    """An input or output of the inference graph.

    Attributes
    ----------
    name : str
        The tensor's name in the graph as saved (``random_shuffle_queue_DequeueMany:0``). An input is a
        Placeholder in the inference graph whose first output has this name; where the cut tensor was not output
        0 of its node, the Placeholder has the tensor's name with ``:`` replaced (see ``tensor``).
    tensor : str
        The tensor's name in the inference graph.
    dtype : DType
    shape : Shape or None
    reason : str
        Why it was chosen: ``signature serving_default``, ``float placeholder``, ``where the queue was cut`` …
    alternatives : tuple of str
        The runners-up.
    dims : tuple of (str or None)
        The user's names for sizes that are known only at run time; empty where there are none.
    """

    name: str
    tensor: str
    dtype: DType
    shape: Shape | None
    reason: str = ""
    alternatives: tuple[str, ...] = ()
    dims: tuple[str | None, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "tensor": self.tensor,
            "dtype": self.dtype.name,
            "shape": None if self.shape is None else list(self.shape),
            "reason": self.reason,
            "alternatives": list(self.alternatives),
        }


@dataclass(frozen=True, eq=False)
class BatchNorm:
    """A batch norm bound to its moving statistics.

    Attributes
    ----------
    name : str
        The layer's name: the op's scope (``input/conv1/BatchNorm``).
    form : str
        ``FusedBatchNormV3``, ``unfused`` …
    flag : str
        How its training flag stood in the source: ``is_training=True``, ``placeholder is_training``, ``inference``.
    x, y : str
        The tensor it normalises and the tensor it gives, in the inference graph.
    nodes : tuple of str
        The nodes of the inference graph that make it up.
    channel_axis : int or None
        Of ``x``, counted from 0; None when the rank is unknown.
    gamma, beta : ndarray of shape (channels,) or None
        None where the layer has none.
    moving_mean, moving_variance : ndarray of shape (channels,)
    epsilon : float
    variables : mapping of str to str
        ``gamma``, ``beta``, ``moving_mean``, ``moving_variance`` → the variable each came from.
    evidence : tuple of str
        Why these statistics are this layer's: ``update op conv1/AssignMovingAvg``, ``name scope``, ``already wired``.
    """

    name: str
    form: str
    flag: str
    x: str
    y: str
    nodes: tuple[str, ...]
    channel_axis: int | None
    gamma: Array | None = field(repr=False)
    beta: Array | None = field(repr=False)
    moving_mean: Array = field(repr=False)
    moving_variance: Array = field(repr=False)
    epsilon: float
    variables: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        return int(self.moving_mean.size)

    def as_json(self) -> dict[str, Any]:
        mean, variance = self.moving_mean.astype("float64"), self.moving_variance.astype("float64")
        return {
            "name": self.name,
            "form": self.form,
            "flag": self.flag,
            "x": self.x,
            "y": self.y,
            "channel_axis": self.channel_axis,
            "channels": self.channels,
            "epsilon": self.epsilon,
            "has_gamma": self.gamma is not None,
            "has_beta": self.beta is not None,
            "moving_mean": {"min": float(mean.min()), "max": float(mean.max())},
            "moving_variance": {"min": float(variance.min()), "max": float(variance.max())},
            "variables": dict(self.variables),
            "evidence": list(self.evidence),
        }


@dataclass(frozen=True)
class Unbound:
    """A batch norm without moving statistics.

    Attributes
    ----------
    name : str
        The layer's name.
    mean, variance : str
        The tensors of the source's graph with the moments of the batch.
    dtype : DType
        Of the moments.
    shape : Shape or None
        Of the moments; the reduced axes may be kept, as ones.
    """

    name: str
    mean: str
    variance: str
    dtype: DType
    shape: Shape | None


@dataclass(frozen=True)
class InferenceGraph:
    """What `infer` returns, and `fold` too: a graph of constants and pure ops, ready to run.

    Attributes
    ----------
    graph : Graph
        Pruned, in topological order, without variables, control inputs or training flags; ``types`` are set.
    inputs, outputs : tuple of Endpoint
    batch_norms : tuple of BatchNorm
        Every batch norm that `infer` found, whatever became of it since.
    notes : tuple of Note
    """

    graph: Graph
    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]
    batch_norms: tuple[BatchNorm, ...] = ()
    notes: tuple[Note, ...] = ()


# fold


@dataclass(frozen=True)
class Folded:
    """A batch norm (or other constant affine map) that is gone: its scale and shift live in the weights.

    Attributes
    ----------
    name : str
    into : tuple of str
        The linear nodes that absorbed it.
    rule : str
        The rows of the table that carried it there, in order.
    """

    name: str
    into: tuple[str, ...]
    rule: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "fate": "folded", "into": list(self.into), "rule": self.rule}


@dataclass(frozen=True)
class Kept:
    """A batch norm that stays an op of its own, and why."""

    name: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "fate": "kept", "reason": self.reason}


Fate = Folded | Kept


@dataclass(frozen=True)
class Folding:
    """What `fold` returns.

    Attributes
    ----------
    inference : InferenceGraph
        The folded graph, same inputs and outputs.
    fates : tuple of Folded or Kept
        One for each batch norm of the input, in order.
    others : tuple of Folded
        Constant affine maps that were no batch norm and went too.
    parameters_added : int
        Growth in stored weights, in elements (copies of shared kernels, new biases not counted).
    largest_rounding : float
        Largest relative rounding of a folded weight when it was cast back to its stored type.
    """

    inference: InferenceGraph
    fates: tuple[Fate, ...]
    others: tuple[Folded, ...] = ()
    parameters_added: int = 0
    largest_rounding: float = 0.0
