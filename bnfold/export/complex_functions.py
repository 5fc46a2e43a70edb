"""Functions of one complex number, of its polar form or of the exponentials of its parts."""

from __future__ import annotations

import math
from collections.abc import Callable

from bnfold.export.angles import atan2, trigonometric
from bnfold.export.call import Call
from bnfold.export.onnx_graph import part_dtype
from bnfold.export.ops.complex import complex_div, complex_mul, complex_size, paired, parts
from bnfold.graph import DType

Parts = tuple[str, str]


_FAR = 80.0
"""Its exponential is a float32, and beyond it a float64 tanh is 1 to the last place."""


class Complexes:
    """The arithmetic of complex values, each given as its real and its imaginary part."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.dtype: DType = part_dtype(call.dtype())

    def real(self, op: str, *operands: str | float) -> str:
        """A function of real numbers."""
        names = [x if isinstance(x, str) else self.call.scalar(x, self.dtype) for x in operands]
        if op in ("Cos", "Sinh", "Cosh", "Tan"):
            return trigonometric(self.call, op, names[0], self.dtype)
        return self.call.emit(op, *names)

    def times(self, z: Parts, number: float) -> Parts:
        return self.real("Mul", z[0], number), self.real("Mul", z[1], number)

    def plus(self, z: Parts, number: float) -> Parts:
        return self.real("Add", z[0], number), z[1]

    def product(self, x: Parts, y: Parts) -> Parts:
        return parts(self.call, complex_mul(self.call, self.pair(x), self.pair(y)))

    def quotient(self, x: Parts, y: Parts) -> Parts:
        return parts(self.call, complex_div(self.call, self.pair(x), self.pair(y)))

    def pair(self, z: Parts) -> str:
        return paired(self.call, *z)

    def turned(self, z: Parts) -> Parts:
        """i z"""
        return self.real("Neg", z[1]), z[0]

    def one(self, like: Parts) -> Parts:
        zero = self.real("Sub", like[0], like[0])
        return self.real("Add", zero, 1.0), zero

    def exp(self, z: Parts) -> Parts:
        """e^a (cos b + i sin b)"""
        size = self.real("Exp", z[0])
        return self.real("Mul", size, self.real("Cos", z[1])), self.real("Mul", size, self.real("Sin", z[1]))

    def log(self, z: Parts) -> Parts:
        """log |z| + i arg z"""
        return self.real("Log", self.size(z)), atan2(self.call, z[1], z[0], self.dtype)

    def size(self, z: Parts) -> str:
        return complex_size(self.call, self.pair(z))

    def sqrt(self, z: Parts) -> Parts:
        """t + i b/2t where a ≥ 0, |b|/2t + i sign(b) t elsewhere; t = √((|z| + |a|) / 2), in which nothing cancels"""
        size, below = self.size(z), self.real("Less", z[1], 0.0)
        larger = self.real("Sqrt", self.real("Mul", self.real("Add", size, self.abs(z[0])), 0.5))
        zero = self.real("Equal", larger, 0.0)
        rest = self.real("Div", self.real("Mul", self.abs(z[1]), 0.5), self.real("Where", zero, 1.0, larger))
        left = self.real("Less", z[0], 0.0)
        root, other = self.real("Where", left, rest, larger), self.real("Where", left, larger, rest)
        return root, self.real("Where", below, self.real("Neg", other), other)

    def abs(self, x: str) -> str:
        return self.real("Abs", x)

    def sinh(self, z: Parts) -> Parts:
        """sinh a cos b + i cosh a sin b"""
        a, b = z
        return (
            self.real("Mul", self.real("Sinh", a), self.real("Cos", b)),
            self.real("Mul", self.real("Cosh", a), self.real("Sin", b)),
        )

    def cosh(self, z: Parts) -> Parts:
        """cosh a cos b + i sinh a sin b"""
        a, b = z
        return (
            self.real("Mul", self.real("Cosh", a), self.real("Cos", b)),
            self.real("Mul", self.real("Sinh", a), self.real("Sin", b)),
        )

    def sin(self, z: Parts) -> Parts:
        """sin z = -i sinh iz"""
        return self._unturned(self.sinh(self.turned(z)))

    def cos(self, z: Parts) -> Parts:
        return self.cosh(self.turned(z))

    def tanh(self, z: Parts) -> Parts:
        """sinh z / cosh z; far out, where both overflow, it is ±1."""
        z = self.real("Clip", z[0], -_FAR, _FAR), z[1]
        return self.quotient(self.sinh(z), self.cosh(z))

    def tan(self, z: Parts) -> Parts:
        """tan z = -i tanh iz"""
        return self._unturned(self.tanh(self.turned(z)))

    def asinh(self, z: Parts) -> Parts:
        """log(z + √(z² + 1)), and -asinh(-z) of a negative real part, where the two terms would cancel.

        √(z² + 1) = √(z + i) √(z - i), in which nothing overflows.
        """
        left = self.real("Less", z[0], 0.0)
        z = self._turned_over(left, z)
        above, below = (z[0], self.real("Add", z[1], 1.0)), (z[0], self.real("Sub", z[1], 1.0))
        root = self.product(self.sqrt(above), self.sqrt(below))
        return self._turned_over(left, self.log(self._sum(z, root)))

    def _turned_over(self, condition: str, z: Parts) -> Parts:
        """-z where ``condition``"""
        a, b = (self.real("Where", condition, self.real("Neg", part), part) for part in z)
        return a, b

    def acosh(self, z: Parts) -> Parts:
        """log(z + √(z + 1) √(z - 1))"""
        return self.log(self._sum(z, self.product(self.sqrt(self.plus(z, 1.0)), self.sqrt(self.plus(z, -1.0)))))

    def atanh(self, z: Parts) -> Parts:
        """(log(1 + z) - log(1 - z)) / 2"""
        above, below = self.log(self.plus(z, 1.0)), self.log(self.plus(self.times(z, -1.0), 1.0))
        return self.times(self._sum(above, self.times(below, -1.0)), 0.5)

    def asin(self, z: Parts) -> Parts:
        return self._unturned(self.asinh(self.turned(z)))

    def acos(self, z: Parts) -> Parts:
        """π/2 - asin z"""
        return self.plus(self.times(self.asin(z), -1.0), math.pi / 2)

    def atan(self, z: Parts) -> Parts:
        return self._unturned(self.atanh(self.turned(z)))

    def reciprocal(self, z: Parts) -> Parts:
        return self.quotient(self.one(z), z)

    def rsqrt(self, z: Parts) -> Parts:
        return self.reciprocal(self.sqrt(z))

    def sigmoid(self, z: Parts) -> Parts:
        """1 / (1 + e⁻ᶻ); far out, where the power overflows, 0."""
        z = self.real("Clip", z[0], -_FAR, math.inf), z[1]
        return self.reciprocal(self.plus(self.exp(self.times(z, -1.0)), 1.0))

    def expm1(self, z: Parts) -> Parts:
        return self.plus(self.exp(z), -1.0)

    def log1p(self, z: Parts) -> Parts:
        return self.log(self.plus(z, 1.0))

    def sign(self, z: Parts) -> Parts:
        """z / |z|, and 0 of 0"""
        size = self.size(z)
        size = self.real("Where", self.real("Equal", size, 0.0), 1.0, size)
        return self.real("Div", z[0], size), self.real("Div", z[1], size)

    def pow(self, x: Parts, y: Parts) -> Parts:
        """e^(y log x), and 0 of 0: what TensorFlow has there depends on how many numbers there are."""
        real, imaginary = self.exp(self.product(y, self.log(x)))
        zero = self.real("Equal", self.size(x), 0.0)
        return self.real("Where", zero, 0.0, real), self.real("Where", zero, 0.0, imaginary)

    def _sum(self, x: Parts, y: Parts) -> Parts:
        return self.real("Add", x[0], y[0]), self.real("Add", x[1], y[1])

    def _unturned(self, z: Parts) -> Parts:
        """-i z"""
        return z[1], self.real("Neg", z[0])


def complex_function(call: Call, name: str) -> str:
    """The function of `Complexes` of that name, of all inputs of the node."""
    f = Complexes(call)
    function: Callable[..., Parts] = getattr(f, name)
    return f.pair(function(*(parts(call, value) for value in call.inputs())))


def complex_log(call: Call, value: str, name: str) -> str:
    """The logarithm (``name`` is "Log") of a complex value, or that of one more ("Log1p")."""
    numbers = Complexes(call)
    z = parts(call, value)
    return numbers.pair(numbers.log(z) if name == "Log" else numbers.log1p(z))
