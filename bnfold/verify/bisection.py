"""Which fold is at fault: undo folds by halves until the outputs are right again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FaultyFolds:
    """What the bisection found.

    Attributes
    ----------
    names : tuple of str
        The folds that make the outputs wrong, by themselves or only together. Empty when the outputs are wrong
        without any fold.
    tries : int
        How many models were made and compared.
    """

    names: tuple[str, ...]
    tries: int

    @property
    def sentence(self) -> str:
        """The finding in words."""
        if not self.names:
            return "the outputs differ with every fold undone: the fault is not in a fold"
        one = len(self.names) == 1
        return f"the fold{'' if one else 's'} of {', '.join(self.names)} {'is' if one else 'are'} at fault"

    def as_json(self) -> dict[str, Any]:
        return {"names": list(self.names), "tries": self.tries, "sentence": self.sentence}


def find_faulty_folds(folded: Sequence[str], wrong: Callable[[frozenset[str]], bool]) -> FaultyFolds:
    """Find the folds that make the outputs wrong.

    A wrong fold costs about ``2·log2(n)`` tries.

    Parameters
    ----------
    folded : sequence of str
        Names of the batch norms that were folded, in the graph's order.
    wrong : callable
        Given the names to fold (the others kept), whether the model made that way differs from TensorFlow. It is
        known to be True for all of them.

    Returns
    -------
    FaultyFolds
    """
    known: dict[frozenset[str], bool] = {frozenset(folded): True}

    def is_wrong(names: frozenset[str]) -> bool:
        if names not in known:
            known[names] = wrong(names)
        return known[names]

    def search(names: Sequence[str], beside: frozenset[str]) -> list[str]:
        """The members of ``names`` at fault while those ``beside`` are folded too."""
        if len(names) <= 1:
            return list(names)
        middle = len(names) // 2
        first, second = names[:middle], names[middle:]
        halves = [half for half in (first, second) if is_wrong(beside | frozenset(half))]
        if halves:
            return [name for half in halves for name in search(half, beside)]
        # Neither half is wrong by itself: the fault takes a part of each (Zeller's delta debugging).
        return search(first, beside | frozenset(second)) + search(second, beside | frozenset(first))

    found = [] if is_wrong(frozenset()) else search(list(folded), frozenset())
    return FaultyFolds(tuple(found), len(known) - 1)
