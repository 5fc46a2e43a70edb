"""The error function, its complement, and their inverses."""

from __future__ import annotations

import math

from bnfold.export.call import Call
from bnfold.export.doubles import Doubles, in_doubles
from bnfold.export.placement import FOLLOWS
from bnfold.export.table import FLOATS, lowers
from bnfold.graph.dtypes import FLOAT64

_NEAR = (
    (5.55923013010394962768e4, 7.00332514112805075473e3, 2.23200534594684319226e3, 9.00260197203842689217e1,
     9.60497373987051638749e0),
    (4.92673942608635921086e4, 2.26290000613890934246e4, 4.59432382970980127987e3, 5.21357949780152679795e2,
     3.35617141647503099647e1, 1.0),
)  # fmt: skip
"""erf(x) / x of x², up to |x| = 1: numerator and denominator, the constants first (S. L. Moshier, Cephes)."""

_FAR = (
    (5.57535335369399327526e2, 1.02755188689515710272e3, 9.34528527171957607540e2, 5.26445194995477358631e2,
     1.96520832956077098242e2, 4.86371970985681366614e1, 7.46321056442269912687e0, 5.64189564831068821977e-1,
     2.46196981473530512524e-10),
    (5.57535340817727675546e2, 1.65666309194161350182e3, 2.24633760818710981792e3, 1.82390916687909736289e3,
     9.75708501743205489753e2, 3.54937778887819891062e2, 8.67072140885989742329e1, 1.32281951154744992508e1, 1.0),
)  # fmt: skip
"""erfc(x) · exp(x²) of x from 1 to 8."""

_FARTHEST = (
    (2.97886665372100240670e0, 7.40974269950448939160e0, 6.16021097993053585195e0, 5.01905042251180477414e0,
     1.27536670759978104416e0, 5.64189583547755073984e-1),
    (3.36907645100081516050e0, 9.60896809063285878198e0, 1.70814450747565897222e1, 1.20489539808096656605e1,
     9.39603524938001434673e0, 2.26052863220117276590e0, 1.0),
)  # fmt: skip
"""The same from 8 on. It ends at 27, where erfc is less than the smallest float64."""


@lowers("Erf", dtypes=FLOATS, placement=FOLLOWS)
def lower_erf(call: Call) -> str:
    """onnxruntime has a kernel, but not in float64."""
    if call.dtype() != FLOAT64:
        return call.widened("Erf", call.input(0))
    f, x = Doubles(call), call.input(0)
    size = f("Abs", x)
    return f.where(f("Greater", size, 1.0), f("Mul", f("Sign", x), f("Sub", 1.0, _far(f, size))), _near(f, x))


@lowers("Erfc", dtypes=FLOATS, placement=FOLLOWS)
def lower_erfc(call: Call) -> str:
    """1 - erf(x), of which large x leave so little that it must be computed by itself."""
    return in_doubles(call, erfc)


def erfc(f: Doubles, x: str) -> str:
    size = f("Abs", x)
    far = _far(f, size)
    beyond = f.where(f("Less", x, 0.0), f("Sub", 2.0, far), far)
    return f.where(f("Greater", size, 1.0), beyond, f("Sub", 1.0, _near(f, x)))


def _near(f: Doubles, x: str) -> str:
    """erf(x), right up to 1, and of NaN."""
    return f("Mul", x, f.ratio(f("Mul", x, x), *_NEAR))


def _far(f: Doubles, size: str) -> str:
    """erfc of what is positive, right from 1 on."""
    x = f("Clip", size, 0.0, 27.0)
    scaled = f.where(f("Less", x, 8.0), f.ratio(x, *_FAR), f.ratio(x, *_FARTHEST))
    return f("Mul", f("Exp", f("Neg", f("Mul", x, x))), scaled)


_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
     3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
"""Quantile over q of 0.425² - q², q = p - 1/2, where |q| ≤ 0.425 (M. J. Wichura, algorithm AS 241)."""

_SIDE = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
"""-Quantile of r - 1.6, r = √(-log p), where r ≤ 5."""

_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip
"""-Quantile of r - 5 beyond."""


@lowers("Ndtri", dtypes=FLOATS, placement=FOLLOWS)
def lower_normal_quantile(call: Call) -> str:
    return in_doubles(call, normal_quantile)


@lowers("Erfinv", dtypes=FLOATS, placement=FOLLOWS)
def lower_erfinv(call: Call) -> str:
    """quantile(x/2 + 1/2) / √2, where TensorFlow rounds the argument of the quantile to the dtype of x."""
    half = call.scalar(0.5, call.dtype())
    share = call.widened("Add", call.widened("Mul", call.input(0), half), half)
    f = Doubles(call)
    return call.cast(f("Mul", normal_quantile(f, call.cast(share, FLOAT64)), math.sqrt(0.5)), call.dtype())


def normal_quantile(f: Doubles, p: str) -> str:
    """The x below which a normal variable is with probability ``p``; NaN where that is no probability."""
    q = f("Sub", p, 0.5)
    centre = f("Mul", q, f.ratio(f("Sub", 0.425**2, f("Mul", q, q)), *_CENTRE))
    below = f("Less", q, 0.0)
    r = f("Sqrt", f("Neg", f("Log", f.where(below, p, f("Sub", 1.0, p)))))
    tail = f.where(f("Greater", r, 5.0), f.ratio(f("Sub", r, 5.0), *_TAIL), f.ratio(f("Sub", r, 1.6), *_SIDE))
    tail = f.where(f("Equal", r, math.inf), math.inf, tail)
    side = f.where(below, f("Neg", tail), tail)
    return f.where(f("LessOrEqual", f("Abs", q), 0.425), centre, side)
