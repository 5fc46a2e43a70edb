"""Which scalars switch between training and inference, and the value under which the graph stops training.

The dataflow decides: a flag is a scalar that steers conditionals, and its inference value is the one under which
fewer batch statistics and random numbers reach the outputs. A name decides only where the dataflow says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bnfold.errors import InferenceError
from bnfold.graph import Array, DType, Graph, Node, node_name
from bnfold.inference.control_flow import Resolved, predicate_of, resolve
from bnfold.inference.fused import FUSED, is_training
from bnfold.inference.moving_statistics import Update, find_updates
from bnfold.inference.op_kinds import RANDOM
from bnfold.inference.variables import ASSIGNMENTS, VARIABLE_OPS

LOGIC = frozenset(
    {
        "Identity",
        "ReadVariableOp",
        "LogicalNot",
        "LogicalAnd",
        "LogicalOr",
        "Equal",
        "NotEqual",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "Cast",
        "Squeeze",
        "Reshape",
        "Switch",
        "Merge",
        "Enter",
        "All",
        "Any",
    }
)
"""Ops between a flag and the predicates it decides."""

_WORD = r"(?:^|[/_])(?:{})(?:[_/0-9:]|$)"
TRAINING_NAME = re.compile(
    _WORD.format(
        r"is_?train(?:ing)?|(?:is_)?train(?:ing)?_?(?:phase|mode|flag|ph|bool)?|phase_?train|learning_phase|bn_train"
    ),
    re.IGNORECASE,
)
INFERENCE_NAME = re.compile(
    _WORD.format(r"is_?(?:test(?:ing)?|eval|infer(?:ence)?)|(?:test|eval)_?mode"), re.IGNORECASE
)

KINDS = {"Placeholder": "placeholder", "PlaceholderWithDefault": "placeholder with default", "Const": "constant"}


@dataclass(frozen=True)
class Flag:
    """A training flag, settled.

    Attributes
    ----------
    node : str
    kind : str
        ``placeholder``, ``placeholder with default``, ``variable`` or ``constant``.
    value : ndarray of shape ()
        For inference.
    reason : str
    """

    node: str
    kind: str
    value: Array
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.node}"

    @property
    def setting(self) -> str:
        """The value as a person writes it."""
        value = self.value.item()
        return repr(value.decode(errors="replace")) if isinstance(value, bytes) else str(value)


def find_flags(
    graph: Graph,
    outputs: Iterable[str],
    updates: Iterable[Update],
    given: Mapping[str, Array],
    current: Callable[[Node], Array | None],
    *,
    fed: Container[str] = (),
) -> tuple[Flag, ...]:
    """The training flags that the outputs depend on.

    Parameters
    ----------
    graph : Graph
    outputs : iterable of str
    updates : iterable of Update
    given : mapping of str to ndarray
        Tensors whose value the user has set; they are no candidates.
    current : callable
        The value a node has in the source: a variable's, a default; None for a Placeholder.
    fed : container of str
        Tensors that the user feeds; they are no flags where only their name says so.

    Raises
    ------
    InferenceError
        When one value stops one kind of training and the other another.
    """
    outputs = list(outputs)
    updates = list(updates)
    graph = graph.pruned(outputs, controls=True)
    writes_inside = _writes_inside(graph)
    flags: list[Flag] = []
    for node in _candidates(graph, outputs):
        if node.output in given:
            continue
        if not (options := _options(graph, node)):
            continue
        settled = {**given, **{f"{flag.node}:0": flag.value for flag in flags}} if node.op == "Const" else given
        resolved = [resolve(graph, {**settled, node.output: option}, outputs) for option in options]
        found = [*updates, *(update for each in resolved if writes_inside for update in find_updates(each.graph))]
        forwards = [_pruned(each, outputs) for each in resolved]
        if not _is_named(node):
            kept = {update.variable for update in found if update.is_average}
            options, forwards = _with_all_weights(options, forwards, kept)
        if not options:
            continue
        moments = [tensor for update in found for tensor in update.statistics]
        scores = [_training_left(forward, moments) for forward in forwards]
        if node.output in fed and len(set(scores)) == 1:
            continue
        flag = _settle(node, options, scores, current(node))
        if flag is not None and not (node.op == "Const" and flag.value == current(node)):
            flags.append(flag)
    return tuple(flags)


def leaves_of(graph: Graph, predicate: str) -> list[Node]:
    """The placeholders, variables and bool constants that decide ``predicate``.

    A constant in a branch of a TensorFlow 1 cond is tied to it by a control input; the cond's predicate decides.
    """
    found: dict[str, Node] = {}
    stack, seen = [predicate], set[str]()
    while stack:
        tensor = stack.pop()
        node = graph.find_producer(tensor)
        if node is None or tensor in seen:
            continue
        seen.add(tensor)
        if node.op in LOGIC:
            stack.extend(node.inputs)
        elif node.op == "Const" and node.controls:
            stack.extend(f"{name}:0" for name in node.controls)
        elif _may_be_flag(node):
            found[node.name] = node
    return list(found.values())


def _candidates(graph: Graph, outputs: list[str]) -> list[Node]:
    live = graph.ancestors(outputs)
    found: dict[str, Node] = {}
    for name in live:
        node = graph[name]
        if (predicate := predicate_of(node)) is not None:
            found.update((leaf.name, leaf) for leaf in leaves_of(graph, predicate))
        elif node.op in ("Placeholder", "PlaceholderWithDefault") and _may_be_flag(node):
            found[name] = node  # it may blend instead of branch
    # What is fed comes first: a constant beside it, as in `is_training or use_batch`, is judged once that is known.
    return [found[name] for name in sorted(found, key=lambda name: (found[name].op == "Const", name))]


def _may_be_flag(node: Node) -> bool:
    if node.op == "Const":
        return bool(node.attrs["value"].size == 1 and node.attrs["value"].dtype == np.bool_)
    if node.op not in VARIABLE_OPS and node.op not in KINDS:
        return False
    dtype: DType = node.attrs["dtype"]
    shape = node.attrs.get("shape")
    if dtype.name == "string":
        return node.op in KINDS and not shape
    if dtype.is_floating:
        return node.op not in VARIABLE_OPS and shape == ()
    return (dtype.name == "bool" or dtype.is_integer) and (shape is None or all(size == 1 for size in shape))


def _options(graph: Graph, node: Node) -> list[Array]:
    if node.attrs["dtype"].name == "string":
        return _words(graph, node)
    dtype = node.attrs["dtype"].numpy
    if dtype.kind not in "iu":
        return [np.asarray(number, dtype=dtype) for number in (0, 1)]
    numbers = {
        int(value.item())
        for reader in graph.consumers(node.name)
        for tensor in reader.inputs
        if (value := graph.value(tensor)) is not None and value.size == 1 and value.dtype.kind in "iu"
    }
    numbers |= {0, 1}
    numbers.add(max(numbers) + 1)  # for the branch that no comparison names
    limits = np.iinfo(dtype)
    return [np.asarray(number, dtype=dtype) for number in sorted(numbers) if limits.min <= number <= limits.max]


def _words(graph: Graph, node: Node) -> list[Array]:
    """What a mode in words is compared with, and the empty word for the branch that no comparison names."""
    compared = (reader for reader in graph.consumers(node.name) if reader.op in ("Equal", "NotEqual"))
    values = (graph.value(tensor) for reader in compared for tensor in reader.inputs)
    words = {value.item() for value in values if value is not None and value.size == 1}
    return [np.array(word, dtype=object) for word in [*sorted(words), b""]] if words else []


Score = tuple[int, int, int]


def _pruned(resolved: Resolved, outputs: list[str]) -> Graph:
    """What the outputs need of a graph whose conditionals are resolved."""
    return resolved.graph.pruned(resolved.renamed.get(tensor, tensor) for tensor in outputs)


def _writes_inside(graph: Graph) -> bool:
    """Whether branches that are functions of ``graph`` hold updates: they are nodes once they are resolved."""
    return any(node.op in ASSIGNMENTS for function in graph.functions.values() for node in function.graph)


def _with_all_weights(
    options: list[Array], forwards: list[Graph], kept: Container[str]
) -> tuple[list[Array], list[Graph]]:
    """The options but those that leave out weights of another: they take a part of the network away, not training.

    Moving statistics (``kept``) do not count, since training itself does without them. Where each option has weights
    of its own, it is the kernels that tell: two paths of which the flag chooses one, or which it blends.
    """
    weights = [{n.name: n for n in forward if n.op in VARIABLE_OPS and n.name not in kept} for forward in forwards]
    kernels = {name for own in weights for name, node in own.items() if _is_kernel(node)}
    whole = [
        index
        for index, own in enumerate(weights)
        if kernels <= own.keys() and not any(own.keys() < other.keys() for other in weights)
    ]
    return [options[index] for index in whole], [forwards[index] for index in whole]


def _is_kernel(node: Node) -> bool:
    """Whether a variable has more than one axis along which it varies: a vector may be a norm's."""
    shape = node.attrs.get("shape")
    return shape is not None and sum(size != 1 for size in shape) > 1


