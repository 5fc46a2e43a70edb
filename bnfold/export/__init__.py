"""export: an inference graph as an ONNX model."""

from bnfold.export.call import Call
from bnfold.export.export import export
from bnfold.export.table import DEFAULT_OPSET, NEWEST_OPSET, OLDEST_OPSET, register_op

__all__ = ["DEFAULT_OPSET", "NEWEST_OPSET", "OLDEST_OPSET", "Call", "export", "register_op"]
