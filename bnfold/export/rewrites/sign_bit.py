"""Less(BitwiseAnd(Bitcast(x), 1000…0), 0): Keras asks for the sign of a float, of zeros too, by its highest bit.

ONNX has no bits of floats before opset 26.
"""

from __future__ import annotations

from collections.abc import Set

import numpy as np

from bnfold.export.rewrites import rewrites
from bnfold.graph import Graph, Node
from bnfold.graph.dtypes import FLOAT32

_HIGHEST = np.iinfo(np.int32).min


@rewrites(order=5)
def find_sign_bits(graph: Graph, kept: Set[str]) -> None:
    """The bits themselves stay where something else reads them."""
    del kept
    for less in [node for node in graph if node.op == "Less"]:
        masked, zero = graph.find_producer(less.inputs[0]), graph.value(less.inputs[1])
        if masked is None or masked.op != "BitwiseAnd" or zero is None or zero.any():
            continue
        for bits, mask in (masked.inputs, masked.inputs[::-1]):
            cast, value = graph.find_producer(bits), graph.value(mask)
            if cast is None or cast.op != "Bitcast" or cast.attrs["T"] != FLOAT32 or value is None:
                continue
            if value.size == 1 and value.item() == _HIGHEST:
                graph.replace(Node(less.name, "SignBit", cast.inputs, {"T": FLOAT32}))
                break
