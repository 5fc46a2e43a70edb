"""Random numbers: the distribution is TensorFlow's, the numbers are the runtime's own."""

from __future__ import annotations

import numpy as np

from bnfold.export.call import Call
from bnfold.export.ints import input_ints
from bnfold.export.table import lowers
from bnfold.graph import DType
from bnfold.graph.dtypes import FLOAT32

_ZERO = np.zeros(1, np.float32)


def _like(call: Call, op: str) -> str:
    """float32 numbers of the shape that is input 0."""
    blank = call.emit("ConstantOfShape", input_ints(call, 0).name, value=_ZERO)
    seed = call.attr("seed") or call.attr("seed2")
    return call.emit(op, blank, dtype=FLOAT32, seed=float(seed) if seed else None)


@lowers("RandomUniform", dtypes=("int32", "int64"), onnx="RandomUniformLike")
@lowers("RandomStandardNormal", dtypes=("int32", "int64"), onnx="RandomNormalLike")
def lower_random(call: Call) -> str:
    """Uniform from 0 to 1, or normal with mean 0 and deviation 1."""
    numbers, dtype = _like(call, call.fact("onnx")), call.out_dtype()
    return numbers if dtype == FLOAT32 else call.cast(numbers, dtype)


@lowers("RandomUniformInt", dtypes=("int32", "int64"))
def lower_random_integers(call: Call) -> str:
    """From minval on, below maxval; in float64, which holds every int32 and the distances that matter."""
    wide = DType.named("float64")
    least, most = call.cast(call.input(1), wide), call.cast(call.input(2), wide)
    span = call.emit("Mul", call.cast(_like(call, "RandomUniformLike"), wide), call.emit("Sub", most, least))
    return call.cast(call.emit("Floor", call.emit("Add", span, least)), call.out_dtype())


@lowers("Multinomial", dtypes=("float16", "bfloat16", "float32", "float64"))
def lower_multinomial(call: Call) -> str:
    """Classes drawn by their unnormalised log-probabilities (batch, classes)."""
    count = int(call.constant_value(1, "number of samples"))
    seed = call.attr("seed") or call.attr("seed2")
    logits = call.cast(call.input(0), FLOAT32)
    return call.emit("Multinomial", logits, sample_size=count, dtype=call.out_dtype(), seed=float(seed) or None)