def _training_left(forward: Graph, moments: list[str]) -> Score:
    """How much training is left on the way to the outputs: training-mode ops, batch moments, random numbers."""
    fused = sum(node.op in FUSED and is_training(node) for node in forward)
    alive = {t for t in moments if node_name(t) in forward and forward[node_name(t)].op not in FUSED}
    noise = sum(node.op in RANDOM for node in forward)
    return fused, len(alive), noise


def _settle(node: Node, options: list[Array], scores: list[Score], current: Array | None) -> Flag | None:
    kind = KINDS.get(node.op, "variable")
    best = min(scores, key=sum)
    if len(set(scores)) == 1:
        return _settle_by_name(node, kind)
    if any(part > other for score in scores for part, other in zip(best, score, strict=True)):
        raise InferenceError(
            f"the {kind} {node.name} switches training off in one place and on in another",
            hint=f"say which value means inference: --set {node.name}=…",
            node=node.name,
        )
    candidates = [option for option, score in zip(options, scores, strict=True) if score == best]
    value = next((c for c in candidates if current is not None and c == current), candidates[0])
    return Flag(node.name, kind, value, "training stops at this value")


def _is_named(node: Node) -> bool:
    return bool(TRAINING_NAME.search(node.name) or INFERENCE_NAME.search(node.name))


def _settle_by_name(node: Node, kind: str) -> Flag | None:
    if kind == "constant" or node.attrs["dtype"].name != "bool":
        return None
    if INFERENCE_NAME.search(node.name):
        return Flag(node.name, kind, np.asarray(True), "by its name alone")
    if TRAINING_NAME.search(node.name):
        return Flag(node.name, kind, np.asarray(False), "by its name alone")
    return None
