"""Where data enters the inference graph: placeholders, or where a queue, parser or augmentation is cut off."""

from __future__ import annotations

from collections.abc import Iterable

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.anatomy import PIPELINE, RANDOM, Anatomy
from bnfold.inference.outputs import Choice, Choices

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})

UNBATCHED = frozenset(
    {
        "Mfcc", "AudioSpectrogram", "DecodeWav", "DecodeJpeg", "DecodePng", "DecodeGif", "DecodeBmp", "DecodeImage",
        "DecodeAndCropJpeg", "DecodeRaw", "DecodePaddedRaw", "ParseSingleExample", "ParseTensor", "ReadFile",
    }
)  # fmt: skip
"""Ops that give one example, without a batch dimension."""

_ELEMENTWISE = frozenset({"Cast", "Identity", "Mul", "Sub", "RealDiv", "Div", "Add", "AddV2", "Squeeze", "Transpose"})


def choose_inputs(graph: Graph, outputs: Iterable[str], parts: Anatomy, *, given: Iterable[str] = ()) -> Choices:
    """What has to be fed so that ``outputs`` can be computed.

    Parameters
    ----------
    graph : Graph
        Without dropout and training flags, as far as they are known.
    outputs : iterable of str
    parts : Anatomy
        Of the graph as saved.
    given : iterable of str
        Tensors that the user feeds.
    """
    given = list(given)
    forward = [node for node in graph.topological(outputs, stop=[*given, *_sources(graph)]) if node.name in graph]
    names = {node.name for node in forward}
    entries: dict[str, Choice] = {}
    for node in forward:
        for tensor in node.inputs:
            if (choice := _entry(graph, tensor, parts)) is not None and tensor not in given:
                entries.setdefault(choice.tensor, choice)
    for tensor in outputs:
        if (choice := _entry(graph, tensor, parts)) is not None:
            entries.setdefault(choice.tensor, choice)
    chosen = _after_augmentation(graph, list(entries.values()), names, list(outputs), parts)
    chosen = [_with_batch(graph, choice, names) for choice in chosen]
    unused = [tensor for tensor in parts.sources if tensor not in entries and _is_candidate(parts.graph, tensor)]
    return Choices(tuple(chosen), tuple(unused))


def _sources(graph: Graph) -> list[str]:
    """Tensors that data comes from, so that the walk from the outputs ends at them."""
    return [
        node.tensor(index)
        for node in graph
        if node.op in PLACEHOLDERS or PIPELINE.fullmatch(node.op)
        for index in range(_outputs(graph, node))
    ]


def _outputs(graph: Graph, node: Node) -> int:
    return 1 + max((int(t.rpartition(":")[2]) for t in graph.outputs_read(node.name)), default=0)


def _entry(graph: Graph, tensor: str, parts: Anatomy) -> Choice | None:
    node = graph.find_producer(tensor)
    if node is None:
        return None
    if node.op in PLACEHOLDERS:
        return None if _is_flag(node, graph) else Choice(tensor, f"{_kind(node)} that the outputs need")
    if PIPELINE.fullmatch(node.op):
        return Choice(tensor, f"where {node.op} hands over the data")
    if node.op in RANDOM and node.name not in parts.weighted:
        return Choice(tensor, f"random numbers of {node.op}")
    return None


def _is_candidate(graph: Graph, tensor: str) -> bool:
    """Whether a person would take ``tensor``, which the outputs do not need, for an input at first sight."""
    node = graph.producer_of(tensor)
    dtype = node.attrs.get("dtype")
    return node.op in PLACEHOLDERS and (dtype is None or dtype.name not in ("string", "bool"))


def _kind(node: Node) -> str:
    dtype = node.attrs.get("dtype")
    return f"{dtype.name if dtype else 'unknown'} placeholder"


def _is_flag(node: Node, graph: Graph) -> bool:
    dtype = node.attrs.get("dtype")
    if dtype is None or dtype.name != "bool":
        return False
    return any(_steers(graph, node.output, set()))


