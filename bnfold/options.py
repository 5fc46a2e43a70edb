"""How a source is to be read: what load and infer are told, and what a written model remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from bnfold.graph import tensor_name

if TYPE_CHECKING:
    from bnfold.graph import Shape
    from bnfold.graph.stages import Endpoint
    from bnfold.samples import Data

MissingStatistics = Literal["refuse", "initial"]
InputShape = tuple[int | str | None, ...]
"""As a user writes it: None for any size, a word for any size with a name."""

Weights = Literal["auto", "trained", "ema"]


class ReadingKeywords(TypedDict, total=False):
    """The fields of `SourceOptions` that are words and numbers, as keyword arguments."""

    inputs: Mapping[str, InputShape | None] | None
    outputs: Sequence[str] | None
    set_values: Mapping[str, Any]
    bind: Mapping[str, tuple[str, str]]
    missing_statistics: MissingStatistics
    weights: Weights
    rename_variables: Mapping[str, str]
    tags: str | None
    signature: str | None


class SourceKeywords(ReadingKeywords, total=False):
    """The fields of `SourceOptions`, as keyword arguments."""

    model: Any
    custom_objects: Mapping[str, Any]


@dataclass(frozen=True)
class SourceOptions:
    """How to read a source.

    Attributes
    ----------
    inputs : mapping of str to (shape or None), or None
        Input tensors by name; a shape replaces the one in the graph: None in it is any size, and a word is any size
        that has this name in the file. None: found.
    outputs : sequence of str or None
        None: found.
    set_values : mapping of str to scalar
        Scalar inputs to fix (``keep_prob``: 1, ``is_train``: False).
    bind : mapping of str to (str, str)
        Batch norm → the variables that hold its moving mean and variance.
    missing_statistics : {"refuse", "initial"}
        What to do about moving statistics that the checkpoint lacks: refuse, or take the initialiser's value.
    weights : {"auto", "trained", "ema"}
        ``ema`` reads the shadow variables of an ExponentialMovingAverage over the weights; ``auto`` is the trained
        ones, with a note where shadows exist.
    rename_variables : mapping of str to str
        Prefix in the graph → prefix in the checkpoint.
    tags, signature : str or None
        Of a SavedModel.
    model : callable or Keras model, optional
        What computes the graph of a checkpoint that holds values only.
    custom_objects : mapping of str to object
        Layers and functions that a Keras file uses and Keras does not have.
    """

    inputs: Mapping[str, InputShape | None] | None = None
    outputs: Sequence[str] | None = None
    set_values: Mapping[str, Any] = field(default_factory=dict)
    bind: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    missing_statistics: MissingStatistics = "refuse"
    weights: Weights = "auto"
    rename_variables: Mapping[str, str] = field(default_factory=dict)
    tags: str | None = None
    signature: str | None = None
    model: Any = None
    custom_objects: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.inputs is not None and not isinstance(self.inputs, Mapping):
            raise TypeError(f"inputs maps names to shapes, {{'images': None}}; it is a {type(self.inputs).__name__}")
        if isinstance(self.outputs, str):
            raise TypeError(f"outputs is a list of names, [{self.outputs!r}]; it is a str")
        for name, words in (("missing_statistics", get_args(MissingStatistics)), ("weights", get_args(Weights))):
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r} is none of {', '.join(words)}")

    def shapes(self) -> dict[str, Shape | None] | None:
        """``inputs`` with None for every size that is not a number."""
        if self.inputs is None:
            return None
        return {name: None if shape is None else tuple(map(_known, shape)) for name, shape in self.inputs.items()}

    def named(self, endpoint: Endpoint) -> Endpoint:
        """The input ``endpoint`` with the user's names for its sizes."""
        given = {tensor_name(name): shape for name, shape in (self.inputs or {}).items()}.get(endpoint.name)
        dims = tuple(size if isinstance(size, str) else None for size in given or ())
        return replace(endpoint, dims=dims) if any(dims) else endpoint

    def as_json(self) -> dict[str, Any]:
        """The options that are not at their defaults; objects in memory are left out."""
        values = {
            "inputs": None if self.inputs is None else {k: _shape(v) for k, v in self.inputs.items()},
            "outputs": None if self.outputs is None else list(self.outputs),
            "set_values": {name: _plain(value) for name, value in self.set_values.items()},
            "bind": {layer: list(pair) for layer, pair in self.bind.items()},
            "missing_statistics": self.missing_statistics,
            "weights": self.weights,
            "rename_variables": dict(self.rename_variables),
            "tags": self.tags,
            "signature": self.signature,
        }
        defaults = vars(SourceOptions())
        return {key: value for key, value in values.items() if value != defaults[key]}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> SourceOptions:
        """What `as_json` was called on.

        Raises
        ------
        ValueError
            When ``values`` is nothing that it gives.
        """
        options = {key: value for key, value in values.items() if key in _FORMS}
        if bad := [key for key, value in options.items() if not _FORMS[key](value)]:
            raise ValueError(f"{bad[0]} is {options[bad[0]]!r}")
        if options.get("inputs"):
            options["inputs"] = {k: None if v is None else tuple(v) for k, v in options["inputs"].items()}
        if options.get("bind"):
            options["bind"] = {layer: tuple(pair) for layer, pair in options["bind"].items()}
        return SourceOptions(**options)


