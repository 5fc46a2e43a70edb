"""Batch statistics times a function of the number of samples: Bessel's correction, and its undoing.

A training-mode FusedBatchNorm gives the variance times ``n / (n − 1)``; who wants that of the batch itself, as the
folded batch norms of TensorFlow's quantisation-aware training do, multiplies by ``(n − 1) / n``. The moving variance
that stands for it at inference belongs to no batch, and is taken as it is.
"""

from __future__ import annotations

from bnfold.graph import Graph, Node, node_name
from bnfold.inference.levels import STRUCTURE
from bnfold.inference.scalars import known_scalar

_LONGEST = 24
"""How many ops the factor may have; TensorFlow's own has ten."""


def bessel_corrected(graph: Graph, statistic: str) -> list[str]:
    """The tensors that are ``statistic`` with Bessel's correction, or without the one it had.

    Parameters
    ----------
    graph : Graph
    statistic : str
        A mean or variance of the batch.
    """
    return [reader.output for reader in graph.readers(statistic) if _corrects(graph, reader, statistic)]


def _corrects(graph: Graph, node: Node, statistic: str) -> bool:
    if node.op == "Mul":
        factors = [tensor for tensor in node.inputs if tensor != statistic]
    elif node.op in ("RealDiv", "Div") and node.inputs[0] == statistic:
        factors = [node.inputs[1]]
    else:
        return False
    return len(factors) == 1 and _is_correction(graph, factors[0])


def _is_correction(graph: Graph, tensor: str) -> bool:
    """Whether ``tensor`` is computed from sizes of tensors and from constants alone, one being taken from a size."""
    stack, seen = [node_name(tensor)], set[str]()
    has_size = takes_one = False
    while stack:
        node = graph.get(stack.pop())
        if node is None or len(seen) > _LONGEST:
            return False
        if node.name in seen or node.op == "Const":
            continue
        seen.add(node.name)
        if node.op in STRUCTURE:
            has_size = True
            continue
        if not node.inputs:
            return False
        takes_one |= node.op == "Sub" and known_scalar(graph, node.inputs[1]) == 1
        stack.extend(node_name(each) for each in node.inputs)
    return has_size and takes_one
