"""The graph and the values that travel between the stages.

This layer knows numpy and, behind `tensorflow`, TensorFlow; it knows nothing of the stages.
"""

from bnfold.graph.dtypes import DType
from bnfold.graph.graph import (
    Array,
    Function,
    FunctionRef,
    Graph,
    Node,
    Shape,
    TensorType,
    constant,
    node_name,
    output_index,
    tensor_name,
)

__all__ = [
    "Array",
    "DType",
    "Function",
    "FunctionRef",
    "Graph",
    "Node",
    "Shape",
    "TensorType",
    "constant",
    "node_name",
    "output_index",
    "tensor_name",
]
