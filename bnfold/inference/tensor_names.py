"""The tensor that a user's name means."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from bnfold.errors import InferenceError
from bnfold.graph import Graph, node_name, output_index, tensor_name
from bnfold.graph.graph_def import op_definition


def existing_tensor(graph: Graph, name: str) -> str:
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
        raise InferenceError(
            f"no tensor {tensor} in the graph: {node.name} is a {node.op} with {count} {plural}",
            hint=f"{node.name}:0 is the first output",
        )
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
