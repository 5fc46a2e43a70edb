"""Sums, differences, products, quotients and remainders of two tensors."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.carry import selected
from bnfold.export.complex_functions import complex_function, complex_log
from bnfold.export.exponentials import log1p
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import complex_div, complex_mul, is_complex
from bnfold.export.order import extreme
from bnfold.export.placement import FOLLOWS
from bnfold.export.steps import Step, repeated
from bnfold.export.table import COMPLEX, FLOATS, NUMBERS, lowers
from bnfold.graph import TensorType
from bnfold.graph.dtypes import INT32, INT64

COMPLEX_TOO = (*NUMBERS, *COMPLEX)


@lowers("Maximum", placement=FOLLOWS, onnx="Max")
@lowers("Minimum", placement=FOLLOWS, onnx="Min")
def lower_binary(call: Call) -> str:
    return extreme(call, call.fact("onnx"), call.input(0), call.input(1))


@lowers("Pow", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_pow(call: Call) -> str:
    """Squares and square roots come as Pow as often as not, and their own nodes are faster."""
    if is_complex(call):
        return complex_function(call, "pow")
    if call.dtype().is_integer:
        return _integer_power(call)
    exponent = call.value(1)
    if (
        exponent is not None
        and exponent.size == 1
        and exponent.ndim == 0
        and call.dtype().name in ("float32", "float64")
    ):
        if exponent == 2:
            return call.widened("Mul", call.input(0), call.input(0))
        if exponent == 0.5:
            return call.widened("Sqrt", call.input(0))
    return call.widened("Pow", *call.inputs())


def _integer_power(call: Call) -> str:
    """By squaring, which is exact and wraps as TensorFlow's does: onnxruntime's own Pow goes by way of float64."""
    exponent, dtype = call.value(1), call.dtype()
    if exponent is not None and exponent.ndim == 0 and 1 <= exponent <= _MOST_PRODUCTS:
        result = call.input(0)
        for _ in range(int(exponent) - 1):
            result = call.widened("Mul", result, call.input(0))
        return result
    wide = INT64 if dtype.name.endswith("64") else INT32

    def write(step: Step, k: str, state: list[str]) -> tuple[str, str, str]:
        result, square, left = state
        odd = step("Equal", step("Mod", left, two), one)
        return (
            step("Where", odd, step("Mul", result, square), result),
            step("Mul", square, square),
            step("Div", left, two),
        )

    one, two = call.scalar(1, wide), call.scalar(2, wide)
    base, times = call.cast(call.input(0), wide), call.cast(call.input(1), wide)
    nothing = call.emit("Mul", call.emit("Add", base, times), call.scalar(0, wide))  # of the shape of both
    first = [call.emit("Add", nothing, value) for value in (one, base, times)]
    bits = call.scalar(64 if wide == INT64 else 32, INT64)
    result = repeated(call, bits, [(value, TensorType(wide, None)) for value in first], write)[0]
    return call.cast(result, dtype)


_MOST_PRODUCTS = 4
"""Constant powers up to this one are products."""


@lowers("Sub", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_difference(call: Call) -> str:
    return call.widened("Sub", *call.inputs())


@lowers("Mul", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_product(call: Call) -> str:
    if is_complex(call):
        return complex_mul(call, call.input(0), call.input(1))
    return call.widened("Mul", *call.inputs())


@lowers("AddN", "AccumulateNV2", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_add_n(call: Call) -> str:
    total = call.input(0)
    for index in range(1, call.arity):
        total = call.widened("Add", total, call.input(index))
    return total


@lowers("SquaredDifference", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_squared_difference(call: Call) -> str:
    """Of complex numbers it is conj(x - y) (x - y): the squared distance, a real number."""
    difference = call.widened("Sub", *call.inputs())
    if is_complex(call):
        squares = call.emit("Mul", difference, difference)
        distance = call.reduce("ReduceSum", squares, [-1], keepdims=True)
        return call.emit("Concat", distance, call.emit("Sub", distance, distance), axis=-1)
    return call.widened("Mul", difference, difference)


@lowers("RealDiv", dtypes=COMPLEX_TOO, placement=FOLLOWS)
@lowers("Div", dtypes=COMPLEX_TOO, placement=FOLLOWS)
def lower_quotient(call: Call) -> str:
    """Of integers Div rounds towards zero, in TensorFlow as in ONNX."""
    if is_complex(call):
        return complex_div(call, call.input(0), call.input(1))
    return call.widened("Div", *call.inputs())


@lowers("TruncateDiv", placement=FOLLOWS)
def lower_truncate_div(call: Call) -> str:
    quotient = call.widened("Div", *call.inputs())
    if call.dtype().is_integer:
        return quotient
    down, up = call.widened("Floor", quotient), call.widened("Ceil", quotient)
    return selected(call, call.widened("Less", quotient, call.scalar(0, call.dtype())), up, down, call.dtype())


@lowers("FloorDiv", placement=FOLLOWS)
def lower_floor_div(call: Call) -> str:
    """Integers: ONNX rounds towards zero, which is one too many where a negative quotient has a remainder.

        floor(x / y) = q - [x - q y ≠ x mod y]        q = trunc(x / y)

    The remainder with the dividend's sign differs from that with the divisor's (mod) in just these places.
    """
    dtype, (x, y) = call.dtype(), call.inputs()
    quotient = call.widened("Div", x, y)
    if dtype.is_floating:
        return call.widened("Floor", quotient)
    if dtype.name.startswith("u"):
        return quotient
    divisor = call.value(1)
    if divisor is not None and (divisor > 0).all():
        off = call.widened("Less", x, call.widened("Mul", quotient, y))
    else:
        off = call.emit("Not", call.widened("Equal", _remainder(call, quotient), call.widened("Mod", x, y)))
    return call.widened("Sub", quotient, call.cast(off, dtype))


def _remainder(call: Call, quotient: str) -> str:
    """x - q y: onnxruntime's own remainder with the sign of x goes through float64, and misses in large int64."""
    return call.widened("Sub", call.input(0), call.widened("Mul", quotient, call.input(1)))


