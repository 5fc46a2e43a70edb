"""Parts of constants in a loop's body: kernels that are split for each gate, biases that are unstacked."""

from __future__ import annotations

from bnfold.graph import Graph, constant
from bnfold.graph.evaluate import run

_PARTS = frozenset(
    {
        "Split", "SplitV", "Unpack", "StridedSlice", "Slice", "Reshape", "Transpose", "ConcatV2", "Pack", "Squeeze",
        "ExpandDims", "Identity", "ReadVariableOp", "Add", "AddV2", "Sub", "Mul",
    }
)  # fmt: skip


def fold_constants(graph: Graph) -> Graph:
    """``graph`` with constants for whatever is made of constants by taking them apart and putting them together."""
    known = {node.name for node in graph if node.op == "Const"}
    found = []
    for node in graph.topological():
        if node.op in _PARTS and node.inputs and all(tensor.rpartition(":")[0] in known for tensor in node.inputs):
            known.add(node.name)
            found.append(node.name)
    wanted = [
        t for name in found for t in graph.outputs_read(name) if any(r.name not in known for r in graph.readers(t))
    ]
    if not wanted:
        return graph
    part = graph.pruned(wanted)
    part.functions = {}  # no node of it calls one
    for tensor, value in zip(wanted, run(part, wanted), strict=True):
        known_type = graph.types[tensor]
        whole = graph.add(constant(graph.fresh_name(f"{tensor.replace(':', '_')}/value"), value, known_type.dtype))
        graph.types[whole.output] = known_type
        graph.redirect(tensor, whole.output)
    return graph
