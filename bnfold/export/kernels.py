"""The dtypes for which onnxruntime's CPU provider has a kernel, where it lacks some that TensorFlow has.

An op that is not here takes whatever its ONNX schema allows. float16 is never short of a kernel: onnxruntime puts
casts around the node itself; bfloat16 gets no such help.
"""

from __future__ import annotations

from bnfold.graph import DType

_FLOATS = "float16 float32 float64"
_WORDS = "int32 int64"

KERNELS: dict[str, frozenset[str]] = {
    op: frozenset(dtypes.split())
    for ops, dtypes in {
        "Add Sub Mul Div": f"{_FLOATS} {_WORDS}",
        "Mod": f"{_FLOATS} int8 int16 int32 int64 uint8 uint16 uint32 uint64",
        "Pow": f"float32 float64 {_WORDS}",
        "Abs": f"{_FLOATS} int8 int16 int32 int64 uint8 uint16 uint32 uint64",
        "Neg": f"{_FLOATS} int8 int32 int64",
        "Relu": f"{_FLOATS} int8 int32",
        "Max Min": f"{_FLOATS} int32 int64 uint32 uint64",
        "MatMul Gemm": f"{_FLOATS} int32 int64 uint32 uint64",
        "Clip": f"{_FLOATS} int8 uint8 int32 int64 uint32 uint64",
        "Equal": f"{_FLOATS} {_WORDS} bool",
        "Less Greater LessOrEqual GreaterOrEqual": f"{_FLOATS} {_WORDS}",
        "Exp Log Sqrt Reciprocal Sigmoid Tanh Erf Softplus Softsign Elu Selu LeakyRelu": "float16 float32",
        "Conv ConvTranspose AveragePool MaxPool LRN BatchNormalization": "float16 float32",
    }.items()
    for op in ops.split()
}

_WIDER: dict[str, tuple[str, ...]] = {
    "bfloat16": ("float32", "float64"),
    "float16": ("float32", "float64"),
    "float32": ("float64",),
    "float64": (),
    "bool": ("uint8", "int32"),
    "int8": ("int16", "int32", "int64"),
    "int16": ("int32", "int64"),
    "int32": ("int64",),
    "int64": (),
    "uint8": ("uint16", "int32", "int64"),
    "uint16": ("int32", "int64"),
    "uint32": ("int64",),
    "uint64": (),
}


def widening(op: str, dtype: DType) -> DType | None:
    """``dtype`` itself if onnxruntime has that kernel of ``op``, else the narrowest wider one, else None."""
    kernels = KERNELS.get(op)
    if kernels is None or dtype.name in kernels:
        return dtype if dtype.name != "bfloat16" else DType.named("float32")
    return next((DType.named(name) for name in _WIDER.get(dtype.name, ()) if name in kernels), None)
