"""The inputs and outputs of a saved graph: by signature, by the user's word, or found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bnfold.errors import InferenceError
from bnfold.graph import Array, DType, Graph, Shape, TensorType, node_name, output_index, tensor_name
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.stages import Endpoint, Signature, SourceModel
from bnfold.inference.anatomy import Anatomy, dissect
from bnfold.inference.batch import free_batch
from bnfold.inference.choices import Choice, Choices
from bnfold.inference.computable import computable
from bnfold.inference.control_flow import resolve
from bnfold.inference.cut import Interface, cut
from bnfold.inference.dropout import remove_dropout
from bnfold.inference.ends import choose_ends
from bnfold.inference.given import current_value, default_switches, fix
from bnfold.inference.inputs import choose_inputs, merged_pipelines
from bnfold.inference.moving_statistics import find_updates
from bnfold.inference.op_kinds import PIPELINE, PLACEHOLDERS
from bnfold.inference.outputs import choose_outputs
from bnfold.inference.shapes import forward_of, shape_from_readers, static_types
from bnfold.inference.tensor_names import existing_tensor
from bnfold.inference.training_flag import find_flags

__all__ = ["Interface", "cut", "find_interface"]

UNKNOWN = TensorType(FLOAT32, None)
"""What a tensor is taken for that comes from ops no TensorFlow of today knows."""


def find_interface(
    source: SourceModel,
    *,
    inputs: Mapping[str, Shape | None] | None = None,
    outputs: Sequence[str] | None = None,
    given: Mapping[str, Array] | None = None,
) -> Interface:
    """Choose the inputs and outputs of ``source``'s inference graph.

    Parameters
    ----------
    source : SourceModel
        Its graph as saved, training ops included.
    inputs : mapping of str to Shape or None, optional
        Tensors to feed, with or without ``:0``, each with the shape to give it (None: the graph's own).
    outputs : sequence of str, optional
        Tensors to compute, with or without ``:0``.
    given : mapping of str to ndarray, optional
        Tensors whose value the user has set; they are no inputs.

    Raises
    ------
    InferenceError
        For a name that the graph does not have, a shape that the graph cannot take, or when nothing in the graph
        looks like an output.
    """
    graph = source.graph
    parts = dissect(graph, trainable=source.collections.get("trainable_variables", ()))
    signature = source.signatures[0] if source.signatures else None
    asked = {existing_tensor(graph, name): shape for name, shape in (inputs or {}).items()}
    types: dict[str, TensorType] = {}
    chosen = _outputs(source, parts, signature, outputs, types)
    known = _known_inputs(graph, signature, asked)
    fed = list(known)
    known.update(merged_pipelines(graph, [choice.tensor for choice in chosen.chosen], parts, stop=known))
    forward = _forward(source, known, [choice.tensor for choice in chosen.chosen], given or {}, parts, fed)
    return _describe(graph, forward, _entries(graph, forward, known, asked), chosen, asked, types)


def _outputs(
    source: SourceModel,
    parts: Anatomy,
    signature: Signature | None,
    asked: Sequence[str] | None,
    types: dict[str, TensorType],
) -> Choices:
    """The outputs; ``types`` is filled with what had to be inferred to find them."""
    graph = source.graph
    if asked:
        names = dict.fromkeys(existing_tensor(graph, name) for name in asked)
        return Choices(tuple(Choice(name, "named by the user") for name in names))
    if signature is not None and signature.outputs:
        names = dict.fromkeys(tensor_name(name) for name in signature.outputs.values())
        return Choices(tuple(Choice(name, f"signature {signature.name}") for name in names))
    types.update(static_types(graph, [f"{name}:0" for name in parts.weighted if name in parts.live]))
    chosen = computable(choose_outputs(parts, types), parts, source.variables)
    if not chosen.chosen:
        chosen = choose_ends(parts)
    if not chosen.chosen:
        raise InferenceError(
            "no output found: nothing in the graph goes through weights and ends outside a loss",
            hint="name the output with --output",
        )
    return chosen


def _known_inputs(graph: Graph, signature: Signature | None, asked: Mapping[str, Shape | None]) -> dict[str, str]:
    """Inputs that need not be looked for, with the reason."""
    if asked or signature is None:
        return dict.fromkeys(asked, "named by the user")
    names = [tensor_name(name) for name in signature.inputs.values()]
    return {name: f"signature {signature.name}" for name in names if not _is_text(graph, name)}


@dataclass(frozen=True)
class _Forward:
    """What the outputs need once training flags are off and dropout is gone.

    ``outputs`` are their names in ``graph``; ``original`` gives the saved name of each input cut already; ``found``
    is what has to be fed.
    """

    graph: Graph
    outputs: list[str]
    original: Mapping[str, str]
    found: Choices


def _forward(
    source: SourceModel,
    known: Mapping[str, str],
    outputs: list[str],
    given: Mapping[str, Array],
    parts: Anatomy,
    fed: list[str],
) -> _Forward:
    stubs = _endpoints(source.graph, Choices(tuple(Choice(name, known[name]) for name in known)), {})
    results = [_once_cut(stubs, tensor) for tensor in outputs]
    graph = cut(forward_of(source.graph, stubs, results), Interface(tuple(stubs), ()))
    fed = [_once_cut(stubs, tensor) for tensor in fed]
    updates = find_updates(source.graph)
    flags = find_flags(graph, results, updates, given, lambda node: current_value(source, node), fed=fed)
    settled = {**default_switches(source, graph, results, fed), **given}
    settled.update((f"{flag.node}:0", flag.value) for flag in flags)
    resolved = resolve(fix(graph, settled), {}, results)
    results = [resolved.renamed.get(tensor, tensor) for tensor in results]
    graph, found = _without_dropout(resolved.graph.pruned(results), results, parts, fed)
    return _Forward(graph, results, {stub.tensor: stub.name for stub in stubs}, found)


def _once_cut(stubs: Iterable[Endpoint], tensor: str) -> str:
    """The name of ``tensor`` once the inputs ``stubs`` are cut."""
    return next((stub.tensor for stub in stubs if stub.name == tensor), tensor)


def _without_dropout(graph: Graph, outputs: list[str], parts: Anatomy, fed: list[str]) -> tuple[Graph, Choices]:
    """``graph`` without dropout, and its inputs.

    Noise on what a pipeline gives is augmentation, and the input comes after it; noise on what the user feeds is a
    layer of the model, and goes.
    """
    graph = remove_dropout(graph, kinds=("dropout",))[0].pruned(outputs)
    found = choose_inputs(graph, outputs, parts, fed)
    placeholders = {node.name for node in graph if node.op in PLACEHOLDERS}
    if any(placeholders & graph.ancestors([choice.tensor]) - {node_name(choice.tensor)} for choice in found.chosen):
        graph = remove_dropout(graph)[0].pruned(outputs)
        found = choose_inputs(graph, outputs, parts, fed)
    return remove_dropout(graph)[0].pruned(outputs, stop=[choice.tensor for choice in found.chosen]), found


def _entries(graph: Graph, forward: _Forward, known: Mapping[str, str], asked: Mapping[str, Shape | None]) -> Choices:
    """The inputs by their saved names: those known beforehand, then the others in the order of the graph.

    A placeholder that the user names is an input, whether or not the outputs depend on it.
    """
    needed = {forward.original.get(choice.tensor, choice.tensor): choice for choice in forward.found.chosen}
    if unused := [name for name in asked if name not in needed and graph.producer_of(name).op not in PLACEHOLDERS]:
        raise InferenceError(f"the outputs do not depend on {', '.join(unused)}", hint="leave out that --input")
    position = {node.name: index for index, node in enumerate(graph)}
    rest = [choice for name, choice in needed.items() if name not in known]
    rest.sort(key=lambda choice: position.get(node_name(choice.tensor), 0))
    used = (Choice(name, reason) for name, reason in known.items() if name in needed or name in asked)
    return Choices((*used, *rest), forward.found.alternatives)


def _is_text(graph: Graph, tensor: str) -> bool:
    node = graph.find_producer(tensor)
    dtype = node.attrs.get("dtype") if node is not None else None
    return isinstance(dtype, DType) and dtype.name == "string"


# Types


def _describe(
    graph: Graph,
    forward: _Forward,
    entries: Choices,
    chosen: Choices,
    asked: Mapping[str, Shape | None],
    types: Mapping[str, TensorType],
) -> Interface:
    inputs = _endpoints(graph, entries, asked)
    fixed = {endpoint.name for endpoint in inputs if asked.get(endpoint.name) is not None}
    piped = {endpoint.name for endpoint in inputs if _is_piped(graph, endpoint.name)}
    inputs, reshapes = free_batch(forward.graph, inputs, forward.outputs, fixed=fixed, piped=piped)
    if any(types.get(entry.name) != TensorType(entry.dtype, entry.shape) for entry in inputs):
        alone = cut(forward_of(forward.graph, inputs, forward.outputs), Interface(tuple(inputs), (), reshapes))
        found = static_types(alone, forward.outputs)
        types = {c.tensor: found.get(t, UNKNOWN) for c, t in zip(chosen.chosen, forward.outputs, strict=True)}
    results = [_once_cut(inputs, choice.tensor) for choice in chosen.chosen]
    outputs = []
    for choice, tensor in zip(chosen.chosen, results, strict=True):
        kind = types.get(choice.tensor, UNKNOWN)
        outputs.append(Endpoint(choice.tensor, tensor, kind.dtype, kind.shape, choice.reason, chosen.alternatives))
    return Interface(tuple(inputs), tuple(outputs), reshapes)


def _is_piped(graph: Graph, tensor: str) -> bool:
    return any(PIPELINE.fullmatch(node.op) for node in graph.topological([tensor]))


def _endpoints(graph: Graph, entries: Choices, asked: Mapping[str, Shape | None]) -> list[Endpoint]:
    types = static_types(graph, [choice.tensor for choice in entries.chosen])
    taken: set[str] = set()
    endpoints = []
    for choice in entries.chosen:
        declared = types.get(choice.tensor, UNKNOWN)
        shape = declared.shape if declared.shape is not None else shape_from_readers(graph, choice.tensor)
        shape = _agreed(choice.tensor, shape, asked.get(choice.tensor))
        tensor = _legal(graph, choice.tensor, taken)
        endpoints.append(Endpoint(choice.tensor, tensor, declared.dtype, shape, choice.reason, entries.alternatives))
    return endpoints


def _legal(graph: Graph, tensor: str, taken: set[str]) -> str:
    """The name that ``tensor`` has once a Placeholder computes it: its own if it is output 0."""
    if output_index(tensor) == 0:
        return tensor
    stem = tensor.replace(":", "_")
    name = graph.fresh_name(stem)
    while name in taken:
        name = f"{name}_"
    taken.add(name)
    return f"{name}:0"


def _agreed(tensor: str, declared: Shape | None, asked: Shape | None) -> Shape | None:
    if asked is None:
        return declared
    if declared is not None and not _fits(asked, declared):
        raise InferenceError(
            f"input {tensor} has shape {_written(declared)} in the graph and cannot be given {_written(asked)}",
            hint="give as many sizes as the graph has, and the graph's own where it fixes one",
        )
    return asked


def _fits(asked: Shape, declared: Shape) -> bool:
    """The first size may differ: it is the batch, which a pipeline fixes and the graph may not."""
    pairs = list(zip(asked, declared, strict=False))
    return len(asked) == len(declared) and all(a is None or b is None or a == b for a, b in pairs[1:])


def _written(shape: Iterable[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
