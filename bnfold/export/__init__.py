"""export: an inference graph as an ONNX model."""

from bnfold.export.call import Call
from bnfold.export.export import export, lower
from bnfold.export.lowered import Lowered
from bnfold.export.mapping import map_constants, mapped
from bnfold.export.table import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, register_op
from bnfold.export.write import add_metadata, model_size, write

__all__ = [
    "DEFAULT_OPSET",
    "NEWEST_OPSET",
    "OLDEST_OPSET",
    "Call",
    "Lowered",
    "add_metadata",
    "export",
    "lower",
    "map_constants",
    "mapped",
    "model_size",
    "register_op",
    "write",
]
