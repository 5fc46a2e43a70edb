"""The interface of an inference graph, and Placeholders put in the place of the tensors that become its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bnfold.graph import DType, Graph, Node, Shape, constant, node_name
from bnfold.graph.stages import Endpoint


@dataclass(frozen=True)
class Interface:
    """What goes into the inference graph and what comes out, the main ones first.

    Attributes
    ----------
    inputs, outputs : tuple of Endpoint
    reshapes : mapping of str to Shape
        Reshape nodes that say a batch size which is to be free, and the shape they get: -1 for the rows.
    """

    inputs: tuple[Endpoint, ...]
    outputs: tuple[Endpoint, ...]
    reshapes: Mapping[str, Shape] = field(default_factory=dict)


def cut(graph: Graph, interface: Interface) -> Graph:
    """A copy of ``graph`` in which each input of ``interface`` is a Placeholder, and its reshapes are made.

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
    for name, shape in interface.reshapes.items():
        if (node := result.get(name)) is not None and node.op == "Reshape":
            dtype: DType = node.attrs["Tshape"]
            rows = constant(result.fresh_name(f"{name}/rows"), np.array(shape, dtype.numpy), dtype)
            result.replace(node.with_inputs((node.inputs[0], result.add(rows).output)))
    return result