def _steers(graph: Graph, tensor: str, seen: set[str]) -> list[bool]:
    """One True for each conditional that ``tensor`` decides."""
    found: list[bool] = []
    for reader in graph.readers(tensor):
        if reader.name in seen:
            continue
        seen.add(reader.name)
        if (reader.op in ("Switch", "RefSwitch") and reader.inputs[1] == tensor) or (
            reader.op in ("If", "StatelessIf", "Case", "StatelessCase", "Select", "SelectV2")
            and reader.inputs[0] == tensor
        ):
            found.append(True)
        elif reader.op in ("Identity", "LogicalNot", "LogicalAnd", "LogicalOr", "Cast", "Squeeze", "Reshape"):
            found += _steers(graph, reader.output, seen)
    return found


# Augmentation: random numbers that join the data before the first layer


def _after_augmentation(
    graph: Graph, entries: list[Choice], names: set[str], outputs: list[str], parts: Anatomy
) -> list[Choice]:
    """Entries with random numbers and the data they join replaced by the tensor in which they have joined."""
    kept = list(entries)
    for entry in entries:
        if entry not in kept or graph.producer_of(entry.tensor).op not in RANDOM:
            continue
        others = [node_name(other.tensor) for other in kept if other != entry]
        joined = _first_join(graph, entry.tensor, names, outputs, parts, others)
        if joined is None:
            kept.remove(entry)  # it joins behind the first layer: sampling that belongs to the model
        elif joined != entry.tensor:
            before = graph.ancestors([joined])
            kept = [other for other in kept if node_name(other.tensor) not in before]
            kept.append(Choice(joined, "where random augmentation ends"))
    return kept


def _first_join(
    graph: Graph, start: str, names: set[str], outputs: list[str], parts: Anatomy, others: list[str]
) -> str | None:
    """The first tensor that all paths from random ``start`` pass through and that depends on other data too.

    None if a layer comes first; ``start`` itself if the layer takes random numbers alone, the latent of a generator.
    """
    after = graph.descendants([start]) & names
    pending = {start: _readers_among(graph, start, after)}
    for node in graph.topological(outputs):
        if node.name not in after:
            continue
        alone = next(iter(pending)) if len(pending) == 1 else start
        if alone != start and not graph.ancestors([alone]).isdisjoint(others):
            return alone
        if node.name in parts.weighted:
            return start if node.name in parts.layers and len(pending) == 1 else None
        for readers in pending.values():
            readers.discard(node.name)
        pending.update({tensor: _readers_among(graph, tensor, after) for tensor in graph.outputs_read(node.name)})
        pending = {tensor: readers for tensor, readers in pending.items() if readers}
    return None


def _readers_among(graph: Graph, tensor: str, after: set[str]) -> set[str]:
    return {reader.name for reader in graph.readers(tensor)} & after


# Examples without a batch


def _with_batch(graph: Graph, choice: Choice, names: set[str]) -> Choice:
    """Move the cut behind the op that gives a lone example its batch dimension, where nothing else reads it before."""
    node = graph.producer_of(choice.tensor)
    if node.op not in UNBATCHED:
        return choice
    tensor = choice.tensor
    while True:
        readers = [reader for reader in graph.readers(tensor) if reader.name in names]
        if len(readers) != 1:
            return choice
        reader = readers[0]
        if _adds_batch(graph, reader):
            return Choice(reader.output, f"where the examples of {node.op} get their batch dimension")
        if reader.op not in _ELEMENTWISE:
            return choice
        tensor = reader.output


def _adds_batch(graph: Graph, node: Node) -> bool:
    argument = graph.find_producer(node.inputs[1]) if len(node.inputs) > 1 else None
    value = argument.attrs["value"].ravel() if argument is not None and argument.op == "Const" else None
    if node.op == "ExpandDims":
        return value is not None and value.size == 1 and value[0] == 0
    if node.op == "Reshape":
        return value is not None and value.size > 1 and value[0] in (-1, 1)
    return node.op == "Pack" and node.attrs.get("axis", 0) == 0
