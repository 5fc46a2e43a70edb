"""The error function, for which onnxruntime has no kernel in float64."""

from __future__ import annotations

from bnfold.export.call import Call
from bnfold.export.ops.trigonometry import Doubles
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import FLOAT64

_NEAR = (
    (9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3,
     5.55923013010394962768e4),
    (1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
     4.92673942608635921086e4),
)  # fmt: skip
"""erf(x) / x of x², up to |x| = 1: numerator and denominator, highest power first (S. L. Moshier, Cephes)."""

_FAR = (
    (2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1,
     1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
     5.57535335369399327526e2),
    (1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
     1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2),
)  # fmt: skip
"""erfc(x) · exp(x²) of x from 1 to 8, beyond which erfc is less than 1e-28."""


@lowers("Erf", dtypes=FLOATS, placement=FOLLOWS)
def lower_erf(call: Call) -> str:
    if call.dtype() != FLOAT64:
        return call.widened("Erf", call.input(0))
    f, x = Doubles(call), call.input(0)
    size, near, far = _pieces(f, x)
    return f.where(f("Greater", size, 1.0), f("Mul", f("Sign", x), f("Sub", 1.0, far)), near)


@lowers("Erfc", dtypes=FLOATS, placement=FOLLOWS)
def lower_erfc(call: Call) -> str:
    """1 - erf(x), which in float64 keeps its small values too."""
    if call.dtype() != FLOAT64:
        return call.widened("Sub", call.scalar(1, call.dtype()), call.widened("Erf", call.input(0)))
    f, x = Doubles(call), call.input(0)
    size, near, far = _pieces(f, x)
    beyond = f.where(f("Less", x, 0.0), f("Sub", 2.0, far), far)
    return f.where(f("Greater", size, 1.0), beyond, f("Sub", 1.0, near))


def _pieces(f: Doubles, x: str) -> tuple[str, str, str]:
    """|x|; erf(x), right up to 1, and of NaN; erfc(|x|), right from 1 on."""
    size = f("Abs", x)
    square = f("Mul", x, x)
    near = f("Mul", x, _ratio(f, square, _NEAR))
    limited = f("Clip", size, 0.0, 8.0)
    far = f("Mul", f("Exp", f("Neg", f("Mul", limited, limited))), _ratio(f, limited, _FAR))
    return size, near, far


def _ratio(f: Doubles, x: str, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    above, below = (_polynomial(f, x, powers) for powers in coefficients)
    return f("Div", above, below)


def _polynomial(f: Doubles, x: str, powers: tuple[float, ...]) -> str:
    """By Horner's rule."""
    value = f("Add", f("Mul", x, powers[0]), powers[1])
    for power in powers[2:]:
        value = f("Add", f("Mul", value, x), power)
    return value
