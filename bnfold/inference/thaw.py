"""Constants of a frozen training graph that were variables: the updates left in it still write them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from bnfold.graph import Array, Graph, Node, node_name
from bnfold.graph.stages import SourceModel, Variable
from bnfold.inference.variables import ASSIGNMENTS, source_of


def thaw(source: SourceModel) -> SourceModel:
    """``source`` with each constant that an update writes as the variable that it was.

    A training graph frozen whole keeps its AssignSub ops over what has become constants. They tell which of these
    are moving statistics, and of which layer.
    """
    written = _written(source.graph)
    if not written:
        return source
    graph = source.graph.copy()
    variables = dict(source.variables)
    for node in written.values():
        value: Array = node.attrs["value"]
        attrs = {"dtype": node.attrs["dtype"], "shape": value.shape, "container": "", "shared_name": ""}
        graph.replace(Node(node.name, "VariableV2", attrs=attrs, controls=node.controls))
        read = partial(np.asarray, value)
        variables[node.name] = Variable(node.name, node.name, node.attrs["dtype"], value.shape, read)
    return replace(source, graph=graph, variables=variables)


def _written(graph: Graph) -> dict[str, Node]:
    targets = (source_of(graph, node.inputs[0]) for node in graph if node.op in ASSIGNMENTS)
    nodes = (graph.get(node_name(target)) for target in targets)
    return {node.name: node for node in nodes if node is not None and node.op == "Const"}
