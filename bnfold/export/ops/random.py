"""Random numbers: the distribution is TensorFlow's, the numbers are the runtime's own."""

from __future__ import annotations

import math

import numpy as np

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles
from bnfold.export.ints import Ints, input_ints, joined, size_of
from bnfold.export.ops.error_function import normal_quantile
from bnfold.export.table import ALL, FLOATS, lowers
from bnfold.graph.dtypes import BOOL, FLOAT32, FLOAT64, INT64

_ZERO = np.zeros(1, np.float32)
_WITHOUT_KERNELS = 22
"""The opset from which on onnxruntime has no kernels for random numbers, but for Dropout."""

_BITS = 24
_SHAPES = ("int32", "int64")
_COARSE = {"float16": 2.0**10, "bfloat16": 2.0**7}
"""Steps between 0 and 1 of the dtypes in which the largest float32 below 1 is 1."""


def _as_asked(call: Call, numbers: str) -> str:
    """float32 ``numbers`` in the dtype of the output."""
    return numbers if call.out_dtype() == FLOAT32 else call.cast(numbers, call.out_dtype())


def _uniform(call: Call, shape: str | None = None) -> str:
    """float32 numbers from 0 on, below 1, of the shape that is input 0."""
    if call.opset >= _WITHOUT_KERNELS:
        return _of_bits(call, shape)
    return _drawn(call, "RandomUniform", shape)


def _normal(call: Call) -> str:
    """float32 numbers with mean 0 and deviation 1; those of Box and Muller where there is no kernel for others:

    √(-2 log(1 - u)) cos 2πv
    """
    if call.opset < _WITHOUT_KERNELS:
        return _drawn(call, "RandomNormal")
    length = call.emit("Log", call.emit("Sub", call.scalar(1, FLOAT32), _of_bits(call)))
    length = call.emit("Sqrt", call.emit("Mul", length, call.scalar(-2, FLOAT32)))
    angle = call.emit("Mul", _of_bits(call, draw=1), call.scalar(2 * math.pi, FLOAT32))
    return call.emit("Mul", length, call.emit("Cos", angle))


def _of_bits(call: Call, shape: str | None = None, *, draw: int = 0) -> str:
    """24 bits make a number, and what a Dropout leaves are random bits."""
    bits = joined(call, input_ints(call, 0) if shape is None else Ints(call, shape), [_BITS])
    ones = call.emit("ConstantOfShape", bits.name, value=np.ones(1, np.float32))
    half, training = call.scalar(0.5, FLOAT32), call.scalar(True, BOOL)
    seed = call.attr("seed") or call.attr("seed2")
    _, kept = call.emit_many("Dropout", ones, half, training, seed=int(seed) + draw if seed else None, outputs=2)
    places = call.constant((0.5 ** np.arange(1, _BITS + 1)).astype(np.float32))
    return call.emit("MatMul", call.cast(kept, FLOAT32), places)


def _drawn(call: Call, op: str, shape: str | None = None) -> str:
    """float32 numbers of the shape that is input 0; ``op`` is RandomUniform or RandomNormal.

    The seed is TensorFlow's where it has one: a file gives the same numbers whenever it is loaded.
    """
    seed = call.attr("seed") or call.attr("seed2")
    seed = float(seed) if seed else None
    known = call.value(0) if shape is None else None
    if known is not None and known.size:
        return call.emit(op, dtype=FLOAT32, shape=known.reshape(-1).tolist(), seed=seed)
    blank = call.emit("ConstantOfShape", shape or input_ints(call, 0).name, value=_ZERO)
    return call.emit(f"{op}Like", blank, dtype=FLOAT32, seed=seed)


@lowers("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2", dtypes=_SHAPES + FLOATS)
def lower_random_uniform(call: Call) -> str:
    """From 0 on, below 1."""
    numbers, dtype = _uniform(call), call.out_dtype()
    if dtype.name in _COARSE:
        steps = call.scalar(_COARSE[dtype.name], FLOAT32)
        numbers = call.emit("Div", call.emit("Floor", call.emit("Mul", numbers, steps)), steps)
    return _as_asked(call, numbers)


@lowers("RandomStandardNormal", "StatelessRandomNormal", "StatelessRandomNormalV2", dtypes=_SHAPES + FLOATS)
def lower_random_normal(call: Call) -> str:
    """With mean 0 and deviation 1."""
    return _as_asked(call, _normal(call))


