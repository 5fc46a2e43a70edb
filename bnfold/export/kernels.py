"""The dtypes for which onnxruntime's CPU provider has a kernel, from 1.23 on, where it lacks some that TensorFlow has.

In opset 18 it seems to have more: there, and only there, what ONNX defines as a function of other ops runs as these do.
An op that is not here takes whatever its ONNX schema allows. float16 is never short of a kernel: onnxruntime puts
casts around the node itself; bfloat16 gets no such help.
"""

from __future__ import annotations

from bnfold.graph import DType

_FLOATS = "float16 float32 float64"
_NUMBERS = f"{_FLOATS} int8 int16 int32 int64 uint8 uint16 uint32 uint64"

KERNELS: dict[str, frozenset[str]] = {
    op: frozenset(dtypes.split())
    for ops, dtypes in {
        "Add Sub Mul Div Mod Less Greater LessOrEqual GreaterOrEqual": _NUMBERS,
        "Equal": f"{_NUMBERS} bool",
        "Abs": _NUMBERS,
        "Sign": _NUMBERS.replace("float16 ", ""),  # whose NaN becomes 0
        "Neg": f"{_FLOATS} int8 int16 int32 int64",
        "Relu": f"{_FLOATS} int8 int32",
        "Pow": f"{_FLOATS} int32 int64",
        "Max Min": f"{_FLOATS} int32 int64 uint32 uint64",
        "Clip": f"{_FLOATS} int8 int32 int64 uint8 uint32 uint64",
        "MatMul": f"{_FLOATS} int32 int64 uint32 uint64",
        "Gemm Sum BatchNormalization IsNaN": _FLOATS,
        "Exp Log Sqrt Reciprocal Sigmoid Tanh": _FLOATS,
        "Softplus": "float32",
        "Softsign Elu Selu LeakyRelu HardSigmoid ThresholdedRelu": "float16 float32",
        "Ceil Floor Round Sin Softmax LogSoftmax": _FLOATS,
        "IsInf": "float32 float64",
        "Erf Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Det": "float16 float32",
        "Conv ConvTranspose AveragePool GlobalAveragePool LRN": "float16 float32",
        "MaxPool": f"{_FLOATS} int8 uint8",
        "DepthToSpace SpaceToDepth": f"{_FLOATS} uint8",
        "ReduceSum ReduceMean ReduceProd ReduceL2 ReduceSumSquare ReduceLogSumExp CumSum": f"{_FLOATS} int32 int64",
        "ReduceMax ReduceMin ArgMax ArgMin": f"{_FLOATS} int8 int32 int64 uint8",
        "Range": "float32 float64 int16 int32 int64",
        "Einsum": f"{_FLOATS} int32 int64",
        "And Or Xor Not": "bool",
        "TopK": "float16 float32 float64 int32 int64",
        "Resize": "float16 float32 int8 int32 uint8",
        "NonZero": "float16 float32 int32 int64 uint8 bool",
    }.items()
    for op in ops.split()
}

_SINCE = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), (14, frozenset({"int8", "int16", "uint8", "uint16"}))),
    "Relu": (14, frozenset({"int8", "int16", "int32", "int64"})),
    "CumSum": (14, frozenset({"float16"})),
}
"""The opset since which an op takes some of its dtypes."""

_WIDER: dict[str, tuple[str, ...]] = {
    "bfloat16": ("float32", "float64"),
    "float16": ("float32", "float64"),
    "float32": ("float64",),
    "float64": ("float32",),
    "bool": ("uint8", "int32"),
    "int8": ("int16", "int32", "int64", "float32"),
    "int16": ("int32", "int64", "float32"),
    "int32": ("int64", "float64"),
    "int64": ("float64",),
    "uint8": ("uint16", "int32", "int64", "float32"),
    "uint16": ("int32", "int64", "float32"),
    "uint32": ("int64", "float64"),
    "uint64": (),
}
"""The dtypes to try in place of one, best first. Two of them are not wider: float32 for float64, because for
convolutions and their like onnxruntime has nothing better, and float64 for int64, which is exact up to 2⁵³."""


_BETTER = {
    **{(op, "uint64"): "int64" for op in ("ReduceSum", "ReduceProd", "CumSum", "Einsum")},
    **{(op, "uint32"): "float64" for op in ("ReduceMax", "ReduceMin")},
}
"""What no rule says. Sums and products modulo 2⁶⁴ are the same whether their top bit is a sign or not. Of two int64
with the same upper half, onnxruntime's extremes of a row compare the lower ones as int32."""


def widening(op: str, dtype: DType, opset: int = 99) -> DType | None:
    """``dtype`` itself if onnxruntime has that kernel of ``op``, else the best of the wider ones, else None."""
    kernels = KERNELS.get(op)
    if (better := _BETTER.get((op, dtype.name))) is not None:
        return DType.named(better)
    if kernels is None:
        return DType.named("float32") if dtype.name == "bfloat16" else dtype
    since, later = _SINCE.get(op, (0, frozenset()))
    if opset < since:
        kernels -= later
    if dtype.name in kernels:
        return dtype
    return next((DType.named(name) for name in _WIDER.get(dtype.name, ()) if name in kernels), None)
