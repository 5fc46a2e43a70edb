"""Casts to the dtype that a value has already."""

from __future__ import annotations

from collections.abc import Iterator

from bnfold.export.onnx_graph import OnnxNode
from bnfold.export.tidying.bench import Bench
from bnfold.graph import DType
from bnfold.graph.dtypes import BOOL, INT64

_KEEP = frozenset(
    op
    for ops in (
        "Abs Add AveragePool BatchNormalization Ceil Clip Concat Conv ConvTranspose CumSum DepthToSpace Div Einsum Elu",
        "Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool HardSigmoid Identity LRN",
        "LeakyRelu Log LogSoftmax MatMul Max MaxPool Min Mod Mul Neg Pad Pow Range Reciprocal ReduceMax ReduceMean",
        "ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round ScatterND Sigmoid Sign Slice Softmax",
        "Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze",
    )
    for op in ops.split()
)
"""Ops whose first output has the dtype of their first input."""

_GIVE = {
    **dict.fromkeys(("Shape", "Size", "ArgMax", "ArgMin", "NonZero", "NonMaxSuppression"), INT64),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not", "Xor"), BOOL),
    **dict.fromkeys(("IsNaN", "IsInf"), BOOL),
}


def drop_vain_casts(bench: Bench) -> bool:
    """Make such a Cast an Identity, which goes with the twins."""
    dtypes = {value: known.dtype for value, known in bench.graph.types.items()}
    changed = False
    for node in bench.graph.nodes:
        for value, dtype in _gives(bench, node, dtypes):
            dtypes.setdefault(value, dtype)
        if node.op == "Cast" and not node.domain and _dtype(bench, node.inputs[0], dtypes) == node.attrs["to"]:
            node.op, node.attrs = "Identity", {}
            changed = True
    return changed


def _gives(bench: Bench, node: OnnxNode, dtypes: dict[str, DType]) -> Iterator[tuple[str, DType]]:
    """The dtypes of the outputs of ``node``, as far as they are known."""
    if node.domain:
        return
    if node.op == "Cast":
        yield node.outputs[0], node.attrs["to"]
    elif node.op in _GIVE:
        yield node.outputs[0], _GIVE[node.op]
    elif node.op in _KEEP or node.op == "Where":
        source = _dtype(bench, node.inputs[1 if node.op == "Where" else 0], dtypes)
        if source is not None:
            yield node.outputs[0], source
    if node.op in ("MaxPool", "TopK") and len(node.outputs) > 1:
        yield node.outputs[1], INT64


def _dtype(bench: Bench, value: str, dtypes: dict[str, DType]) -> DType | None:
    array = bench.array(value)
    return dtypes.get(value) if array is None else DType.of_numpy(array.dtype)
