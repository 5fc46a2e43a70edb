"""Reshapes whose shape is computed from the input's, to what can be said of it now."""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.export.sizes import Sizes
from bnfold.graph import Graph, Shape, TensorType, constant


@rewrites(order=20)
def resolve_reshape_targets(graph: Graph, kept: Set[str]) -> None:
    """``[Shape(x)[0], -1]`` is ``[-1, 3136]`` when the rest of ``x`` is known to hold 3136."""
    del kept
    open_ones = [
        node for node in graph if node.op == "Reshape" and (graph.shape_of(node.output) or (None,) * 2).count(None) > 1
    ]
    if not open_ones:
        return
    sizes = Sizes(graph)
    for node in open_ones:
        found = sizes.reshaped(node)
        if found is None:
            continue
        shape: Shape = tuple(None if size is None else size.known for size in found)
        if shape.count(None) <= 1 and 0 not in shape:
            name = graph.fresh_name(f"{node.name}/target")
            target = graph.add(constant(name, np.array([-1 if size is None else size for size in shape], np.int64)))
            graph.types[target.output] = TensorType(target.attrs["dtype"], (len(shape),))
            graph.replace(node.with_inputs([node.inputs[0], target.output]).with_attrs(Tshape=target.attrs["dtype"]))
            graph.types[node.output] = TensorType(graph.types[node.output].dtype, shape)
