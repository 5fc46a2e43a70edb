"""The inputs and outputs of a saved graph: by signature, by the user's word, or found."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from bnfold.errors import InferenceError
from bnfold.graph import DType, Graph, Shape, TensorType, node_name, output_index, tensor_name
from bnfold.graph.dtypes import FLOAT32
from bnfold.graph.graph_def import op_definition
from bnfold.graph.stages import Endpoint, Signature, SourceModel
from bnfold.inference.anatomy import Anatomy, dissect
from bnfold.inference.cut import Interface, cut
from bnfold.inference.dropout import remove_dropout
from bnfold.inference.inputs import choose_inputs
from bnfold.inference.outputs import Choice, Choices, choose_outputs
from bnfold.inference.shapes import free_batch, static_types

__all__ = ["Interface", "cut", "find_interface"]


def find_interface(
    source: SourceModel, *, inputs: Mapping[str, Shape | None] | None = None, outputs: Sequence[str] | None = None
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
    chosen = _outputs(graph, parts, signature, outputs)
    entries = _inputs(graph, parts, signature, asked, [choice.tensor for choice in chosen.chosen])
    return _describe(graph, entries, chosen, asked)


def _outputs(graph: Graph, parts: Anatomy, signature: Signature | None, asked: Sequence[str] | None) -> Choices:
    if asked:
        names = dict.fromkeys(_existing(graph, name) for name in asked)
        return Choices(tuple(Choice(name, "named by the user") for name in names))
    if signature is not None and signature.outputs:
        names = dict.fromkeys(tensor_name(name) for name in signature.outputs.values())
        return Choices(tuple(Choice(name, f"signature {signature.name}") for name in names))
    weighted = [f"{name}:0" for name in parts.weighted if name in parts.live]
    chosen = choose_outputs(parts, static_types(graph, weighted))
    if not chosen.chosen:
        raise InferenceError(
            "no output found: nothing in the graph goes through weights and ends outside a loss",
            hint="name the output with --output",
        )
    return chosen


def _inputs(
    graph: Graph, parts: Anatomy, signature: Signature | None, asked: Mapping[str, Shape | None], outputs: list[str]
) -> Choices:
    known = dict.fromkeys(asked, "named by the user")
    if signature is not None and not asked:
        known = {tensor_name(name): f"signature {signature.name}" for name in signature.inputs.values()}
        known = {name: reason for name, reason in known.items() if not _is_text(graph, name)}
    forward, _ = remove_dropout(graph.pruned(outputs))
    found = choose_inputs(forward.pruned(outputs), outputs, parts, given=known)
    given = tuple(Choice(name, reason) for name, reason in known.items())
    return Choices((*given, *found.chosen), found.alternatives)


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


def _describe(graph: Graph, entries: Choices, chosen: Choices, asked: Mapping[str, Shape | None]) -> Interface:
    tensors = [choice.tensor for choice in entries.chosen]
    types = static_types(graph, tensors)
    taken: set[str] = set()
    inputs = []
    for choice in entries.chosen:
        declared = types.get(choice.tensor, TensorType(FLOAT32, None))
        shape = _agreed(choice.tensor, declared.shape, asked.get(choice.tensor))
        tensor = _legal(graph, choice.tensor, taken)
        inputs.append(Endpoint(choice.tensor, tensor, declared.dtype, shape, choice.reason, entries.alternatives))
    fixed = {endpoint.name for endpoint in inputs if asked.get(endpoint.name) is not None}
    results = [choice.tensor for choice in chosen.chosen]
    inputs = free_batch(graph, inputs, results, fixed)
    found = static_types(cut(graph, Interface(tuple(inputs), ())), results)
    unknown = TensorType(FLOAT32, None)
    outputs = []
    for choice in chosen.chosen:
        kind = found.get(choice.tensor, unknown)
        renamed = {endpoint.name: endpoint.tensor for endpoint in inputs}
        tensor = renamed.get(choice.tensor, choice.tensor)
        outputs.append(Endpoint(choice.tensor, tensor, kind.dtype, kind.shape, choice.reason, chosen.alternatives))
    return Interface(tuple(inputs), tuple(outputs))


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