@lowers("FloorMod", placement=FOLLOWS)
def lower_floor_mod(call: Call) -> str:
    """The remainder with the divisor's sign; ONNX has it for integers only.

    rem = x - y trunc(x / y), exactly; where it is not 0 and its sign is not y's, y is added.
    """
    dtype, (x, y) = call.dtype(), call.inputs()
    if dtype.is_integer:
        return call.widened("Mod", x, y)
    zero = call.scalar(0, dtype)
    remainder = call.widened("Mod", x, y, fmod=1)
    wrong = call.emit(
        "And",
        call.emit("Xor", call.widened("Less", remainder, zero), call.widened("Less", y, zero)),
        call.emit("Not", call.widened("Equal", remainder, zero)),
    )
    return selected(call, wrong, call.widened("Add", remainder, y), remainder, dtype)


@lowers("Mod", "TruncateMod", placement=FOLLOWS)
def lower_truncate_mod(call: Call) -> str:
    """The remainder with the dividend's sign, as C's % and fmod."""
    if call.dtype().is_integer:
        return _remainder(call, call.widened("Div", *call.inputs()))
    return call.widened("Mod", *call.inputs(), fmod=1)


@lowers("DivNoNan", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Div", zero=1)
@lowers("MulNoNan", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Mul", zero=1)
@lowers("Xdivy", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Div", zero=0)
@lowers("Xlogy", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Mul", zero=0, of="Log")
@lowers("Xlog1py", dtypes=(*FLOATS, *COMPLEX), placement=FOLLOWS, onnx="Mul", zero=0, of="Log1p")
def lower_zero_first(call: Call) -> str:
    """0 wherever one operand is 0, even if the other is infinite or NaN."""
    dtype, (x, y) = part_dtype(call.dtype()), call.inputs()
    tested, of = (x, y)[call.fact("zero")], call.fact("of")
    if is_complex(call):
        combine = complex_mul if call.fact("onnx") == "Mul" else complex_div
        result = combine(call, x, complex_log(call, y, of) if of else y)
        tested = call.reduce("ReduceSum", call.emit("Abs", tested), [-1], keepdims=True)
    else:
        result = call.widened(call.fact("onnx"), x, log(call, y, of) if of else y)
    zero = call.scalar(0, dtype)
    return selected(call, call.widened("Equal", tested, zero, dtype=dtype), zero, result, dtype)


def log(call: Call, value: str, name: str) -> str:
    return call.widened("Log", value) if name == "Log" else log1p(call, call.dtype(), value)
