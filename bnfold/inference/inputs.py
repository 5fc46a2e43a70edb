"""Where data enters the inference graph: placeholders, or where a queue, parser or augmentation is cut off."""

from __future__ import annotations

from collections.abc import Container, Iterable

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.anatomy import Anatomy, in_loops
from bnfold.inference.choices import RUNNERS, Choice, Choices
from bnfold.inference.op_kinds import PIPELINE, PLACEHOLDERS, RANDOM, SHAPE_ONLY

UNBATCHED = frozenset(
    {
        "Mfcc", "AudioSpectrogram", "DecodeWav", "DecodeJpeg", "DecodePng", "DecodeGif", "DecodeBmp", "DecodeImage",
        "DecodeAndCropJpeg", "DecodeRaw", "DecodePaddedRaw", "ParseSingleExample", "ParseTensor", "ReadFile",
    }
)  # fmt: skip
"""Ops that give one example, without a batch dimension."""

_RESHAPING = frozenset({"Identity", "Squeeze", "Transpose", "Reshape"})


def choose_inputs(graph: Graph, outputs: Iterable[str], parts: Anatomy, fed: Iterable[str] = ()) -> Choices:
    """What has to be fed so that ``outputs`` can be computed.

    Parameters
    ----------
    graph : Graph
        Without dropout and training flags.
    outputs : iterable of str
    parts : Anatomy
        Of the graph as saved.
    fed : iterable of str
        Tensors that the user feeds: what they lead to is computed, also by ops that elsewhere bring data in.
    """
    outputs, fed = list(outputs), set(fed)
    computed = graph.descendants(fed)
    forward = graph.topological(outputs, stop=_sources(graph, parts, computed))
    names = {node.name for node in forward}
    entries: dict[str, Choice] = {}
    for tensor in [*outputs, *(tensor for node in forward for tensor in node.inputs)]:
        if node_name(tensor) not in computed and (choice := _entry(graph, tensor, parts)) is not None:
            entries.setdefault(tensor, choice)
    chosen = _after_augmentation(graph, list(entries.values()), names, outputs, parts, computed)
    chosen = [_with_batch(graph, choice, names) for choice in chosen]
    if parts.layers:  # without any, there are no towers either
        chosen = [choice if choice.tensor in fed else _behind_split(graph, choice, names) for choice in chosen]
    unused = [tensor for tensor in parts.sources if tensor not in entries and _is_candidate(parts.graph, tensor)]
    return Choices(tuple(chosen), tuple(unused)[:RUNNERS])


def _sources(graph: Graph, parts: Anatomy, computed: Container[str] = ()) -> list[str]:
    """Tensors that data comes from, so that the walk from the outputs ends at them."""
    return [
        node.tensor(index)
        for node in graph
        if node.op in PLACEHOLDERS or (_is_handed_over(node, parts) and node.name not in computed)
        for index in range(_outputs(graph, node))
    ]


def _is_handed_over(node: Node, parts: Anatomy) -> bool:
    return node.name in parts.entries and PIPELINE.fullmatch(node.op) is not None


def _outputs(graph: Graph, node: Node) -> int:
    return 1 + max((int(t.rpartition(":")[2]) for t in graph.outputs_read(node.name)), default=0)


def _entry(graph: Graph, tensor: str, parts: Anatomy) -> Choice | None:
    node = graph.find_producer(tensor)
    if node is None:
        return None
    if node.op in PLACEHOLDERS:
        return Choice(tensor, f"{_kind(node)} that the outputs need")
    if _is_handed_over(node, parts):
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


# Towers


def _behind_split(graph: Graph, choice: Choice, names: set[str]) -> Choice:
    """Of a batch that is split among towers, the part that the one tower reads that is left."""
    reader = _only_reader(graph, choice.tensor, names)
    if reader is None or reader.op not in ("Split", "SplitV"):
        return choice
    axis = graph.value(reader.inputs[0 if reader.op == "Split" else 2])
    read = [tensor for tensor in graph.outputs_read(reader.name) if any(r.name in names for r in graph.readers(tensor))]
    if axis is None or int(axis) != 0 or len(read) != 1:
        return choice
    return Choice(read[0], "one tower's part of the batch")


# Several pipelines, of which a condition picks one


def merged_pipelines(graph: Graph, outputs: Iterable[str], parts: Anatomy, stop: Iterable[str]) -> dict[str, str]:
    """Tensors in which pipelines meet that are never used at once: to train, to validate. With the reason.

    They are all the same to the model: the input is what they lead to.
    """
    sources = _sources(graph, parts)
    forward = graph.topological(outputs, stop=[*sources, *stop])
    found: dict[str, str] = {}
    for node in forward:
        if node.op not in ("Merge", "RefMerge", "Select", "SelectV2") or node.name in parts.weighted:
            continue
        branches = node.inputs if node.op.endswith("Merge") else node.inputs[1:]
        feeding = [_pipelines(graph, tensor, sources) for tensor in branches]
        if all(feeding) and not frozenset.intersection(*feeding):
            found[node.output] = "where one of several pipelines is chosen"
    inner = graph.ancestors(tensor for name in found for tensor in graph.producer_of(name).inputs)
    return {tensor: reason for tensor, reason in found.items() if node_name(tensor) not in inner}


def _pipelines(graph: Graph, tensor: str, sources: list[str]) -> frozenset[str]:
    """The ops that bring in the data that ``tensor`` is made of; none if a Placeholder has a part in it."""
    names = {node.name for node in _values(graph, tensor, sources)}
    if any(graph[name].op in PLACEHOLDERS for name in names):
        return frozenset()
    return frozenset(name for name in names if PIPELINE.fullmatch(graph[name].op))


