"""The interface of an inference graph, and Placeholders put in the place of the tensors that become its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from bnfold.graph import Graph, Node, node_name
from bnfold.graph.stages import Endpoint


@dataclass(frozen=True)
class Interface:
    """What goes into the inference graph and what comes out, the main ones first."""

    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]


def cut(graph: Graph, interface: Interface) -> Graph:
    """A copy of ``graph`` in which each input of ``interface`` is a Placeholder.

    What computed the input stays, without readers, or goes where the Placeholder takes its name: prune afterwards.

    Parameters
    ----------
    graph : Graph
        As saved, or what a later step made of it: an input whose node is gone is added.
    interface : Interface

    Returns
    -------
    Graph
        Its Placeholders have the dtype and shape of the interface's endpoints.
    """
    result = graph.copy()
    for endpoint in interface.inputs:
        name = node_name(endpoint.tensor)
        placeholder = Node(name, "Placeholder", attrs={"dtype": endpoint.dtype, "shape": endpoint.shape})
        if name in result:
            result.replace(placeholder)
        else:
            result.add(placeholder)
        if endpoint.name != endpoint.tensor:
            result.redirect(endpoint.name, endpoint.tensor)
    return result
