"""The inputs and outputs of a saved graph: by signature, by the user's word, or found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from bnfold.errors import InferenceError
from bnfold.graph import Array, DType, Graph, Shape, TensorType, node_name, output_index, tensor_name
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.graph_def import op_definition
from bnfold.graph.stages import Endpoint, Signature, SourceModel
from bnfold.inference.anatomy import Anatomy, dissect
from bnfold.inference.choices import Choice, Choices
from bnfold.inference.control_flow import resolve
from bnfold.inference.cut import Interface, cut
from bnfold.inference.dropout import remove_dropout
from bnfold.inference.given import current_value, fix
from bnfold.inference.inputs import PLACEHOLDERS, choose_inputs, merged_pipelines
from bnfold.inference.moving_statistics import find_updates
from bnfold.inference.outputs import choose_outputs
from bnfold.inference.shapes import forward_of, free_batch, shape_from_readers, static_types
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
    asked = {_existing(graph, name): shape for name, shape in (inputs or {}).items()}
    types: dict[str, TensorType] = {}
    chosen = _outputs(graph, parts, signature, outputs, types)
    entries = _inputs(source, parts, signature, asked, [choice.tensor for choice in chosen.chosen], given or {})
    return _describe(graph, entries, chosen, asked, types)


def _outputs(
    graph: Graph,
    parts: Anatomy,
    signature: Signature | None,
    asked: Sequence[str] | None,
    types: dict[str, TensorType],
) -> Choices:
    """The outputs; ``types`` is filled with what had to be inferred to find them."""
    if asked:
        names = dict.fromkeys(_existing(graph, name) for name in asked)
        return Choices(tuple(Choice(name, "named by the user") for name in names))
    if signature is not None and signature.outputs:
        names = dict.fromkeys(tensor_name(name) for name in signature.outputs.values())
        return Choices(tuple(Choice(name, f"signature {signature.name}") for name in names))
    types.update(static_types(graph, [f"{name}:0" for name in parts.weighted if name in parts.live]))
    chosen = choose_outputs(parts, types)
    if not chosen.chosen:
        raise InferenceError(
            "no output found: nothing in the graph goes through weights and ends outside a loss",
            hint="name the output with --output",
        )
    return chosen


def _inputs(
    source: SourceModel,
    parts: Anatomy,
    signature: Signature | None,
    asked: Mapping[str, Shape | None],
    outputs: list[str],
    given: Mapping[str, Array],
) -> Choices:
    graph = source.graph
    known = dict.fromkeys(asked, "named by the user")
    if signature is not None and not asked:
        known = {tensor_name(name): f"signature {signature.name}" for name in signature.inputs.values()}
        known = {name: reason for name, reason in known.items() if not _is_text(graph, name)}
    known.update(merged_pipelines(graph, outputs, parts, stop=known))
    fixed = tuple(Choice(name, reason) for name, reason in known.items())
    stubs = _endpoints(graph, Choices(fixed), {})
    names = {stub.tensor: stub.name for stub in stubs}
    results = [stub_of(stubs, tensor) for tensor in outputs]
    alone = cut(forward_of(graph, stubs, results), Interface(tuple(stubs), ()))
    forward, results = _forward(source, alone, results, given)
    found = _found(forward, results, parts)
    needed = {names.get(choice.tensor, choice.tensor): choice for choice in found.chosen}
    position = {node.name: index for index, node in enumerate(graph)}
    rest = [choice for name, choice in needed.items() if name not in known]
    rest.sort(key=lambda choice: position.get(node_name(choice.tensor), 0))
    used = tuple(choice for choice in fixed if choice.tensor in needed or choice.tensor in asked)
    return Choices((*used, *rest), found.alternatives)


def stub_of(stubs: Iterable[Endpoint], tensor: str) -> str:
    """The name of ``tensor`` once the inputs ``stubs`` are cut."""
    return next((stub.tensor for stub in stubs if stub.name == tensor), tensor)


def _forward(
    source: SourceModel, graph: Graph, outputs: list[str], given: Mapping[str, Array]
) -> tuple[Graph, list[str]]:
    """What ``outputs`` need of ``graph`` once training flags are off, and their names there."""
    flags = find_flags(graph, outputs, find_updates(source.graph), given, lambda node: current_value(source, node))
    known = {**given, **{f"{flag.node}:0": flag.value for flag in flags}}
    resolved = resolve(fix(graph, known), {}, outputs)
    outputs = [resolved.renamed.get(tensor, tensor) for tensor in outputs]
    return resolved.graph.pruned(outputs), outputs


def _found(forward: Graph, outputs: list[str], parts: Anatomy) -> Choices:
    """The inputs of ``forward``, from which dropout is still to go.

    Noise on what a pipeline gives is augmentation, and the input comes after it; noise on what the user feeds is a
    layer of the model, and goes.
    """
    without = remove_dropout(forward, kinds=("dropout",))[0].pruned(outputs)
    found = choose_inputs(without, outputs, parts)
    fed = {node.name for node in without if node.op in PLACEHOLDERS}
    if not any(fed & without.ancestors([choice.tensor]) - {node_name(choice.tensor)} for choice in found.chosen):
        return found
    return choose_inputs(remove_dropout(without)[0].pruned(outputs), outputs, parts)


def _is_text(graph: Graph, tensor: str) -> bool:
    node = graph.find_producer(tensor)
    dtype = node.attrs.get("dtype") if node is not None else None
    return isinstance(dtype, DType) and dtype.name == "string"


# Names


def _existing(graph: Graph, name: str) -> str:
    """The tensor that ``name`` means; InferenceError with the nearest names when there is none."""
    try:
        tensor = tensor_name(name)
    except ValueError as error:
        raise InferenceError(f"no tensor {name} in the graph", hint=str(error)) from None
    node = graph.find_producer(tensor)
    if node is None:
        raise InferenceError(f"no tensor {tensor} in the graph", hint=_did_you_mean(graph, name))
    count = _output_count(node.op, node.attrs)
    if count is not None and output_index(tensor) >= count:
        plural = "output" if count == 1 else "outputs"
        raise InferenceError(f"no tensor {tensor} in the graph: {node.name} is a {node.op} with {count} {plural}")
    return tensor


def _output_count(op: str, attrs: Mapping[str, object]) -> int | None:
    definition = op_definition(op)
    if definition is None:
        return None
    count = 0
    for argument in definition.output_arg:
        if argument.number_attr:
            number = attrs.get(argument.number_attr)
            count += number if isinstance(number, int) else 1
        elif argument.type_list_attr:
            types = attrs.get(argument.type_list_attr)
            count += len(types) if isinstance(types, list) else 1
        else:
            count += 1
    return count


def _did_you_mean(graph: Graph, name: str) -> str:
    wanted = node_name(name)
    names = [node.name for node in graph if node.op not in ("Const", "NoOp")]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.6)
    tail = wanted.rpartition("/")[2].lower()
    near += [other for other in names if other.rpartition("/")[2].lower() == tail and other not in near][:3]
    if not near:
        return "bnfold inspect lists the inputs and outputs that the graph could have"
    return f"did you mean {' or '.join(near[:3])}?"


# Types


def _describe(
    graph: Graph,
    entries: Choices,
    chosen: Choices,
    asked: Mapping[str, Shape | None],
    types: Mapping[str, TensorType],
) -> Interface:
    inputs = _endpoints(graph, entries, asked)
    fixed = {endpoint.name for endpoint in inputs if asked.get(endpoint.name) is not None}
    results = [stub_of(inputs, choice.tensor) for choice in chosen.chosen]
    inputs = free_batch(graph, inputs, results, fixed)
    if any(types.get(entry.name) != TensorType(entry.dtype, entry.shape) for entry in inputs):
        types = static_types(cut(forward_of(graph, inputs, results), Interface(tuple(inputs), ())), results)
    outputs = []
    for choice, tensor in zip(chosen.chosen, results, strict=True):
        kind = types.get(tensor, UNKNOWN)
        outputs.append(Endpoint(choice.tensor, tensor, kind.dtype, kind.shape, choice.reason, chosen.alternatives))
    return Interface(tuple(inputs), tuple(outputs))


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
