"""Averaged weights: the shadow variables of an exponential moving average over the variables of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from bnfold.errors import InferenceError
from bnfold.graph import Graph, Node, node_name
from bnfold.graph.stages import Note, SourceModel
from bnfold.inference.scalars import is_rate
from bnfold.inference.variables import ASSIGNMENTS, VARIABLE_OPS, variable_behind

Weights = Literal["auto", "trained", "ema"]

SUFFIX = "/ExponentialMovingAverage"
"""What TensorFlow 1 appends to a variable's name for its shadow, unless the average was given a name."""

ARITHMETIC = frozenset({"Add", "AddV2", "AddN", "Sub", "Mul", "Neg", "RealDiv", "Div", "Square", "Merge", "Lerp"})
"""Ops between two variables and the new value of the shadow."""


def choose_weights(source: SourceModel, forward: Graph, weights: Weights) -> tuple[Mapping[str, str], tuple[Note, ...]]:
    """Which variables are read in the place of others.

    Parameters
    ----------
    source : SourceModel
    forward : Graph
        What the outputs depend on, its variables included.
    weights : {"auto", "trained", "ema"}
        ``trained`` reads each variable itself; ``ema`` reads the shadow of each variable that has one; ``auto`` is
        ``trained`` unless the checkpoint holds the shadows alone.

    Returns
    -------
    mapping of str to str
        Variable → its shadow.
    tuple of Note
        ``ema-available``, ``ema-used``, ``ema-partial``.

    Raises
    ------
    InferenceError
        When ``ema`` is asked for and there are no shadows, or some are not in the checkpoint, or a variable has two.
    """
    if weights == "trained":
        return {}, ()
    names = [node.name for node in forward if node.op in VARIABLE_OPS]
    shadows = find_shadows(source.graph, names)
    if weights == "ema":
        return _averaged(source, names, shadows)
    if any(_is_absent(source, name) and not _is_absent(source, found[0]) for name, found in shadows.items()):
        return _averaged(source, names, shadows)
    if not shadows:
        return {}, ()
    message = f"averaged weights exist for {len(shadows)} of {len(names)} variables; the trained ones are used"
    return {}, (Note("note", "ema-available", message, tuple(shadows), "--weights ema takes the averaged ones"),)


def find_shadows(graph: Graph, names: Iterable[str]) -> dict[str, list[str]]:
    """The shadows of the variables ``names``, told by the ops that update them, or by name where nothing does.

    The average of a *tensor* (the batch moments of a batch norm written by hand) is no shadow of a variable.
    """
    wanted = set(names)
    found: dict[str, list[str]] = {}
    updated: set[str] = set()
    for node in graph:
        if node.op not in ASSIGNMENTS or len(node.inputs) < 2:
            continue
        shadow = variable_behind(graph, node.inputs[0])
        tracked = _tracked(graph, node, shadow) if shadow is not None else None
        if shadow is not None and tracked is not None:
            updated.add(shadow.name)
            if tracked in wanted and shadow.name not in found.setdefault(tracked, []):
                found[tracked].append(shadow.name)
    for name in wanted:
        namesake = graph.get(name + SUFFIX)
        if name in found or namesake is None or namesake.name in updated:
            continue
        if namesake.op in VARIABLE_OPS:
            found[name] = [namesake.name]
    return {name: found[name] for name in sorted(found) if found[name]}


def _tracked(graph: Graph, update: Node, shadow: Node) -> str | None:
    """The variable that ``update`` moves ``shadow`` towards; None when anything but two variables goes into it.

    AssignSub(shadow, (shadow - variable) * (1 - decay))
    Assign(shadow, shadow * decay + variable * (1 - decay))
    """
    leaves: set[str] = set()
    stack, seen = [update.inputs[1]], set()
    while stack:
        tensor = stack.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        variable = variable_behind(graph, tensor)
        node = graph.find_producer(tensor)
        if variable is not None:
            leaves.add(variable.name)
        elif node is not None and node.op in ARITHMETIC and not is_rate(graph, tensor):
            stack += node.inputs
        elif node is None or not is_rate(graph, tensor):
            return None
    shape = shadow.attrs.get("shape")
    others = [name for name in leaves if name != shadow.name and graph[name].attrs.get("shape") == shape]
    return others[0] if shadow.name in leaves and len(others) == 1 else None


def _averaged(
    source: SourceModel, names: list[str], shadows: Mapping[str, list[str]]
) -> tuple[Mapping[str, str], tuple[Note, ...]]:
    if not shadows:
        raise InferenceError(
            "there are no averaged weights: no variable of the model has an exponential moving average",
            hint="leave --weights at auto",
        )
    for name, found in shadows.items():
        if len(found) > 1:
            raise InferenceError(
                f"variable {name} has several averages: {', '.join(found)}",
                hint="--rename-variables FROM=TO reads the one you mean in its place",
                node=name,
            )
    chosen = {name: found[0] for name, found in shadows.items()}
    if absent := [shadow for shadow in chosen.values() if _is_absent(source, shadow)]:
        raise InferenceError(
            f"the averaged weights are not in the checkpoint: {_some(absent)}",
            hint="--weights trained takes the trained ones",
            node=absent[0],
        )
    message = f"averaged weights are used for {len(chosen)} of {len(names)} variables"
    notes = [Note("note", "ema-used", message, tuple(chosen))]
    if rest := tuple(name for name in names if name not in chosen):
        notes.append(Note("note", "ema-partial", f"variables without an average, read as trained: {_some(rest)}", rest))
    return chosen, tuple(notes)


def _is_absent(source: SourceModel, name: str) -> bool:
    variable = source.variables.get(name)
    return variable is None or variable.key is None


def _some(names: Iterable[str]) -> str:
    names = list(names)
    shown = ", ".join(node_name(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