def _values(graph: Graph, tensor: str, sources: list[str]) -> list[Node]:
    """The nodes whose values ``tensor`` is made of: not those that steer a Switch or lend their shape."""
    stops = set(sources)
    found: dict[str, Node] = {}
    stack = [tensor]
    while stack:
        current = stack.pop()
        node = graph.find_producer(current)
        if node is None or node.name in found:
            continue
        found[node.name] = node
        if current not in stops and node.op not in SHAPE_ONLY and node.op not in RANDOM:
            stack += node.inputs[:1] if node.op in ("Switch", "RefSwitch") else node.inputs
    return list(found.values())


# Augmentation: random numbers that join the data before the first layer


def _after_augmentation(
    graph: Graph,
    entries: list[Choice],
    names: set[str],
    outputs: list[str],
    parts: Anatomy,
    computed: Container[str],
) -> list[Choice]:
    """Entries with random numbers and the data they join replaced by the tensor in which they have joined.

    Random numbers that join what the user feeds, at a node of ``computed``, are part of the model.
    """
    kept = list(entries)
    for entry in entries:
        if entry not in kept or graph.producer_of(entry.tensor).op not in RANDOM:
            continue
        others = [node_name(other.tensor) for other in kept if other != entry]
        joined = _first_join(graph, entry.tensor, names, outputs, parts, others)
        if joined is None or node_name(joined) in computed:
            kept.remove(entry)  # it joins behind the first layer: sampling that belongs to the model
        elif joined == entry.tensor:
            latent = _after_scaling(graph, joined, names)
            kept[kept.index(entry)] = Choice(latent, "random numbers that the model begins with")
        else:
            while (reader := _only_reader(graph, joined, names)) is not None and reader.op == "Identity":
                joined = reader.output  # people name what they have augmented
            before = graph.ancestors([joined])
            kept = [other for other in kept if node_name(other.tensor) not in before]
            kept.append(Choice(joined, "where random augmentation ends"))
    return kept


def _after_scaling(graph: Graph, tensor: str, names: set[str]) -> str:
    """``tensor`` moved behind the mean and deviation that tf.random.normal multiplies and adds."""
    while (reader := _only_reader(graph, tensor, names)) is not None and reader.op in ("Mul", "Add", "AddV2", "Sub"):
        if any(graph.value(other) is None for other in reader.inputs if other != tensor):
            break
        tensor = reader.output
    return tensor


def _first_join(
    graph: Graph, start: str, names: set[str], outputs: list[str], parts: Anatomy, others: list[str]
) -> str | None:
    """The first tensor that all paths from random ``start`` pass through and that depends on other data too.

    None if a layer comes first; ``start`` itself if a layer takes random numbers alone, the latent of a generator.
    """
    after = graph.descendants([start]) & names
    early = [node for node in graph if node.name in after and node.name not in parts.weighted]
    looping = in_loops(graph)
    best: str | None = None
    for node in early:
        if node.name in looping or _is_flow(graph, node) or not _commands(graph, node.name, start, after, outputs):
            continue
        if best is None or node.name in graph.ancestors([best]):
            joins = not {part.name for part in _values(graph, node.output, [])}.isdisjoint(others)
            best = node.output if joins else best
    if best is not None and graph.producer_of(best).op not in ("Concat", "ConcatV2", "Pack"):
        return best
    reached = [*graph.readers(start), *(reader for node in early for reader in graph.consumers(node.name))]
    return start if any(reader.name in parts.layers for reader in reached) else None


def _commands(graph: Graph, name: str, start: str, after: set[str], outputs: list[str]) -> bool:
    """Whether nothing that follows from ``start`` reaches ``outputs`` but through node ``name``."""
    ends = {node_name(tensor) for tensor in outputs} - {name}
    stack, seen = [start], {name}
    while stack:
        for reader in graph.readers(stack.pop()):
            if reader.name in ends:
                return False
            if reader.name in after and reader.name not in seen:
                seen.add(reader.name)
                stack += graph.outputs_read(reader.name)
    return True


def _is_flow(graph: Graph, node: Node) -> bool:
    """Whether ``node`` gives the number that stands for the state of a TensorArray."""
    readers = graph.consumers(node.name)
    return bool(readers) and all(reader.op.startswith("TensorArray") for reader in readers)


# Examples without a batch


def _with_batch(graph: Graph, choice: Choice, names: set[str]) -> Choice:
    """Move the cut behind the op that gives a lone example its batch dimension, where nothing else reads it before."""
    node = graph.producer_of(choice.tensor)
    if node.op not in UNBATCHED:
        return choice
    tensor = choice.tensor
    while (reader := _only_reader(graph, tensor, names)) is not None:
        if _adds_batch(graph, reader):
            return Choice(reader.output, f"where the examples of {node.op} get their batch dimension")
        if reader.op not in _RESHAPING:
            break
        tensor = reader.output
    return choice


def _only_reader(graph: Graph, tensor: str, names: set[str]) -> Node | None:
    readers = [reader for reader in graph.readers(tensor) if reader.name in names]
    return readers[0] if len(readers) == 1 else None


def _adds_batch(graph: Graph, node: Node) -> bool:
    argument = graph.find_producer(node.inputs[1]) if len(node.inputs) > 1 else None
    value = argument.attrs["value"].ravel() if argument is not None and argument.op == "Const" else None
    if node.op == "ExpandDims":
        return value is not None and value.size == 1 and value[0] == 0
    if node.op == "Reshape":
        return value is not None and value.size > 1 and value[0] in (-1, 1)
    return node.op == "Pack" and node.attrs.get("axis", 0) == 0
