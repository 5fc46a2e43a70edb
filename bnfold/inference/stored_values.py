"""The values of the variables, from disk or, where the user allows it, from their initialisers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from bnfold.errors import InferenceError, LoadError
from bnfold.graph import Array, Graph
from bnfold.graph.evaluate import run
from bnfold.graph.stages import Note, SourceModel
from bnfold.inference.op_kinds import RANDOM
from bnfold.inference.variables import ASSIGNMENTS, VARIABLE_OPS

MissingStatistics = Literal["refuse", "initial"]


RESTORES = frozenset({"RestoreV2", "Restore", "RestoreSlice"})


class StoredValues:
    """Reads variables by the name of their node.

    Parameters
    ----------
    source : SourceModel
    statistics : mapping of str to str
        Variables that hold moving statistics → their layer.
    instead : mapping of str to str
        Variables to read in the place of others (averaged weights).
    missing_statistics : {"refuse", "initial"}
    """

    def __init__(
        self,
        source: SourceModel,
        *,
        statistics: Mapping[str, str],
        instead: Mapping[str, str],
        missing_statistics: MissingStatistics,
    ) -> None:
        self.source = source
        self.statistics = statistics
        self.instead = instead
        self.missing_statistics = missing_statistics
        self.initial: list[str] = []
        """Statistics taken from their initialisers."""

    def require(self, names: Iterable[str]) -> None:
        """Refuse, naming all, when the checkpoint lacks some of the variables ``names``.

        Raises
        ------
        InferenceError
        """
        absent = [name for name in names if not self._is_stored(name)]
        statistics = [name for name in absent if name in self.statistics]
        others = [name for name in absent if name not in self.statistics]
        if others:
            raise InferenceError(
                f"the checkpoint has no value for {_listed(others)}, which the outputs need",
                hint=f"{self._advice(others[0])}; or name other outputs: --output",
                node=others[0],
            )
        if statistics and self.missing_statistics == "refuse":
            layers = dict.fromkeys(self.statistics[name] for name in statistics)
            raise InferenceError(
                f"the moving statistics of {_listed(list(layers))} are not in the checkpoint ({_listed(statistics)}):"
                " it was saved from some of the variables only, the trainable ones perhaps",
                hint="save all variables (tf.train.Saver() without a list); or compute them: bnfold calibrate SOURCE"
                " TARGET --data …; or take what they were initialised to: --missing-statistics initial",
                node=statistics[0],
            )

    def _advice(self, name: str) -> str:
        """What the source says to do about variable ``name``, for which it has no value."""
        advice = "if names differ from the graph's: --rename-variables FROM=TO"
        variable = self.source.variables.get(self.instead.get(name, name))
        if variable is None:
            return advice
        try:
            variable.read()
        except LoadError as error:
            return error.hint or advice
        return advice

    def read(self, name: str) -> Array:
        """The value of variable ``name``.

        Raises
        ------
        LoadError
            When the stored value is damaged or does not fit.
        InferenceError
            When there is none, and no initialiser that gives the same every time.
        """
        if self._is_stored(name):
            return self.source.variables[self.instead.get(name, name)].read()
        value = self._initial(name)
        self.initial.append(name)
        return value

    def notes(self) -> tuple[Note, ...]:
        """What was read from elsewhere than the checkpoint."""
        if not self.initial:
            return ()
        layers = tuple(dict.fromkeys(self.statistics.get(name, name) for name in self.initial))
        return (
            Note(
                "warning",
                "initial-statistics",
                f"the checkpoint lacks moving statistics; {_listed(list(layers))} took what theirs were initialised to",
                layers,
                hint="these layers do not normalise as in training; calibrate, or save all variables",
            ),
        )

    def _is_stored(self, name: str) -> bool:
        variable = self.source.variables.get(self.instead.get(name, name))
        return variable is not None and variable.key is not None

    def _initial(self, name: str) -> Array:
        tensor = initialiser(self.source.graph, name)
        sources = self.source.graph.topological([tensor]) if tensor is not None else []
        if tensor is None or any(node.op in RANDOM or node.op in VARIABLE_OPS for node in sources):
            raise InferenceError(
                f"{name} is not in the checkpoint, and the graph does not say what it was initialised to",
                hint="run the training graph over some batches and save all variables",
                node=name,
            )
        [value] = run(self.source.graph.pruned([tensor]), [tensor])
        return value


def initialiser(graph: Graph, variable: str) -> str | None:
    """The tensor that ``variable`` is first assigned."""
    for node in graph.readers(f"{variable}:0"):
        if ASSIGNMENTS.get(node.op) != "set" or node.inputs[0] != f"{variable}:0":
            continue
        sources = {source.name for source in graph.topological([node.inputs[1]])}
        if variable not in sources and not any(graph[name].op in RESTORES for name in sources):
            return node.inputs[1]
    return None


def _listed(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