def _known(size: int | str | None) -> int | None:
    """A size that is a number, be it one of numpy's; None for any other."""
    return None if size is None or isinstance(size, str) else int(size)


def _plain(value: Any) -> Any:
    """``value`` as JSON can hold it, where it is one of numpy's."""
    return value.item() if hasattr(value, "item") else value


def _shape(shape: InputShape | None) -> list[Any] | None:
    return None if shape is None else [_plain(size) for size in shape]


def _texts(value: Any, *, count: int | None = None) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value) and count in (None, len(value))


def _is_shape(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(size, int | str | None) for size in value))


def _by_name(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(fits(item) for item in value.values())


_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "inputs": lambda value: value is None or _by_name(value, _is_shape),
    "outputs": lambda value: value is None or _texts(value),
    "set_values": lambda value: _by_name(value, lambda item: isinstance(item, bool | int | float | str)),
    "bind": lambda value: _by_name(value, lambda item: _texts(item, count=2)),
    "missing_statistics": lambda value: value in get_args(MissingStatistics),
    "weights": lambda value: value in get_args(Weights),
    "rename_variables": lambda value: _by_name(value, lambda item: isinstance(item, str)),
    "tags": lambda value: value is None or isinstance(value, str),
    "signature": lambda value: value is None or isinstance(value, str),
}
"""What each option is as JSON: a file may say anything."""


@dataclass(frozen=True)
class ExportOptions:
    """How the file is made: what `bnfold.export.export` is told.

    Attributes
    ----------
    opset : int or None
        `bnfold.export.DEFAULT_OPSET` when None.
    layout : {"tensorflow", "nchw"} or mapping of str to these
        How images come in and go out, or which of them, by name.
    rename : mapping of str to str
        New names of inputs and outputs, by the old ones.
    half : bool
        float16 weights and arithmetic.
    """

    opset: int | None = None
    layout: str | Mapping[str, str] = "tensorflow"
    rename: Mapping[str, str] = field(default_factory=dict)
    half: bool = False

    def as_json(self) -> dict[str, Any]:
        """What is not as by default and matters to whoever compares the file."""
        values = {"rename": dict(self.rename), "half": self.half}
        return {key: value for key, value in values.items() if value}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> ExportOptions:
        """What `as_json` was called on, as far as it tells; the defaults where it tells nothing that can be."""
        rename, half = values.get("rename", {}), values.get("half", False)
        return ExportOptions(
            rename=rename if _by_name(rename, lambda item: isinstance(item, str)) else {},
            half=half is True,
        )


@dataclass(frozen=True)
class CheckOptions:
    """How to compare: what `bnfold.verify.verify` is told.

    Attributes
    ----------
    samples, seed : int
        Of the random samples.
    rtol, atol : float or None
        In place of the tolerance that follows from the graph.
    data : optional
        Samples in place of random ones.
    exact : bool
        Judge by the graph computed in float64.
    layers : bool
        Compare layer by layer too.
    """

    samples: int = 8
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    data: Data | None = None
    exact: bool = False
    layers: bool = False

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"{name}={value} is no bound: it is finite, and 0 or more")
        if self.exact and not self.rtol is self.atol is None:
            raise ValueError("exact judges by float64 alone: rtol and atol would change nothing")
