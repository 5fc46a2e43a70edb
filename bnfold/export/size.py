"""A size that may not be known yet: a polynomial with integer coefficients in the unknown ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Monomial = tuple[str, ...]


@dataclass(frozen=True)
class Size:
    """``Σ coefficient · product of symbols``; two sizes are equal when they are the same polynomial.

    >>> n, h = Size.symbol("n"), Size.symbol("h")
    >>> (n + 1) * h == h * n + h
    True
    >>> (n * 6).divided(n * 2).known
    3
    """

    terms: frozenset[tuple[Monomial, int]]

    def __str__(self) -> str:
        """``2*n + 1``; a lone symbol is its name."""
        parts = []
        for symbols, number in sorted(self.terms, reverse=True):
            parts.append("*".join([*([str(number)] if number != 1 or not symbols else []), *symbols]))
        return " + ".join(parts) or "0"

    @staticmethod
    def of(number: int) -> Size:
        return Size(frozenset({((), number)} if number else ()))

    @staticmethod
    def symbol(name: str) -> Size:
        return Size(frozenset({((name,), 1)}))

    @staticmethod
    def product(sizes: Iterable[Size]) -> Size:
        result = Size.of(1)
        for size in sizes:
            result = result * size
        return result

    @property
    def known(self) -> int | None:
        """The number, if no symbol is in it."""
        if not self.terms:
            return 0
        (monomial, coefficient), *others = self.terms
        return coefficient if not monomial and not others else None

    def __add__(self, other: Size | int) -> Size:
        return _collected([*self.terms, *_size(other).terms])

    def __sub__(self, other: Size | int) -> Size:
        return self + _size(other) * -1

    def __mul__(self, other: Size | int) -> Size:
        return _collected([(tuple(sorted((*a, *b))), x * y) for a, x in self.terms for b, y in _size(other).terms])

    def divided(self, divisor: Size) -> Size | None:
        """The quotient by a single term, if it is a polynomial again."""
        if len(divisor.terms) != 1:
            return None
        ((factors, number),) = divisor.terms
        terms: list[tuple[Monomial, int]] = []
        for monomial, coefficient in self.terms:
            left = list(monomial)
            for factor in factors:
                if factor not in left:
                    return None
                left.remove(factor)
            if coefficient % number:
                return None
            terms.append((tuple(left), coefficient // number))
        return _collected(terms)

    def remainder(self, divisor: Size) -> Size:
        """``self`` modulo ``divisor``, rounded down: a symbol of its own, the same for the same two sizes."""
        if self.known is not None and divisor.known:
            return Size.of(self.known % divisor.known)
        return Size.symbol(f"({self}) % ({divisor})")


def _size(value: Size | int) -> Size:
    return value if isinstance(value, Size) else Size.of(value)


def _collected(terms: Iterable[tuple[Monomial, int]]) -> Size:
    sums: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        sums[monomial] = sums.get(monomial, 0) + coefficient
    return Size(frozenset((monomial, number) for monomial, number in sums.items() if number))
