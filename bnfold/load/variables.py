"""The variables of a graph bound to the tensors of a checkpoint, each read when someone asks for it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence

from bnfold.errors import LoadError
from bnfold.graph import Array, DType, Graph, Node, Shape
from bnfold.graph.stages import Variable
from bnfold.load.saver import VARIABLE_OPS, SavedAs
from bnfold.load.tensor_file import TensorFile


def bind_variables(
    graph: Graph,
    tensors: TensorFile,
    saved: Mapping[str, SavedAs],
    rename: Mapping[str, str],
    label: str,
) -> dict[str, Variable]:
    """Every variable of ``graph``, by the name of its node, with the tensor that holds its value.

    Parameters
    ----------
    graph : Graph
    tensors : TensorFile
    saved : mapping of str to SavedAs
        What the Saver says; a variable that it does not list is looked up by its own name.
    rename : mapping of str to str
        Beginnings of names in the graph, and what the checkpoint has in their place.
    label : str
        The checkpoint's name in messages.

    Raises
    ------
    LoadError
        When no variable's name has a beginning that ``rename`` names.
    """
    nodes = [node for node in graph if node.op in VARIABLE_OPS]
    claimed = {target.key for target in saved.values()}
    found = {node.name: _find(node, tensors, saved.get(node.name), rename, claimed) for node in nodes}
    missing = [node for node in nodes if found[node.name] is None]
    prefix = prefix_between([saved_name(node) for node in missing], tensors.shapes)
    names = {*(saved_name(node) for node in nodes), *(target.key for target in saved.values())}
    _refuse_vain(rename, sorted(names), prefix)
    return {node.name: _variable(node, found[node.name], tensors, label, prefix) for node in nodes}


def saved_name(node: Node) -> str:
    """The name that a Saver gives the variable ``node`` unless it is told otherwise."""
    shared = node.attrs.get("shared_name") if node.op == "VarHandleOp" else None
    return shared if isinstance(shared, str) and shared else node.name


def declared(node: Node) -> tuple[DType, Shape | None]:
    """Element type and static shape of the variable ``node``.

    The first ``Variable`` op could not tell a scalar from an unknown shape (its shape function in TensorFlow's
    ``state_ops.cc``), so its scalars may be anything.

    Raises
    ------
    LoadError
        When the node lacks either.
    """
    dtype, shape = node.attrs.get("dtype"), node.attrs.get("shape")
    if not isinstance(dtype, DType) or not (shape is None or isinstance(shape, tuple)):
        raise LoadError(
            f"the variable {node.name} declares no type",
            hint="the graph's file is corrupt; copy it again",
            node=node.name,
        )
    return dtype, None if node.op == "Variable" and shape == () else shape


def _find(
    node: Node, tensors: TensorFile, saved: SavedAs | None, rename: Mapping[str, str], claimed: set[str]
) -> SavedAs | None:
    """Where the Saver put ``node``; else what has its name, unless the Saver put another variable there.

    A Saver over moving averages (``ema.variables_to_restore()``) saves the weights under the averages' names.
    """
    own = dict.fromkeys([renamed(saved_name(node), rename), saved_name(node), node.name])
    candidates = [SavedAs(key) for key in own if key not in claimed]
    if saved is not None:
        candidates = [SavedAs(renamed(saved.key, rename), saved.part), saved, *candidates]
    return next((candidate for candidate in candidates if candidate.key in tensors), None)


def _refuse_vain(rename: Mapping[str, str], names: Sequence[str], prefix: str | None) -> None:
    for old in rename:
        if not any(name.startswith(old) for name in names):
            some = ", ".join(difflib.get_close_matches(old, names, 3, cutoff=0.3) or names[:3])
            raise LoadError(f"no variable's name begins with {old!r}", hint=prefix or f"the graph has {some or 'none'}")


def renamed(name: str, rename: Mapping[str, str]) -> str:
    """``name`` with its beginning replaced by the first of ``rename`` that fits."""
    for old, new in rename.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def _variable(node: Node, saved: SavedAs | None, tensors: TensorFile, label: str, prefix: str | None) -> Variable:
    dtype, shape = declared(node)
    if saved is None:
        return Variable(node.name, None, dtype, shape, _absent(node, label, prefix))

    def read() -> Array:
        refuse_misfit(node.name, saved, dtype, shape, tensors, label)
        value = tensors.read(saved.key)
        return value if saved.part is None else value[saved.part.parts]

    return Variable(node.name, saved.key, dtype, shape, read)


def without_values(graph: Graph, reason: str, hint: str) -> dict[str, Variable]:
    """The variables of a ``graph`` that came without values: reading one raises LoadError with ``reason``."""

    def refusal(node: Node) -> Callable[[], Array]:
        def read() -> Array:
            raise LoadError(f"{reason}: the variable {node.name} has no value", hint=hint, node=node.name)

        return read

    nodes = [node for node in graph if node.op in VARIABLE_OPS]
    return {node.name: Variable(node.name, None, *declared(node), refusal(node)) for node in nodes}


def _absent(node: Node, label: str, prefix: str | None) -> Callable[[], Array]:
    hint = prefix or "it was saved by a Saver over other variables; restore it from another checkpoint and save all"

    def read() -> Array:
        raise LoadError(f"{node.name} is not in the checkpoint {label}", hint=hint, node=node.name)

    return read


def refuse_misfit(
    name: str, saved: SavedAs, dtype: DType, shape: Shape | None, tensors: TensorFile, label: str
) -> None:
    """Compare what the graph declares with what the checkpoint has, before the value is read.

    Raises
    ------
    LoadError
        When shapes or element types disagree.
    """
    hint = "the graph and the values are of different models; use the .meta that was saved with this .data"
    stored = tensors.shapes[saved.key]
    if saved.part is not None:
        if stored != saved.part.whole:
            raise LoadError(
                f"shapes disagree: {name} is part of {saved.part.whole} in the graph, "
                f"and {saved.key} is {stored} in the checkpoint {label}",
                hint=hint,
                node=name,
            )
        stored = tuple(len(range(size)[part]) for size, part in zip(stored, saved.part.parts, strict=True))
    if not fits(stored, shape):
        raise LoadError(
            f"shapes disagree: {name} is {shape} in the graph and {stored} in the checkpoint {label}",
            hint=hint,
            node=name,
        )
    if tensors.dtypes[saved.key] != dtype:
        raise LoadError(
            f"{name} is {dtype} in the graph and {tensors.dtypes[saved.key]} in the checkpoint {label}",
            hint=hint,
            node=name,
        )


def fits(actual: Shape, declared: Shape | None) -> bool:
    """Whether an array of shape ``actual`` may be what was ``declared``."""
    if declared is None:
        return True
    return len(actual) == len(declared) and all(
        want is None or have == want for have, want in zip(actual, declared, strict=True)
    )


def prefix_between(missing: list[str], keys: Iterable[str]) -> str | None:
    """How to say that the checkpoint's names differ from the graph's by a prefix; None when they do not.

    Each missing name is matched with the keys that end as it does (or the other way round); a prefix explains the
    difference when it finds at least half of what is missing.
    """
    if not missing:
        return None
    present = set(keys)
    votes: dict[tuple[str, str], int] = {}
    tails = {name: set(_tails(name)) for name in missing}
    by_tail: dict[str, list[str]] = {}
    for key in present:
        for tail in _tails(key):
            by_tail.setdefault(tail, []).append(key)
    for name in missing:
        pairs = {("", key[: -len(name)]) for key in by_tail.get(name, ()) if key != name}
        pairs |= {(name[: -len(tail)], "") for tail in tails[name] & present}
        for pair in pairs:
            votes[pair] = votes.get(pair, 0) + 1
    best = max(votes, key=lambda pair: (votes[pair], pair), default=None)
    if best is None or 2 * votes[best] < len(missing):
        return None
    old, new = best
    return f"the checkpoint's names differ by a prefix; try --rename-variables {old}={new}"


def _tails(name: str) -> list[str]:
    """What is left of ``name`` without its first scope, its first two, …"""
    return [name[i + 1 :] for i, letter in enumerate(name) if letter == "/"]