@lowers("TruncatedNormal", "StatelessTruncatedNormal", "StatelessTruncatedNormalV2", dtypes=_SHAPES + FLOATS)
def lower_truncated_normal(call: Call) -> str:
    """A normal number between -2 and 2: the quantile of a probability between theirs."""
    f, low = Doubles(call), math.erfc(math.sqrt(2)) / 2
    share = f("Add", f("Mul", call.cast(_uniform(call), FLOAT64), 1 - 2 * low), low)
    return call.cast(f("Clip", normal_quantile(f, share), -2.0, 2.0), call.out_dtype())


@lowers("RandomUniformInt", dtypes=_SHAPES, least=1)
@lowers("StatelessRandomUniformInt", dtypes=_SHAPES, least=2)
@lowers("StatelessRandomUniformIntV2", dtypes=(*_SHAPES, "uint32", "uint64"), least=4)
def lower_random_integers(call: Call) -> str:
    """From minval on, below maxval; in float64, which holds every int32 and the distances that matter."""
    at = call.fact("least")
    least, most = call.cast(call.input(at), FLOAT64), call.cast(call.input(at + 1), FLOAT64)
    span = call.emit("Mul", call.cast(_uniform(call), FLOAT64), call.emit("Sub", most, least))
    return call.cast(call.emit("Floor", call.emit("Add", span, least)), call.out_dtype())


@lowers("StatelessRandomUniformFullInt", "StatelessRandomUniformFullIntV2", dtypes=(*_SHAPES, "uint32", "uint64"))
def lower_random_bits(call: Call) -> str:
    """Any number of the dtype: 16 random bits for each 16 of its own, put together as int64."""
    dtype = call.out_dtype()
    width = 64 if dtype.name.endswith("64") else 32
    bits = None
    for _ in range(width // 16):
        share = call.emit("Mul", _uniform(call), call.scalar(2.0**16, FLOAT32))
        part = call.cast(call.emit("Floor", share), INT64)
        if bits is not None:
            part = call.emit("Add", call.emit("Mul", bits, call.scalar(2**16, INT64)), part)
        bits = part
    assert bits is not None
    return call.cast(bits, dtype)


@lowers("StatelessRandomGetKeyCounter", dtypes=("uint64",))
@lowers("StatelessRandomGetKeyCounterAlg", "StatelessRandomGetAlg", dtypes=("uint64", "int32"))
def lower_generator(call: Call) -> tuple[str, ...]:
    """What TensorFlow's generators start from; the runtime's own take nothing of it."""
    key, counter = call.constant(np.zeros(1, np.uint64)), call.constant(np.zeros(2, np.uint64))
    algorithm = call.constant(np.array(1, np.int32))
    return (algorithm,) if call.op == "StatelessRandomGetAlg" else (key, counter, algorithm)


@lowers("RandomShuffle", "StatelessShuffle", dtypes=ALL)
def lower_shuffle(call: Call) -> str:
    """The rows in the order of random numbers."""
    count = size_of(call, 0, 0)
    numbers = _uniform(call, count.name)
    _, order = call.emit_many("TopK", numbers, count.name, axis=0, outputs=2)
    return call.emit("Gather", call.input(0), order, axis=0)


@lowers("Multinomial", "StatelessMultinomial", dtypes=FLOATS)
def lower_multinomial(call: Call) -> str:
    """Classes drawn by their unnormalised log-probabilities (batch, classes).

    ONNX' op takes a constant number of samples; for another it is the first class whose accumulated share of the
    probabilities is above a random number.
    """
    seed = call.attr("seed") or call.attr("seed2")
    logits, count, dtype = call.cast(call.input(0), FLOAT32), call.value(1), call.out_dtype()
    if count is not None and call.opset < _WITHOUT_KERNELS:
        return call.emit("Multinomial", logits, sample_size=int(count), dtype=dtype, seed=float(seed) if seed else None)
    shares = call.emit("CumSum", call.emit("Softmax", logits, axis=-1), call.scalar(1, INT64))
    shape = joined(call, size_of(call, 0, 0), input_ints(call, 1).vector())
    numbers = call.unsqueeze(_uniform(call, shape.name), [2])
    passed = call.emit("LessOrEqual", call.unsqueeze(shares, [1]), numbers)
    chosen = call.reduce("ReduceSum", call.cast(passed, INT64), [2])
    last = call.emit("Sub", size_of(call, 0, 1).scalar().name, call.scalar(1, INT64))
    return call.cast(call.emit("Min", chosen, last), dtype)
